"""Where the pages' own runs happen: in this process, or on workers that hold the models, chosen by one variable.

`HEADLIGHT_ENGINE` is `local` (the default), `ray` (workers on this machine), or the address of a Ray cluster (`auto`,
`ray://host:10001`). A request is prepared input and options; what travels back are the rows that were asked for.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import wait
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from studies.spec import ModelSpec
from studies.turns import Ticket, Turns

if TYPE_CHECKING:
    from torch import nn

    import model_adapters as ma
    from model_adapters.decoding import Decoding

ENGINE, WORKERS = "HEADLIGHT_ENGINE", "HEADLIGHT_WORKERS"
TRIES = 2
"""How often a request is begun: a worker that is lost costs one retry."""
_POLL = 0.1
"""Seconds between two looks at a request that waits or runs elsewhere."""
_FEW = 16
"""Numbers of each tensor by which weights are compared."""


class ServingError(ValueError):
    """A request cannot be served: the sentence says why, and what would work."""


class WorkerLost(RuntimeError):
    """The worker's process ended while it ran something."""


class Watcher(Protocol):
    """Whoever waits for a request: a `ui.jobs.Progress`."""

    visit: str
    """Requests of one visit stand in a queue of their own."""

    def check(self) -> None:
        """Raises when nobody waits any more."""
        ...

    def step(self, done: float, note: str = "") -> None:
        """Is told how far the request is."""
        ...


class Worker(Protocol):
    """Holds models somewhere and runs one request at a time."""

    def run(self, ticket: Ticket) -> Any:
        """The result; what is said meanwhile goes into `ticket.said`. `WorkerLost` if the worker is gone."""
        ...


class Crew(Protocol):
    """Where workers come from."""

    def count(self) -> int:
        """How many there are."""
        ...

    def hire(self) -> Worker:
        """A new one."""
        ...


@dataclass(frozen=True, eq=False)
class Look:
    """Rows of attention of one run. Plain data: it is sent to workers."""

    model: ModelSpec
    inputs: ma.Inputs
    keep: ma.Keep


@dataclass(frozen=True, eq=False)
class Question:
    """An answer with the rows of its tokens. Plain data: it is sent to workers."""

    model: ModelSpec
    inputs: ma.Inputs
    longest: int
    decoding: Decoding
    edits: tuple[Any, ...] = ()


@dataclass(frozen=True, eq=False)
class Found:
    """What a worker sends back."""

    result: Any
    weights: str
    """`few_weights` of the model that it ran."""


class Server:
    """Serves requests on a crew's workers, one thread per worker."""

    def __init__(self, crew: Crew) -> None:
        self.turns = Turns()
        self._crew, self._begun, self._lock = crew, False, threading.Lock()

    def ask(self, asked: Any, watcher: Watcher, heard: Callable[[list[int]], None] | None = None) -> Any:
        """The result of a request; waits for its turn and tells the watcher its place.

        Args:
            asked: a `Look` or a `Question`.
            watcher: is told the place, and may raise to give the request up.
            heard: is called with all tokens so far whenever there are more.
        """
        self._begin()
        ticket, told, place = self.turns.enter(watcher.visit, asked), 0, -1
        try:
            while not wait([ticket.future], _POLL).done:
                watcher.check()
                if heard is not None and len(ticket.said) > told:
                    told = len(ticket.said)
                    heard(list(ticket.said))
                elif not told and (now := self.turns.place(ticket)) != place:
                    place = now
                    behind = f"waiting behind {place} other{'s' if place > 1 else ''}"
                    watcher.step(0.03, behind if place else "on a worker")
        finally:
            self.turns.leave(ticket)
        return ticket.future.result()

    def _begin(self) -> None:
        with self._lock:
            if self._begun:
                return
            for number in range(self._crew.count()):
                threading.Thread(target=self._serve, name=f"headlight-serving-{number}", daemon=True).start()
            self._begun = True

    def _serve(self) -> None:
        desk = _Desk(self._crew)
        while True:
            ticket = self.turns.take()
            try:
                ticket.future.set_result(desk.run(ticket))
            except BaseException as error:
                # It belongs to whoever asked; the next request is served all the same.
                ticket.future.set_exception(error)
            finally:
                self.turns.done(ticket)


class _Desk:
    """One worker, and another one where it was lost."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._worker: Worker | None = None

    def run(self, ticket: Ticket) -> Any:
        """The result of a request."""
        lost: WorkerLost | None = None
        for _ in range(TRIES):
            try:
                self._worker = self._worker or self._crew.hire()
                return self._worker.run(ticket)
            except WorkerLost as error:
                self._worker, lost, ticket.said = None, error, ()
                if ticket.left:
                    break
        raise ServingError(
            f"The worker that ran this was lost {TRIES} times ({lost}). A smaller picture, a shorter answer or a smaller "
            "model may fit; others are served meanwhile."
        ) from lost


@dataclass(frozen=True)
class Elsewhere:
    """A model that is run on workers; the one of this process is only compared with theirs."""

    server: Server
    spec: ModelSpec
    model: ma.Model

    def capture(self, inputs: ma.Inputs, watcher: Watcher, keep: ma.Keep | None = None) -> ma.Capture:
        """As `ma.capture`."""
        import model_adapters as ma

        return self._asked(Look(self.spec, _moved(inputs, "cpu"), keep or ma.Keep()), watcher)

    def generate(
        self,
        inputs: ma.Inputs,
        watcher: Watcher,
        *,
        longest: int,
        decoding: Decoding,
        edits: Any = (),
        on_token: Callable[[list[int]], None] | None = None,
    ) -> ma.Generation:
        """As `ma.generate`; tokens are told as they are said, several at once where they come fast."""
        several = tuple(edits) if isinstance(edits, Iterable) else (edits,)
        asked = Question(self.spec, _moved(inputs, "cpu"), longest, decoding, several)
        return self._asked(asked, watcher, on_token)

    def _asked(self, asked: Any, watcher: Watcher, heard: Callable[[list[int]], None] | None = None) -> Any:
        found: Found = self.server.ask(asked, watcher, heard)
        if found.weights != few_weights(self.model.module):
            raise ServingError(
                f"The workers have other weights for {self.spec.name} than this server. Give them the same files and "
                "library versions, or start the app with HEADLIGHT_ENGINE=local."
            )
        return found.result


def elsewhere(model: ma.Model) -> Elsewhere | None:
    """The workers' copy of this model; None where the engine is local, or the model has no name that others could load."""
    there, spec = server(), named(model)
    return None if there is None or spec is None else Elsewhere(there, spec, model)


def named(model: ma.Model) -> ModelSpec | None:
    """How another process loads the same model; None for one that was wrapped here."""
    if model.name.partition(":")[0] not in ("bundled", "timm", "hf", "path"):
        return None
    random = re.fullmatch(r"random \(seed (\d+)\)", model.card.weights)
    weights, seed = ("random", int(random[1])) if random else (model.card.weights or "pretrained", 0)
    return ModelSpec(model.name, weights, seed, str(model.dtype).removeprefix("torch."))


def server() -> Server | None:
    """What the variable says: None for this process."""
    return _server(os.environ.get(ENGINE, ""), os.environ.get(WORKERS, ""))


@lru_cache(maxsize=1)
def _server(engine: str, workers: str) -> Server | None:
    if engine in ("", "local"):
        return None
    if engine not in ("ray", "auto") and not re.fullmatch(r"ray://[^\s/:]+:\d+", engine):
        raise ServingError(
            f"{ENGINE} must be local, ray, auto (the cluster of this machine) or ray://host:10001. Got {engine!r} instead."
        )
    if workers and not re.fullmatch(r"[1-9]\d{0,3}", workers):
        raise ServingError(f"{WORKERS} must be a whole number from 1 to 9999. Got {workers!r} instead.")
    try:
        from studies.ray_serving import RayCrew
    except ModuleNotFoundError as error:
        raise ServingError(
            f"{ENGINE}={engine} needs the package {error.name}: install requirements-cluster.txt, or use local."
        ) from error
    return Server(RayCrew(None if engine == "ray" else engine, int(workers) if workers else None))


def worked(asked: Look | Question, heard: Callable[[list[int]], None]) -> Found:
    """Run a request in this process, a worker's."""
    import model_adapters as ma
    from studies.held import held

    model = held(asked.model)[0]
    inputs = _moved(asked.inputs, model.device)
    weights = few_weights(model.module)
    if isinstance(asked, Look):
        return Found(_portable(ma.capture(model, inputs, keep=asked.keep)), weights)
    generation = ma.generate(
        model, inputs, max_new_tokens=asked.longest, decoding=asked.decoding, edits=asked.edits, on_token=heard
    )
    return Found(generation, weights)


def few_weights(module: nn.Module) -> str:
    """A hash of every name, type and shape, and of some numbers of each tensor: tells models apart in milliseconds."""
    found = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        flat = tensor.detach().flatten()
        few = flat[:: max(1, flat.numel() // _FEW)].double().cpu().numpy()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(few.tobytes())
    return found.hexdigest()


def _portable(capture: ma.Capture) -> ma.Capture:
    """The same capture with its layouts measured: until then they hold on to the model."""
    from model_adapters import BySite

    layouts = {}
    for site in capture.sites:
        try:
            layouts[site] = capture.layouts[site]
        except KeyError:
            continue  # a site that the geometry did not meet; asking for it says so
    return replace(capture, layouts=BySite(layouts, "has no layout: the geometry did not meet this attention"))


def _moved(inputs: ma.Inputs, device: Any) -> ma.Inputs:
    return replace(inputs, tensors={name: _to(value, device) for name, value in inputs.tensors.items()})


def _to(value: Any, device: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_to(one, device) for one in value)
    return value.to(device) if hasattr(value, "to") else value
