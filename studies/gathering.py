"""The rows of one shard, put together as they are found, and their statistics."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from model_adapters import Site
from studies.measures.registry import KEYS, Lines, PerHead, PerLayer
from studies.spec import Study
from studies.statistics import Moments, moments
from studies.work import Shard

if TYPE_CHECKING:
    from studies.measures import Batch
    from studies.running import Fault

_TEXTS = {"key", "label", "predicted", "site", "tower", "name", "word", "pruner", "question", "text", "reason", "caption"}
_NUMBERS = {"record", "model", "layer", "call", "head", "width", "height", "tokens", "index", "budget", "rank", "among"}
_TRUTHS = {"right", "there", "right_in_full"}


class Gathered:
    """Columns by table, in the order of the records."""

    def __init__(self, study: Study, shard: Shard) -> None:
        self.study, self.shard = study, shard
        self.faults: list[Fault] = []
        self.records = 0
        self._parts: dict[str, list[dict[str, Any]]] = {}

    def add(self, batch: Batch, found: Iterable[PerHead | PerLayer | Lines]) -> None:
        """The rows of a batch; nothing is kept of one whose rows cannot be made."""
        heads, layers = _Grid(2), _Grid(1)
        made: list[tuple[str, dict[str, Any]]] = [("images", _images(batch))]
        numbers = np.array(batch.numbers)
        for one in found:
            if isinstance(one, Lines):
                if one.item:
                    made.append((one.table, {"record": numbers[list(one.item)], **one.columns}))
            else:
                (heads if isinstance(one, PerHead) else layers).add(one.sites, one.columns)
        made += [("heads", heads.rows(numbers))] if heads.columns else []
        made += [("layers", layers.rows(numbers))] if layers.columns else []
        for table, columns in made:
            self._parts.setdefault(table, []).append(columns)
        self.records += len(batch.records)

    def tables(self) -> dict[str, pa.Table]:
        """All tables with what was broken, and the statistics of their numbers."""
        found = {name: self._table(parts) for name, parts in self._parts.items()}
        totals = [t for name, table in found.items() for t in _totals(name, table)]
        if totals:
            found["totals"] = pa.concat_tables(totals)
        if self.faults:
            ordered = sorted(self.faults, key=lambda fault: fault.number)
            columns = {
                "record": [f.number for f in ordered], "key": [f.key for f in ordered], "reason": [f.reason for f in ordered]
            }  # fmt: skip
            found["faults"] = self._table([columns])
        return found

    def _table(self, parts: list[dict[str, Any]]) -> pa.Table:
        names = list(dict.fromkeys(name for part in parts for name in part))
        arrays: dict[str, pa.Array] = {}
        lengths = [len(part["record"]) for part in parts]
        for name in names:
            values = [part.get(name, [None] * n) for part, n in zip(parts, lengths, strict=True)]
            arrays[name] = _array(name, values)
        order = np.argsort(arrays["record"].to_numpy(), kind="stable")
        table = pa.table(arrays).take(pa.array(order))
        return table.add_column(0, "model", pa.array(np.full(len(table), self.shard.model, np.int16)))


class _Grid:
    """Numbers per head (or layer) of several measures, side by side."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.places: dict[Site, None] = {}
        self.columns: dict[str, dict[Site, np.ndarray]] = {}

    def add(self, sites: tuple[Site, ...], columns: dict[str, np.ndarray]) -> None:
        self.places |= dict.fromkeys(sites)
        for name, values in columns.items():
            by_site = self.columns.setdefault(name, {})
            for layer, site in enumerate(sites):
                by_site[site] = values[:, layer, : site.heads] if self.depth == 2 else values[:, layer, None]

    def rows(self, numbers: np.ndarray) -> dict[str, Any]:
        """One row per record, site and head."""
        sites = sorted(self.places, key=lambda s: (s.tower, s.layer, s.call, s.name))
        wide = [site.heads if self.depth == 2 else 1 for site in sites]
        batch, count = len(numbers), sum(wide)
        spread = {"layer": [s.layer for s in sites], "call": [s.call for s in sites]}
        found: dict[str, Any] = {"record": np.repeat(numbers, count)}
        for name, texts in (("tower", [s.tower for s in sites]), ("site", [s.name for s in sites])):
            found[name] = _repeated(texts, wide, batch)
        for name, values in spread.items():
            found[name] = np.tile(np.repeat(values, wide), batch)
        if self.depth == 2:
            found["head"] = np.tile(np.concatenate([np.arange(n) for n in wide]), batch)
        for name, by_site in self.columns.items():
            parts = [by_site.get(s, np.full((batch, n), np.nan)) for s, n in zip(sites, wide, strict=True)]
            found[name] = np.concatenate(parts, 1).ravel().astype(np.float32)
        return found


def _repeated(texts: list[str], wide: list[int], batch: int) -> pa.Array:
    """Each text as often as its site has heads, for each record: as a dictionary, which takes no room."""
    kinds = list(dict.fromkeys(texts))
    codes = np.tile(np.repeat([kinds.index(t) for t in texts], wide), batch).astype(np.int16)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(kinds)).cast(pa.string())


def _images(batch: Batch) -> dict[str, Any]:
    records = batch.records
    found: dict[str, Any] = {
        "record": np.array(batch.numbers), "key": [r.key for r in records], "label": [r.label for r in records],
        "width": [r.image.width for r in records], "height": [r.image.height for r in records],
    }  # fmt: skip
    if batch.model.classes.of != "classes":
        return found
    scores = batch.logits
    best, names = scores.argmax(-1), batch.model.labels
    said = [names[n] if names and n < len(names) else str(n) for n in best]
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    known = set(names or ()) | {str(n) for n in range(scores.shape[-1])}
    right = [_is_right(r.label, s, int(n), known) for r, s, n in zip(records, said, best, strict=True)]
    probability = (shares.max(-1) / shares.sum(-1)).astype(np.float32)
    return {**found, "predicted": said, "probability": probability, "right": right}


def _is_right(label: str | None, said: str, number: int, known: set[str]) -> bool | None:
    return None if label is None or label not in known else label in (said, str(number))


def _array(name: str, parts: list[Any]) -> pa.Array:
    if all(isinstance(part, pa.Array) for part in parts):
        return pa.concat_arrays(parts)
    flat = np.concatenate(parts) if all(isinstance(p, np.ndarray) for p in parts) else [v for part in parts for v in part]
    kind = (
        pa.string() if name in _TEXTS else pa.int64() if name in _NUMBERS else pa.bool_() if name in _TRUTHS else pa.float32()
    )  # fmt: skip
    return pa.array(flat, kind, from_pandas=kind == pa.float32())  # no number is NULL, so that SQL leaves it out


def _totals(name: str, table: pa.Table) -> Iterable[pa.Table]:
    """Per group and column of numbers their mergeable statistics."""
    keys = ("model", *KEYS.get(name, ()))
    if not len(table) or name not in KEYS:
        return
    groups, told = _groups(table, keys)
    skipped = {"model", "record", "width", "height", "index", *KEYS[name]}
    for column in table.column_names:
        kind = table.schema.field(column).type
        if column in skipped or not (pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_integer(kind)):
            continue
        values = table[column].cast(pa.float32()).to_numpy()
        found = moments(values, groups, len(told))
        yield told_moments(name, column, told, found)


def told_moments(name: str, column: str, groups: list[str], found: Moments) -> pa.Table:
    """The statistics of one column of a table as rows, one per group."""
    starts = pa.array(np.searchsorted(found.buckets[:, 0], np.arange(len(groups) + 1)), pa.int32())
    return pa.table({
        "table": pa.array([name] * len(groups)), "column": pa.array([column] * len(groups)), "group": pa.array(groups),
        "count": found.count, "total": found.total[:, 0], "total_rest": found.total[:, 1], "square": found.square[:, 0],
        "square_rest": found.square[:, 1], "low": found.low, "high": found.high,
        "bucket": pa.ListArray.from_arrays(starts, pa.array(found.buckets[:, 1])),
        "times": pa.ListArray.from_arrays(starts, pa.array(found.buckets[:, 2])),
    })  # fmt: skip


def _groups(table: pa.Table, keys: tuple[str, ...]) -> tuple[np.ndarray, list[str]]:
    """[N] the number of each row's group, and the groups as JSON."""
    coded = [table[key].combine_chunks().dictionary_encode() for key in keys]
    codes = np.stack([one.indices.to_numpy(zero_copy_only=False) for one in coded], -1)
    kinds, inverse = np.unique(codes, axis=0, return_inverse=True)
    told = [
        json.dumps({key: one.dictionary[int(c)].as_py() for key, one, c in zip(keys, coded, row, strict=True)}) for row in kinds
    ]  # fmt: skip
    return inverse.ravel(), told
