"""Find heads that ...: one record per head joining all that is known of it, and conditions as plain data.

Nothing is evaluated: a condition names a number (or the type) and a bound, and every head found comes with the values
that met the conditions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from analysis.head_types import HeadTypes
from analysis.results import HeadMatrix
from model_adapters import Site


@dataclass(frozen=True, eq=False)
class HeadTable:
    """All heads and all that is known of them."""

    heads: tuple[tuple[Site, int], ...]
    """[P]."""
    names: tuple[str, ...]
    """[M] of the numbers."""
    values: np.ndarray
    """[P, M]; NaN where unknown."""
    types: tuple[str, ...]
    """[P] the types that each head is made of, joined by " + "."""
    confidence: np.ndarray
    """[P]."""
    typical: tuple[tuple[int, ...], ...] = ()
    """[P] each head's most typical images, where they were looked for."""

    def column(self, name: str) -> np.ndarray:
        """[P]: one number of all heads."""
        if name not in self.names:
            raise ValueError(f"no number {name!r} is known of the heads. There are {list(self.names)}.")
        return self.values[:, self.names.index(name)]


@dataclass(frozen=True)
class Condition:
    """A number between two bounds (both allowed), or among the highest or lowest share of all heads."""

    name: str
    least: float = -np.inf
    most: float = np.inf
    top: float | None = None
    """Among the highest share of heads, 0 to 1."""
    bottom: float | None = None

    def met(self, table: HeadTable) -> np.ndarray:
        """[P] bool."""
        column = table.column(self.name)
        known = ~np.isnan(column)
        met = known & (column >= self.least) & (column <= self.most)
        rank = np.argsort(np.argsort(np.where(known, column, -np.inf), kind="stable"), kind="stable") - (~known).sum()
        for share, place in ((self.top, known.sum() - 1 - rank), (self.bottom, rank)):
            if share is not None:
                met &= place < max(1, round(share * known.sum()))
        return met

    def __str__(self) -> str:
        parts = [
            f"at least {self.least:g}" if self.least > -np.inf else "",
            f"at most {self.most:g}" if self.most < np.inf else "",
        ]
        parts += [f"among the highest {self.top:.0%}" if self.top is not None else ""]
        parts += [f"among the lowest {self.bottom:.0%}" if self.bottom is not None else ""]
        return f"{self.name} {' and '.join(filter(None, parts)) or 'known'}"


@dataclass(frozen=True)
class OfType:
    """One of these types, alone or as part of a hybrid."""

    types: tuple[str, ...]
    confidence: float = 0.0
    alone: bool = False

    def met(self, table: HeadTable) -> np.ndarray:
        """[P] bool."""
        parts = [t.split(" + ") for t in table.types]
        fits = [bool(set(p) & set(self.types)) and not (self.alone and len(p) > 1) for p in parts]
        return np.array(fits, bool) & (np.nan_to_num(table.confidence) >= self.confidence)

    def __str__(self) -> str:
        return f"{'only ' if self.alone else ''}{' or '.join(self.types)}"


@dataclass(frozen=True)
class FoundHead:
    """A head that meets all conditions, with the evidence."""

    site: Site
    head: int
    type: str
    confidence: float
    evidence: tuple[tuple[str, float], ...]
    """The numbers that the conditions speak of."""
    record: tuple[tuple[str, float], ...]
    """All that is known of the head."""
    typical: tuple[int, ...] = ()


def head_table(
    types: HeadTypes,
    matrices: Mapping[str, HeadMatrix] | None = None,
    typical: Mapping[tuple[Site, int], tuple[int, ...]] | None = None,
) -> HeadTable:
    """Join the types and measures of all heads with other matrices (importance, strength, attention on the object)."""
    matrices, typical = matrices or {}, typical or {}
    names = (*types.measures.names, *matrices)
    if len(set(names)) < len(names):
        raise ValueError(f"names must differ. Got {list(matrices)} beside the measures {list(types.measures.names)}.")
    heads, values, kinds, confidence = [], [], [], []
    for row, site in enumerate(types.sites):
        for head in range(types.types.shape[1]):
            if types.types[row, head]:
                heads.append((site, head))
                values.append([*types.measures.values[row, head], *(_of(m, site, head) for m in matrices.values())])
                kinds.append(str(types.parts[row, head]))
                confidence.append(types.confidence[row, head])
    return HeadTable(
        tuple(heads), names, np.array(values, float), tuple(kinds), np.array(confidence), tuple(typical.get(h, ()) for h in heads)
    )


def find_heads(
    table: HeadTable, conditions: Iterable[Condition | OfType], *, sort_by: str | None = None
) -> tuple[FoundHead, ...]:
    """The heads that meet all conditions, the highest `sort_by` first, each with its evidence."""
    conditions = tuple(conditions)
    met = np.ones(len(table.heads), bool)
    for condition in conditions:
        met &= condition.met(table)
    found = np.flatnonzero(met)
    if sort_by is not None:
        found = found[np.argsort(-np.nan_to_num(table.column(sort_by)[found], nan=-np.inf), kind="stable")]
    told = tuple(dict.fromkeys(c.name for c in conditions if isinstance(c, Condition)))
    return tuple(_found(table, int(i), told) for i in found)


def _found(table: HeadTable, index: int, told: tuple[str, ...]) -> FoundHead:
    record = tuple((name, float(value)) for name, value in zip(table.names, table.values[index], strict=True))
    evidence = tuple((name, value) for name, value in record if name in told)
    typical = table.typical[index] if table.typical else ()
    return FoundHead(*table.heads[index], table.types[index], float(table.confidence[index]), evidence, record, typical)


def _of(matrix: HeadMatrix, site: Site, head: int) -> float:
    if site not in matrix.sites or head >= matrix.values.shape[1]:
        return float("nan")
    return float(matrix.values[matrix.sites.index(site), head])
