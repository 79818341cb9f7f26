"""Who runs the shards of a study: the protocol, and the engine that needs nothing but this process.

An engine knows nothing of models, data or rows. It is given a `Work` (plain frozen data that a worker process can be
sent) and shards, and calls `studies.work.run_shard(work, shard)` for each of them, wherever it likes and in any order.
The worker writes the shard's rows into the store itself, under names that depend on the shard alone, so that running a
shard twice leaves the rows of one run; only the small `ShardResult` travels back.

What an engine must do:

- yield one result per shard as soon as it is there; take shards from the iterator only as they can be run, because the
  iterator lists data lazily;
- run a shard again when its worker was lost, and give up with a `StudyError` only when that fails repeatedly;
- let a `StudyError` that `run_shard` raises (a full disk, a changed model) end the run: it concerns every shard;
- stop and free its workers when the iterator that `map` returned is closed (a study is cancelled that way).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from studies.errors import StudyError
from studies.spec import ModelSpec
from studies.work import Shard, ShardResult, Work, run_shard


class Engine(Protocol):
    """Runs shards somewhere."""

    @property
    def name(self) -> str:
        """As the command line calls it."""
        ...

    def identify(self, models: tuple[ModelSpec, ...]) -> tuple[str, ...]:
        """The hash of each model's weights, from where the models will run: `studies.held.identity` on a worker."""
        ...

    def map(self, work: Work, shards: Iterable[Shard]) -> Iterator[ShardResult]:
        """Run the shards; results come in any order."""
        ...


class LocalEngine:
    """One shard after the other in this process; the model stays loaded between them."""

    name = "local"

    def identify(self, models: tuple[ModelSpec, ...]) -> tuple[str, ...]:
        """The hash of each model's weights."""
        from studies.held import identity

        return tuple(identity(model) for model in models)

    def map(self, work: Work, shards: Iterable[Shard]) -> Iterator[ShardResult]:
        """Run the shards in their order."""
        for shard in shards:
            yield run_shard(work, shard)


def _ray(**options: Any) -> Engine:
    from studies.ray_engine import RayEngine

    return RayEngine(**options)


ENGINES: dict[str, Callable[..., Engine]] = {"local": LocalEngine, "ray": _ray}
"""Engines by name; options are those of the command line, such as `address`."""


def engine_named(name: str, **options: Any) -> Engine:
    """The engine of this name; options that are None are left out."""
    if name not in ENGINES:
        raise StudyError(f"an engine is one of {sorted(ENGINES)}. Got {name!r} instead.")
    given = {key: value for key, value in options.items() if value is not None}
    if name == "local" and given:
        raise StudyError(f"the local engine takes no {', '.join(sorted(given))}; with --engine ray it would be used.")
    try:
        return ENGINES[name](**given)
    except ModuleNotFoundError as error:
        raise StudyError(
            f"the engine {name!r} needs the package {error.name}: install requirements-cluster.txt, or use --engine local."
        ) from error
