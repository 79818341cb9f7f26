"""One shard from reading to rows: threads read ahead, batches go through the model, what fails is set aside."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache

import torch

import model_adapters as ma
from studies.building import edits_of
from studies.data import Pending, Record, opened
from studies.data.source import Source
from studies.errors import StudyError, Unreadable
from studies.gathering import Gathered
from studies.held import held
from studies.measures import MEASURES, Batch, Looks
from studies.measures.batch import ANY_CAPTION, together
from studies.measures.pairs import captions_of
from studies.measures.words import prompt_of
from studies.memory import give_back
from studies.spec import DataSpec, Study, plain_pairs
from studies.store import Store
from studies.work import Shard, ShardResult, Work

READERS = 2
"""Threads that read and decode."""


@dataclass(frozen=True, eq=False)
class Read:
    """A record with its tensors."""

    number: int
    record: Record
    inputs: ma.Inputs


@dataclass(frozen=True)
class Fault:
    """A record that has no rows, and why."""

    number: int
    key: str
    reason: str


def measured(work: Work, shard: Shard) -> ShardResult:
    """Read, run and measure the records of a shard, and write its rows."""
    began = time.perf_counter()
    spec = work.study.models[shard.model]
    model, found = held(spec)
    if found != work.hashes[shard.model]:
        raise StudyError(
            f"the weights of {spec.name} are not those that the study began with "
            f"({found[:12]} here, {work.hashes[shard.model][:12]} there)."
        )
    looks = _looks(work.study, shard.model)
    rows = Gathered(work.study, shard)
    runner = _Runner(work.study, looks, rows)
    for group in batches(read_ahead(_source(work.study.data), shard, model, work.study.batch), work.study.batch, rows.faults):
        runner.run(Batch(looks, together([r.inputs for r in group]), *_told(group)))
    tables, seconds = rows.tables(), time.perf_counter() - began
    noted = {"records": rows.records, "broken": len(rows.faults), "seconds": seconds, "notes": runner.notes}
    Store(work.store).write_shard(shard.name, tables, noted)
    give_back()
    return ShardResult(shard.name, rows.records, len(rows.faults), seconds, tuple(runner.notes))


def _told(group: list[Read]) -> tuple[tuple[Record, ...], tuple[int, ...]]:
    return tuple(r.record for r in group), tuple(r.number for r in group)


@lru_cache(maxsize=4)
def _source(data: DataSpec) -> Source:
    return opened(data)


@lru_cache(maxsize=2)
def _looks(study: Study, number: int) -> Looks:
    """What is measured once per model of a study."""
    chosen = [MEASURES[m.name] for m in study.measures]
    needs = frozenset[str]().union(*(m.needs for m in chosen))
    told = next((plain_pairs(m.options) for m in study.measures if m.name == "strength"), {})
    rings = tuple(told.get("rings", (1,)))
    return Looks(held(study.models[number])[0], edits_of(study), needs, rings, study.seed, captions_of(study))


def read_ahead(source: Source, shard: Shard, model: ma.Model, batch: int) -> Iterator[Read | Fault]:
    """The records of a shard in their order, read and prepared in threads while earlier ones are computed."""
    waiting: deque[tuple[Pending, Future[Read]]] = deque()
    try:
        for pending in source.pending(shard.first, shard.items):
            waiting.append((pending, _readers().submit(_read, model, pending)))
            if len(waiting) > 2 * batch:
                yield _arrived(*waiting.popleft())
        while waiting:
            yield _arrived(*waiting.popleft())
    finally:
        for _, future in waiting:
            future.cancel()


@cache
def _readers() -> ThreadPoolExecutor:
    """One for all shards: memory that a thread has used is not given back when it ends."""
    return ThreadPoolExecutor(READERS, "study-reader")


def _read(model: ma.Model, pending: Pending) -> Read:
    record = pending.read()
    if model.kind == "vit":
        return Read(pending.number, record, model.prepare(image=[record.image]))
    if model.kind == "dual":
        return Read(pending.number, record, model.prepare(image=[record.image], text=[ANY_CAPTION]))
    return Read(pending.number, record, model.prepare(image=record.image, text=record.question or prompt_of(model)))


def _arrived(pending: Pending, future: Future[Read]) -> Read | Fault:
    try:
        return future.result()
    except Unreadable as error:
        return Fault(pending.number, pending.key, str(error))
    except (ma.AdapterError, ValueError, OSError, RuntimeError) as error:
        return Fault(pending.number, pending.key, f"the model's processor refused it: {_first_line(error)}")


def batches(found: Iterator[Read | Fault], size: int, faults: list[Fault]) -> Iterator[list[Read]]:
    """Neighbours of one shape, at most `size` at a time; faults are set aside."""
    held_: list[Read] = []
    for one in found:
        if isinstance(one, Fault):
            faults.append(one)
            continue
        if held_ and (len(held_) == size or one.inputs.signature != held_[0].inputs.signature or not one.inputs.many):
            yield held_
            held_ = []
        held_.append(one)
    if held_:
        yield held_


class _Runner:
    """Runs batches; one that fails is halved until what fails is alone, one that is too large until it fits."""

    def __init__(self, study: Study, looks: Looks, rows: Gathered) -> None:
        self.measures = [(MEASURES[m.name], plain_pairs(m.options)) for m in study.measures]
        self.looks, self.rows, self.notes = looks, rows, list[str]()
        self.most = study.batch

    def run(self, batch: Batch) -> None:
        """The rows of a batch."""
        count = len(batch.records)
        if count > self.most:
            for start in range(0, count, self.most):
                self.run(batch.part(start, min(start + self.most, count)))
            return
        failed = self._tried(batch)
        if failed is None:
            return
        if count == 1:
            self.rows.faults.append(Fault(batch.numbers[0], batch.records[0].key, failed[1]))
        elif failed[0]:
            self.most = (count + 1) // 2
            self.notes.append(f"memory ran out with {count} records at once: {self.most} from there on")
            self.run(batch.part(0, count))
        else:
            self.run(batch.part(0, count // 2))
            self.run(batch.part(count // 2, count))

    def _tried(self, batch: Batch) -> tuple[bool, str] | None:
        """Measure; or whether memory ran out, and what is to be said."""
        try:
            with torch.no_grad():
                found = [one for measure, options in self.measures for one in measure(batch, options)]
                self.rows.add(batch, found)
            return None
        except StudyError:
            raise
        except (RuntimeError, ValueError, ArithmeticError, LookupError, TypeError, MemoryError) as error:
            full, told = is_out_of_memory(error), f"the model failed on it: {_first_line(error)}"
        # The frames of the failed attempt hold its tensors until the exception is gone.
        if full:
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return full, told


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, however the library says so."""
    text = str(error).lower()
    told = ("out of memory", "not enough memory", "can't allocate memory", "more than the", "do not fit", "does not fit")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(one in text for one in told)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
