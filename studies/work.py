"""The unit of work of a study: one shard of records through one model, from reading to rows in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from studies.spec import Study


@dataclass(frozen=True)
class Shard:
    """Neighbouring records of the data set, for one of the study's models. Plain data: it is sent to workers."""

    number: int
    """Of the shards of one model, from 0."""
    model: int
    """Which of the study's models."""
    first: int
    """The number of its first record in the data set."""
    items: tuple[Any, ...]
    """What the data's reader needs to find its records."""

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.model:02d}-{self.number:06d}"


@dataclass(frozen=True)
class Work:
    """All that a worker must know, whatever the shard. Plain data: it is sent to workers."""

    study: Study
    store: str
    """Path or URL of the study's folder; every worker must reach it."""
    hashes: tuple[str, ...]
    """Of each model's weights: a worker that finds others refuses to go on."""


@dataclass(frozen=True)
class ShardResult:
    """What a finished shard tells; its rows are in the store."""

    shard: str
    records: int
    """Records that have rows."""
    broken: int
    """Records that were skipped, each listed in the table of faults."""
    seconds: float
    notes: tuple[str, ...] = ()
    """What was done differently than asked, such as a smaller batch."""


def run_shard(work: Work, shard: Shard) -> ShardResult:
    """Read, run and measure the records of one shard and write its rows; safe to run twice."""
    from studies.running import measured

    return measured(work, shard)
