"""Statistics over all records, merged from those of the shards: the aggregated tables, while a study runs and after."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from studies.damage import facts_of
from studies.statistics import Moments, merged
from studies.store import Store, parquet, read_table

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Totals:
    """What is known over the shards read so far. Memory grows with the number of groups, not with the data."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.seen: set[str] = set()
        self._found: dict[tuple[str, str], tuple[list[str], Moments]] = {}

    def update(self) -> int:
        """Read the shards that came since; how many there were."""
        new = [shard for shard in self.store.done() if shard not in self.seen]
        sound = {file.path for file in self.store.files("totals")}
        for shard in new:
            file = self.store.file_of("totals", shard)
            if file.path in sound:
                self._add(read_table(file))
            self.seen.add(shard)
        return len(new)

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that have statistics."""
        return tuple(dict.fromkeys(table for table, _ in self._found))

    def table(self, name: str) -> pa.Table:
        """One row per group and column: count, mean, deviation, extremes and quantiles."""
        parts = [self._rows(column, *found) for (table, column), found in sorted(self._found.items()) if table == name]
        return pa.concat_tables(parts)

    def write(self) -> dict[str, Any]:
        """Write the aggregated tables of a finished study; what the manifest holds of their files."""
        facts = {}
        for name in self.tables:
            table = self.table(name)
            content = parquet(table)
            self.store.statistics(name).write(content)
            facts[name] = facts_of(content, len(table))
        return facts

    def _add(self, table: pa.Table) -> None:
        names, columns = (np.array(table[key].to_pylist(), object) for key in ("table", "column"))
        for key in dict.fromkeys(zip(names, columns, strict=True)):
            part = table.filter(pa.array((names == key[0]) & (columns == key[1])))
            groups, found = part["group"].to_pylist(), _moments(part)
            if key in self._found:
                groups, found = _merged(self._found[key], (groups, found))
            self._found[key] = groups, found

    def _rows(self, column: str, groups: list[str], found: Moments) -> pa.Table:
        told = [json.loads(group) for group in groups]
        keys = {name: pa.array([one[name] for one in told]) for name in told[0]}
        numbers = {"mean": found.mean, "deviation": found.deviation, "low": found.low, "high": found.high}
        numbers |= {f"q{round(100 * share):02d}": found.quantile(share) for share in QUANTILES}
        known = {name: pa.array(np.where(np.isfinite(v), v, np.nan), from_pandas=True) for name, v in numbers.items()}
        return pa.table({**keys, "column": pa.array([column] * len(groups)), "count": found.count, **known})


def _merged(first: tuple[list[str], Moments], second: tuple[list[str], Moments]) -> tuple[list[str], Moments]:
    if first[0] == second[0]:
        return first[0], merged(first[1], second[1])
    groups = sorted({*first[0], *second[0]})
    return groups, merged(_placed(*first, groups), _placed(*second, groups))


def _placed(own: list[str], found: Moments, groups: list[str]) -> Moments:
    """The same statistics among more groups."""
    place = {group: number for number, group in enumerate(groups)}
    at = np.array([place[group] for group in own], np.int64)

    def spread(values: np.ndarray, fill: Any) -> np.ndarray:
        wide = np.full((len(groups), *values.shape[1:]), fill, values.dtype)
        wide[at] = values
        return wide

    buckets = found.buckets.copy()
    buckets[:, 0] = at[buckets[:, 0]]
    return replace(
        found, count=spread(found.count, 0), total=spread(found.total, 0.0), square=spread(found.square, 0.0),
        low=spread(found.low, np.inf), high=spread(found.high, -np.inf), buckets=buckets[np.lexsort(buckets.T[::-1])],
    )  # fmt: skip


def _moments(part: pa.Table) -> Moments:
    lists = part["bucket"].combine_chunks()
    counts = np.diff(lists.offsets.to_numpy())
    groups = np.repeat(np.arange(len(part)), counts)
    buckets = np.stack([groups, lists.flatten().to_numpy(), part["times"].combine_chunks().flatten().to_numpy()], -1)
    total, square = (np.stack([part[n].to_numpy(), part[f"{n}_rest"].to_numpy()], -1) for n in ("total", "square"))
    low, high = part["low"].to_numpy(), part["high"].to_numpy()
    return Moments(part["count"].to_numpy(), total, square, low, high, buckets.astype(np.int64))


