"""Requests of the pages on Ray: each actor holds models, the least recently used one makes room."""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray

from studies.crew import ServingError, WorkerLost
from studies.errors import StudyError
from studies.ray_cluster import Membership, first_line
from studies.requests import Found, worked
from studies.turns import Ticket

START = 300.0
"""Seconds that a worker may take to start: a cluster that grows has to start a machine first."""
_POLL = 0.1


class _Left(Exception):
    """Nobody waits for the request."""


class _Holder:
    """Runs in a process of its own, with its models: one request at a time, and beside it what is asked about that one."""

    def __init__(self, workers: int) -> None:
        self._threads = max(1, (os.cpu_count() or 1) // workers)
        self._number, self._left = -1, -1
        self._said: tuple[int, ...] = ()

    def ready(self) -> bool:
        """Answers when the libraries are there."""
        import analysis  # noqa: F401  what measures and plans are made of
        import model_adapters  # noqa: F401

        return True

    def run(self, number: int, asked: Any) -> Found:
        """One request."""
        import torch

        from model_adapters.interruption import interruptible
        from studies.held import held

        torch.set_num_threads(self._threads)  # Ray gives one thread, and torch counts them thread by thread
        self._number, self._said = number, ()
        held(asked.model)
        with interruptible(self._check(number)):
            return worked(asked, self._heard)

    def said(self, number: int) -> tuple[int, ...]:
        """The tokens of a request so far."""
        return self._said if number == self._number else ()

    def stop(self, number: int) -> None:
        """End this request at its next operation, whether it has begun or not."""
        self._left = number

    def _heard(self, ids: list[int]) -> None:
        self._said = tuple(ids)

    def _check(self, number: int) -> Callable[[], None]:
        def check() -> None:
            if self._left == number:
                raise _Left

        return check


@dataclass
class _RayWorker:
    """An actor, from here."""

    actor: Any
    numbers: Any

    def run(self, ticket: Ticket) -> Any:
        """The result of a request."""
        number, told = next(self.numbers), False
        try:
            running = self.actor.run.remote(number, ticket.asked)
            while not ray.wait([running], timeout=_POLL)[0]:
                if ticket.left and not told:
                    told = True
                    self.actor.stop.remote(number)
                ticket.said = ray.get(self.actor.said.remote(number))
            # Arrays from Ray's store can only be read, and keep their place in it for as long as they live.
            return copy.deepcopy(ray.get(running))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except (ray.exceptions.RayError, ConnectionError) as error:
            raise WorkerLost(first_line(error)) from error


@dataclass
class RayCrew:
    """Workers on a cluster, or on one of this machine that is started for them."""

    address: str | None = None
    """Of a running cluster ("auto", "ray://host:10001"); a local one is started where this is None."""
    workers: int | None = None
    """By default one per GPU, or one where there are none."""

    def __post_init__(self) -> None:
        self._numbers = itertools.count()
        self._cluster = Membership()

    def count(self) -> int:
        """How many workers there are."""
        self._connect()
        return self.workers or max(1, int(ray.cluster_resources().get("GPU", 0)))

    def hire(self) -> _RayWorker:
        """A new worker; waits until it runs."""
        count = self.count()
        gpus = float(ray.cluster_resources().get("GPU", 0))
        options = {"num_cpus": 1, "num_gpus": min(1.0, gpus / count), "max_restarts": 0, "max_concurrency": 3}
        actor: Any = ray.remote(_Holder).options(**options).remote(count)
        try:
            ray.get(actor.ready.remote(), timeout=START)
        except ray.exceptions.GetTimeoutError as error:
            ray.kill(actor)
            free = ray.available_resources()
            raise ServingError(
                f"No worker could be started within {START:.0f} s. It needs 1 core and {options['num_gpus']:g} GPU; "
                f"{free.get('CPU', 0):g} and {free.get('GPU', 0):g} are free. Add a node, or set HEADLIGHT_WORKERS lower."
            ) from error
        except ray.exceptions.RayTaskError as error:
            raise ServingError(f"A worker cannot start: {first_line(error.cause)}.") from error
        except ray.exceptions.RayError as error:
            raise WorkerLost(first_line(error)) from error
        return _RayWorker(actor, self._numbers)

    def _connect(self) -> None:
        try:
            self._cluster.join(self.address, max(self.workers or 1, os.cpu_count() or 1))
        except StudyError as error:
            raise ServingError(f"{str(error).rstrip('.')}. With HEADLIGHT_ENGINE=local the app needs none.") from error
