"""Where the pages' own runs happen: in this process, or on workers that hold the models, chosen by one variable.

`HEADLIGHT_ENGINE` is `local` (the default), `ray` (workers on this machine), or the address of a Ray cluster (`auto`,
`ray://host:10001`). A request is prepared input and options; what travels back are the rows that were asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from studies.crew import Server, ServingError, Watcher
from studies.requests import Found, Look, Question, few_weights, moved
from studies.spec import ModelSpec

if TYPE_CHECKING:
    import model_adapters as ma
    from model_adapters.decoding import Decoding

__all__ = ["ENGINE", "WORKERS", "Elsewhere", "Look", "Question", "Server", "ServingError", "elsewhere", "named", "server"]

ENGINE, WORKERS = "HEADLIGHT_ENGINE", "HEADLIGHT_WORKERS"


@dataclass(frozen=True)
class Elsewhere:
    """A model that is run on workers; the one of this process is only compared with theirs."""

    server: Server
    spec: ModelSpec
    model: ma.Model

    def capture(self, inputs: ma.Inputs, watcher: Watcher, keep: ma.Keep | None = None) -> ma.Capture:
        """As `ma.capture`."""
        import model_adapters as ma

        return self._asked(Look(self.spec, moved(inputs, "cpu"), keep or ma.Keep()), watcher)

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
        asked = Question(self.spec, moved(inputs, "cpu"), longest, decoding, several)
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
