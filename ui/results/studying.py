"""What the page Studies shows of a store: studies there are, numbers per head, the records behind one, their pictures."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.results import HeadMatrix
from model_adapters import Site
from studies.conduct import conduct, readable
from studies.damage import Damage, sentences
from studies.data import opened
from studies.errors import StudyError
from studies.reading import query
from studies.spec import Study, study_of
from studies.store import Store, read_table
from studies.telling import Status, listed
from studies.totals import Totals
from ui.pictures import Picture
from ui.results import study_groups
from ui.results.study_groups import Groups

if TYPE_CHECKING:
    import pyarrow as pa

    from studies.data import Record

RECORDED = Path(__file__).resolve().parents[2] / "assets" / "studies"
STATISTICS = ("mean", "deviation", "q50", "q95", "q05")
_TRIED = 2
"""Batches that an estimate runs."""


def folder() -> str:
    """Where studies of this server lie."""
    return os.environ.get("HEADLIGHT_STUDIES", "studies-results")


def known() -> dict[str, Status]:
    """By a name for the link: the studies of this server, and those that come with the app."""
    own = {each.url.rstrip("/").rsplit("/", 1)[-1]: each for each in listed(folder())}
    return own | {f"recorded-{each.name}": each for each in listed(str(RECORDED))}


def study_in(store: Store) -> Study:
    """The study that a store holds."""
    return study_of({**readable(store.manifest()["study"]), "store": store.url})


def summary(store: Store, table: str) -> pa.Table | None:
    """The aggregated table: of the finished study, or of the shards that are there so far."""
    if _has_statistics(store, table):
        return read_table(store.statistics(table))
    with _ADDING:
        totals = _totals(store, store.manifest()["created"], store.damage("totals"))
        totals.update()
        return totals.table(table) if table in totals.tables else None


_ADDING = threading.Lock()


@lru_cache(maxsize=4)
def _totals(store: Store, created: float, damage: tuple[Damage, ...]) -> Totals:
    """What was read of a study that is not finished: each look adds the shards that came since."""
    return Totals(store)


def _has_statistics(store: Store, table: str) -> bool:
    return store.statistics(table).exists() and not store.damage(f"{table}_all")


def lacking(store: Store, *tables: str) -> tuple[str, ...]:
    """What figures made of these tables lack, a sentence for each kind of damage; "heads_all" is the summary of heads."""
    read = {table for table in tables if not table.endswith("_all")}
    if any(table.endswith("_all") and not _has_statistics(store, table.removesuffix("_all")) for table in tables):
        read.add("totals")
    return sentences(store.damage(*read)) if read else ()


def edition(store: Store) -> tuple[Any, ...]:
    """Another one whenever there is more, or less, to read in a store."""
    return len(store.done()), store.damage()


def so_far(store: Store) -> HeadMatrix | Groups | None:
    """The first picture of a study that runs; None before its first shard."""
    found = summary(store, "heads")
    if found is not None and len(found):
        return matrix(found, 0, towers(found, 0)[0], columns(found)[0], "mean")
    tables = study_groups.tables(store, 0)
    return study_groups.groups(store, tables[0], 0, study_groups.GROUPINGS[tables[0]].start) if tables else None


def columns(found: pa.Table) -> list[str]:
    """What was measured, in the order of the alphabet."""
    return sorted(set(found["column"].to_pylist()))


def towers(found: pa.Table, model: int) -> list[str]:
    """The towers of a model that have numbers."""
    return list(dict.fromkeys(row["tower"] for row in found.to_pylist() if row["model"] == model))


def matrix(found: pa.Table, model: int, tower: str, column: str, statistic: str) -> HeadMatrix:
    """One statistic of one measure for every head of a tower."""
    rows = [r for r in found.to_pylist() if (r["model"], r["tower"], r["column"]) == (model, tower, column)]
    places = sorted({(r["layer"], r["call"], r["site"]) for r in rows})
    heads = 1 + max(r["head"] for r in rows)
    values = np.full((len(places), heads), np.nan)
    for row in rows:
        value = row[statistic]
        values[places.index((row["layer"], row["call"], row["site"])), row["head"]] = np.nan if value is None else value
    sites = tuple(Site(site, call, tower, layer, heads=heads) for layer, call, site in places)
    return HeadMatrix(values, sites, label=f"{column.replace('_', ' ')}, {_SAID[statistic]}")


_SAID = {"mean": "mean", "deviation": "standard deviation", "q50": "median", "q95": "95th percentile", "q05": "5th percentile"}


@dataclass(frozen=True)
class Line:
    """One record behind a number."""

    record: int
    key: str
    label: str
    value: float


def behind(store: Store, model: int, site: Site, head: int, column: str, *, most: bool, count: int = 6) -> list[Line]:
    """The records in which a head has most, or least, of what was measured."""
    name = column.replace('"', "")
    _, rows = query(
        store,
        f'SELECT h.record, i.key, i.label, h."{name}" FROM heads h JOIN images i ON h.model = i.model AND h.record = i.record '
        f"WHERE h.model = {model:d} AND h.site = '{_quoted(site.name)}' AND h.call = {site.call:d} AND h.head = {head:d} "
        f'AND h."{name}" IS NOT NULL AND NOT isnan(h."{name}") ORDER BY h."{name}" {"DESC" if most else "ASC"}, h.record '
        f"LIMIT {count:d}",
    )
    return [Line(int(record), str(key), "" if label is None else str(label), float(value)) for record, key, label, value in rows]


def _quoted(text: str) -> str:
    return text.replace("'", "''")


@lru_cache(maxsize=128)
def picture(url: str, record: int) -> Picture:
    """The picture of a record, read from the study's data again.

    Raises:
        StudyError: the data is no longer there.
    """
    found = _record(study_in(Store(url)), record)
    return Picture(f"study:{record}", found.key, np.asarray(found.image.convert("RGB")), f"of the study's data: {found.key}")


def _record(study: Study, number: int) -> Record:
    try:
        source = opened(study.data)
        for first, items in source.chunks(study.shard, study.data.limit):
            if first + study.shard <= number and len(items) == study.shard:
                continue
            for pending in source.pending(first, items):
                if pending.number == number:
                    return pending.read()
    except OSError as error:
        raise StudyError(f"the data of this study cannot be read here: {error}.") from error
    raise StudyError(f"record {number} is not in the study's data any more.")


@dataclass(frozen=True)
class Cost:
    """What a study would take on this machine."""

    seconds: float
    each: float
    """Seconds per record."""
    shards: int
    records: int
    """At most."""


def cost(study: Study) -> Cost:
    """What a study would take, from running a few of its records."""
    few = min(_TRIED * study.batch, study.data.limit or _TRIED * study.batch)
    shards = sum(1 for _ in _chunks(study))
    seconds = []
    for number, model in enumerate(study.models):
        with TemporaryDirectory() as place:
            data, shard = replace(study.data, limit=few), max(1, few // _TRIED)
            tried = replace(study, models=(model,), data=data, shard=shard, store=f"{place}/{number}")
            last = [progress.last for progress in _reports(tried) if progress.last is not None][-1]
        seconds.append(last.seconds / max(last.records + last.broken, 1))
    records = shards * study.shard if study.data.limit is None else min(shards * study.shard, study.data.limit)
    return Cost(records * sum(seconds), sum(seconds) / len(seconds), shards * len(study.models), records)


def _chunks(study: Study) -> Iterator[Any]:
    return opened(study.data).chunks(study.shard, study.data.limit)


def _reports(study: Study) -> list[Any]:
    told: list[Any] = []
    conduct(study, report=told.append)
    return told
