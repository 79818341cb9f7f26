"""Shards on Ray: one actor per core or GPU, each with its models. Where they run and in what order is left to Ray."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray

from studies.errors import StudyError
from studies.ray_cluster import Membership, first_line
from studies.spec import ModelSpec
from studies.work import Shard, ShardResult, Work

TRIES = 3
"""How often a shard is begun before its loss ends the study."""
AHEAD = 2
"""Shards that an actor has been given: the one it runs and the next."""


class _Worker:
    """Runs in a process of its own, with its models."""

    def __init__(self, folder: str, threads: int) -> None:
        import torch

        if Path(folder).is_dir():
            os.chdir(folder)  # relative paths of a study file mean what they meant to whoever began it
        torch.set_num_threads(threads)

    def identify(self, models: tuple[ModelSpec, ...]) -> tuple[str, ...]:
        """The hash of each model's weights."""
        from studies.held import identity

        return tuple(identity(model) for model in models)

    def run(self, work: Work, shard: Shard) -> ShardResult:
        """One shard."""
        from studies.work import run_shard

        return run_shard(work, shard)


@dataclass
class RayEngine:
    """Runs shards on a Ray cluster, or on a local one that it starts and stops."""

    address: str | None = None
    """Of a running cluster ("auto", "ray://host:10001"); a local one is started where this is None."""
    workers: int | None = None
    """Actors; by default as many as there are GPUs, or cores where there are none."""
    gpus: float | None = None
    """GPUs of each actor, such as 0.5; 1 where the cluster has any."""
    cores: int = 1
    """Cores of each actor."""
    name: str = field(default="ray", init=False)
    _warm: list[Any] = field(default_factory=list, init=False, repr=False)
    _cluster: Membership = field(default_factory=Membership, init=False, repr=False)

    def identify(self, models: tuple[ModelSpec, ...]) -> tuple[str, ...]:
        """The hash of each model's weights, from a worker."""
        self._connect()
        worker = self._actor()
        try:
            found = self._got(worker.identify.remote(models))
        except ray.exceptions.RayActorError as error:
            raise StudyError(f"a worker was lost while it loaded the models: {first_line(error)}.") from error
        self._warm.append(worker)
        return found

    def map(self, work: Work, shards: Iterable[Shard]) -> Iterator[ShardResult]:
        """Run the shards; results come as they are finished."""
        if work.store.startswith("memory://"):
            raise StudyError("memory:// lives in one process: give a folder or an object store that every worker reaches.")
        self._connect()
        crew = _Crew(self._actor, self._count(), work)
        try:
            yield from crew.results(iter(shards))
        finally:
            crew.close()

    def close(self) -> None:
        """End what this engine began: its idle worker, and the connection if nobody else in this process has it."""
        if ray.is_initialized():
            for worker in self._warm:
                ray.kill(worker)
        self._warm.clear()
        self._cluster.leave()

    def _connect(self) -> None:
        self._cluster.join(self.address, None if self.workers is None else self.workers * self.cores)

    def _actor(self) -> Any:
        """A new worker, or the one that has the models already."""
        if self._warm:
            return self._warm.pop()
        gpus = self._gpus()
        made = ray.remote(_Worker).options(num_cpus=self.cores, num_gpus=gpus, max_restarts=0)
        return made.remote(os.getcwd(), self.cores)

    def _gpus(self) -> float:
        return self.gpus if self.gpus is not None else float(ray.cluster_resources().get("GPU", 0) > 0)

    def _count(self) -> int:
        if self.workers is not None:
            return self.workers
        there, gpus = ray.cluster_resources(), self._gpus()
        return max(1, int(there.get("GPU", 0) / gpus) if gpus else int(there.get("CPU", 1) / self.cores))

    @staticmethod
    def _got(reference: Any) -> Any:
        try:
            return ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error


class _Crew:
    """The actors of one run, and the shards that each of them has."""

    def __init__(self, actor: Any, count: int, work: Work) -> None:
        self._actor, self._work = actor, ray.put(work)
        self._workers = [actor() for _ in range(count)]
        self._given: dict[Any, tuple[Any, Shard]] = {}
        self._again: list[Shard] = []
        self._tries: dict[str, int] = {}

    def results(self, shards: Iterator[Shard]) -> Iterator[ShardResult]:
        """Results in the order in which they are finished; a shard whose worker is lost runs again."""
        more = True
        while more or self._given or self._again:
            more = self._hand_out(shards, more)
            if not self._given:
                return
            (ready,), _ = ray.wait(list(self._given), num_returns=1)
            worker, shard = self._given.pop(ready)
            try:
                yield RayEngine._got(ready)
            except ray.exceptions.RayActorError as error:
                self._lost(worker, shard, error)

    def close(self) -> None:
        """End the actors, and what they run."""
        for worker in self._workers:
            ray.kill(worker)

    def _hand_out(self, shards: Iterator[Shard], more: bool) -> bool:
        """Give every worker what it may have; whether there may be more shards to come."""
        for _ in range(AHEAD):
            for worker in self._workers:
                if sum(other is worker for other, _ in self._given.values()) >= AHEAD:
                    continue
                shard = self._again.pop() if self._again else next(shards, None)
                if shard is None:
                    return False
                self._tries[shard.name] = self._tries.get(shard.name, 0) + 1
                self._given[worker.run.remote(self._work, shard)] = (worker, shard)
        return more

    def _lost(self, worker: Any, shard: Shard, error: Exception) -> None:
        if self._tries[shard.name] >= TRIES:
            raise StudyError(
                f"shard {shard.name} lost its worker {TRIES} times, so something in it may end the process: {first_line(error)}."
            ) from error
        self._again.append(shard)
        if worker in self._workers:
            self._workers[self._workers.index(worker)] = self._actor()
