"""Run a study from beginning to end, or from where it was cut off: what the command line and the page call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from studies.checking import check_models
from studies.damage import sentences
from studies.data import opened
from studies.engine import Engine, LocalEngine
from studies.errors import StudyError
from studies.lock import Lock
from studies.spec import Study, plain, study_of
from studies.store import Store
from studies.totals import Totals
from studies.work import Shard, ShardResult, Work

PACKAGES = ("torch", "timm", "transformers", "numpy", "pillow")


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    done: int
    """Shards that are whole, those of earlier runs included."""
    shards: int
    records: int
    """Of this run."""
    broken: int
    seconds: float
    """Of this run."""
    last: ShardResult | None = None

    @property
    def rate(self) -> float:
        """Records per second of this run."""
        return self.records / self.seconds if self.seconds > 0 else 0.0

    def remaining(self, before: int) -> float | None:
        """Seconds that are left, if the shards to come take as long; `before`: shards done when the run began."""
        own = self.done - before
        return (self.shards - self.done) * self.seconds / own if own else None


def conduct(study: Study, engine: Engine | None = None, report: Callable[[Progress], None] = lambda progress: None) -> Progress:
    """Run a study, or go on with it where its store already holds a part of it.

    Args:
        study: what to do.
        engine: who does it; this process by default.
        report: called at the beginning and after every shard; what it raises ends the run, and what is done stays.
    """
    engine = engine or LocalEngine()
    store = Store(study.store)
    source = opened(study.data)
    with Lock(store) as lock:
        store.clear_parts()
        hashes = engine.identify(study.models)
        told = _identity(study, hashes, source.fingerprint())
        shards = _begun(store, study, told, lambda: sum(1 for _ in _shards(study)))
        if not shards:
            raise StudyError("the data set has no records.")
        done = set(store.done()) - _forgotten(store)
        progress = Progress(len(done), shards, 0, 0, 0.0)
        report(progress)
        left = (shard for shard in _shards(study) if shard.name not in done)
        if len(done) < shards:
            progress = _mapped(engine, Work(study, study.store, hashes), left, progress, report, lock)
        lock.check()
        _finish(store)
    return progress


def resume(url: str, engine: Engine | None = None, report: Callable[[Progress], None] = lambda progress: None) -> Progress:
    """Go on with the study in a store."""
    told = Store(url).manifest()["study"]
    return conduct(study_of({**readable(told), "store": url}), engine, report)


def readable(told: dict[str, Any]) -> dict[str, Any]:
    """A study of a manifest as a study file has it."""
    named = {name: [{one["name"]: one["options"]} for one in told[name]] for name in ("measures", "edits")}
    data = {"kind": told["data"]["kind"], **told["data"]["options"]}
    limit = {} if told["data"]["limit"] is None else {"limit": told["data"]["limit"]}
    models = [{key: value for key, value in one.items() if value is not None} for one in told["models"]]
    return {**told, **named, "data": data | limit, "models": models}


def _mapped(
    engine: Engine, work: Work, left: Iterator[Shard], progress: Progress, report: Callable[[Progress], None], lock: Lock
) -> Progress:  # fmt: skip
    began, done, records, broken = time.perf_counter(), progress.done, 0, 0
    results = engine.map(work, left)
    with closing(results):  # type: ignore[type-var]
        for result in results:
            lock.check()
            done, records, broken = done + 1, records + result.records, broken + result.broken
            progress = Progress(done, progress.shards, records, broken, time.perf_counter() - began, result)
            report(progress)
    return progress


def _shards(study: Study) -> Iterator[Shard]:
    """All shards of a study, model after model, listed as they are needed."""
    for model in range(len(study.models)):
        for number, (first, items) in enumerate(opened(study.data).chunks(study.shard, study.data.limit)):
            yield Shard(number, model, first, items)


def _identity(study: Study, hashes: tuple[str, ...], fingerprint: str) -> dict[str, Any]:
    """All that the numbers depend on."""
    told = {key: value for key, value in plain(study).items() if key not in ("name", "batch", "store")}
    return {**told, "weights": list(hashes), "versions": _versions(), "data fingerprint": fingerprint}


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _begun(store: Store, study: Study, told: dict[str, Any], count: Callable[[], int]) -> int:
    """How many shards there are; a new store is given its manifest, an old one is compared."""
    if not store.has_manifest():
        check_models(study)
        shards = count()
        begun = {"study": plain(study), "identity": told, "shards": shards, "created": time.time(), "finished": None}
        store.write_manifest(begun)
        return shards
    there = store.manifest()
    found = list(_differences(there["identity"], told))
    if found:
        raise StudyError(f"{store.url} holds another study: {'; '.join(found[:5])}. Name another store, or change it back.")
    return int(there["shards"])


def _differences(there: Any, here: Any, name: str = "") -> Iterator[str]:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in [*there, *[k for k in here if k not in there]]:
            yield from _differences(there.get(key), here.get(key), f"{name}.{key}" if name else str(key))
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for number, (one, other) in enumerate(zip(there, here, strict=True)):
            yield from _differences(one, other, f"{name}[{number}]")
    elif there != here:
        yield f"{name} is {there!r:.60} there and {here!r:.60} here"


def _forgotten(store: Store) -> set[str]:
    """Shards whose files are missing or changed: their marks are taken away, and the study counts as unfinished."""
    found = store.damage(whole=True)
    if found:
        _write(store, finished=None)
    shards = {each.shard for each in found if each.shard}
    store.forget(shards)
    return shards


def _finish(store: Store) -> None:
    """Write the aggregated tables, and say that the study is finished."""
    if store.manifest()["finished"] is None:
        if found := [each for each in store.damage() if each.shard]:
            raise StudyError(f"the study cannot be finished, because files are lost while it runs. {sentences(found)[0]}")
        totals = Totals(store)
        totals.update()
        _write(store, statistics=totals.write(), finished=time.time())


def _write(store: Store, **changes: Any) -> None:
    told = {key: value for key, value in store.manifest().items() if key != "format"}
    store.write_manifest({**told, **changes})
