"""How far studies are, and what came of them, as text."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

from studies.damage import sentences
from studies.errors import DamagedStudy, StudyError
from studies.lock import holder_of
from studies.places import place
from studies.reading import query
from studies.store import Store


@dataclass(frozen=True)
class Status:
    """How far one study is."""

    name: str
    url: str
    state: str
    """finished, running, or stopped; unreadable where its manifest is damaged."""
    done: int
    shards: int
    records: int
    broken: int
    notes: tuple[str, ...]
    rate: float
    """Records per second of the time that their shards took."""
    lacking: tuple[str, ...] = ()
    """What is missing or damaged, a sentence for each table."""

    @property
    def line(self) -> str:
        """The same in one line."""
        if self.state == "unreadable":
            return f"{self.name}: unreadable"
        told = f"{self.name}: {self.state}, {self.done} of {self.shards} shards, {self.records} records"
        told += f", {self.broken} broken" if self.broken else ""
        told += ", damaged" if self.lacking else ""
        left = (self.shards - self.done) * self.records / max(self.done, 1) / self.rate if self.rate else 0
        return told + (f", about {duration(left)} left" if self.state == "running" and left else "")


def status(store: Store) -> Status:
    """How far the study in a store is."""
    told = store.manifest()
    marks = [mark for mark in store.marks().values() if mark is not None]
    state = "finished" if told["finished"] else "running" if holder_of(store) else "stopped"
    records, seconds = sum(m["records"] for m in marks), sum(m["seconds"] for m in marks)
    notes = tuple(dict.fromkeys(note for m in marks for note in m["notes"]))
    return Status(
        told["study"]["name"], store.url, state, len(marks), told["shards"], records, sum(m["broken"] for m in marks), notes,
        records / seconds if seconds else 0.0, sentences(store.damage()),
    )  # fmt: skip


def listed(folder: str) -> list[Status]:
    """The studies in a folder of stores; one that is damaged hides none of the others."""
    root = place(folder)
    found = {name: Store((root / name).url) for name in root.names()}
    return [_known(name, store) for name, store in found.items() if store.has_manifest()]


def _known(name: str, store: Store) -> Status:
    try:
        return status(store)
    except StudyError as error:
        return Status(name, store.url, "unreadable", 0, 0, 0, 0, (), 0.0, (str(error),))


_SECTIONS = (
    ("Broken records", "faults"), ("Accuracy", "accuracy"), ("Captions", "matches"), ("Answers", "answers"),
    ("Budgets", "budgets"),
)  # fmt: skip


def report(store: Store) -> str:
    """What the study is, how far it is, what was broken, and the ready queries' answers."""
    told = store.manifest()
    now = status(store)
    lines = [f"# {now.name}", "", now.line + ".", *[f"Note: {note}." for note in now.notes]]
    lines += [f"**Damaged**: {each}" for each in now.lacking]
    lines += [f"Begun {time.strftime('%Y-%m-%d %H:%M', time.gmtime(told['created']))} UTC in {store.url}."]
    hashes = told["identity"]["weights"]
    lines += [f"Model {m['name']}, weights {h[:12]}." for m, h in zip(told["study"]["models"], hashes, strict=True)]
    lines += [f"{name} {number}" for name, number in told["identity"]["versions"].items()]
    for title, name in _SECTIONS:
        lines += _section(store, title, name)
    return "\n".join(lines + _heads(store)) + "\n"


def _section(store: Store, title: str, name: str) -> list[str]:
    columns, rows, told = _asked(store, name)
    return ["", f"## {title}", "", *told, *table(columns, rows[:30])] if rows else []


def _heads(store: Store) -> list[str]:
    """Per column of the heads its mean, and the heads that have most and least of it."""
    columns, rows, told = _asked(store, _EXTREMES)
    return ["", "## Heads", "", *told, *table(columns, rows)] if rows else []


def _asked(store: Store, sql: str) -> tuple[list[str], list[tuple[Any, ...]], list[str]]:
    """Columns and rows, and what they are made without; nothing where the study has no such table, or none yet."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", DamagedStudy)
        try:
            columns, rows = query(store, sql)
        except StudyError:
            return [], [], []
    return columns, rows, [line for each in told for line in (f"**Damaged**: {each.message}", "")]


_EXTREMES = (
    'SELECT model, "column", avg(mean) AS mean, arg_min(layer || \'.\' || head, mean) AS least, min(mean) AS least_mean, '
    "arg_max(layer || '.' || head, mean) AS most, max(mean) AS most_mean FROM heads_all WHERE mean IS NOT NULL "
    'GROUP BY model, "column" ORDER BY model, "column"'
)


def table(columns: list[str], rows: list[tuple[Any, ...]]) -> list[str]:
    """Rows as lines of a Markdown table."""
    return [_cells(columns), _cells(["---"] * len(columns)), *[_cells([_said(cell) for cell in row]) for row in rows]]


def _cells(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _said(cell: Any) -> str:
    return "" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
