"""Which cells of one axis each dye covers, and which interval of cells a row must come from, given the dyes that hit it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


def stripes(cells: int) -> np.ndarray:
    """[D, cells] bool: stripes of width 1, 2, 4, ... plus the same shifted by half a width, plus all complements.

    Plain binary stripes say nothing about an interval that straddles their boundary; the shifted ones do.
    """
    index = np.arange(cells)
    sets = [np.ones(cells, bool)] if cells == 1 else []
    for bit in range(max(cells - 1, 0).bit_length()):
        shifts = (0, 1 << (bit - 1)) if bit else (0,)
        for shift in shifts:
            stripe = ((index + shift) >> bit & 1).astype(bool)
            sets += [stripe, ~stripe]
    return _distinct(np.array(sets))


def thresholds(cells: int) -> np.ndarray:
    """[D, cells] bool: everything before t and everything from t on, for every t. Exact for any interval."""
    index = np.arange(cells)
    below = index[None] < np.arange(1, cells)[:, None]
    return np.concatenate([below, ~below]) if cells > 1 else np.ones((1, 1), bool)


@dataclass(frozen=True)
class Decoded:
    """Intervals [start, stop) of cells, one per row; -1, -1 for a row that no dye reached."""

    start: np.ndarray
    stop: np.ndarray
    exact: bool
    """False where a row was hit by no single interval's set of dyes, so that only outer bounds are given."""


def decode(hits: np.ndarray, dyes: np.ndarray) -> Decoded:
    """Read the interval of every row from its hits [D, rows], given the dyes [D, cells].

    Several intervals may be hit by the same stripes. The one whose length is nearest to an even share is taken, and of
    those the one that starts at a multiple of its length. A row that every dye hits holds the whole axis.
    """
    cells = dyes.shape[1]
    packed = np.ascontiguousarray(np.packbits(hits, axis=0).T)
    _, first, inverse = np.unique(packed.view(f"V{packed.shape[1]}").ravel(), return_index=True, return_inverse=True)
    reached = np.asarray(hits[:, first].any(0))
    table = _intervals(dyes.tobytes(), cells)
    parts = reached & ~hits[:, first].all(0)
    share = cells / max(1, int(parts.sum()))
    bounds = np.full((len(first), 2), -1)
    exact = True
    for number, row in enumerate(first):
        if not reached[number]:
            continue
        candidates = table.get(packed[row].tobytes())
        if hits[:, row].all():
            bounds[number] = (0, cells)
        elif candidates is None:
            exact = False
            bounds[number] = _outer(hits[:, row], dyes)
        else:
            bounds[number] = min(candidates, key=lambda span: _oddness(span[0], span[1], share))
    start, stop = bounds[inverse.ravel()].T
    return Decoded(start, stop, exact)


def _oddness(start: int, stop: int, share: float) -> tuple[int, bool, float]:
    length = stop - start
    return round(abs(length - share)), start % length > 0, abs(length - share)


@lru_cache(maxsize=8)
def _intervals(flat: bytes, cells: int) -> dict[bytes, list[tuple[int, int]]]:
    """The intervals that are hit by each set of these dyes [D, cells]; the same for all sites of a model."""
    dyes = np.frombuffer(flat, bool).reshape(-1, cells)
    count = len(dyes)
    before = np.concatenate([np.zeros((count, 1), int), dyes.cumsum(1)], axis=1)
    starts, stops = np.triu_indices(cells + 1, k=1)
    codes = np.packbits(before[:, stops] > before[:, starts], axis=0).T
    table: dict[bytes, list[tuple[int, int]]] = {}
    for code, start, stop in zip(codes, starts, stops, strict=True):
        table.setdefault(code.tobytes(), []).append((int(start), int(stop)))
    return table


def _outer(hits: np.ndarray, dyes: np.ndarray) -> tuple[int, int]:
    possible = np.flatnonzero(~dyes[~hits].any(0))
    return (int(possible[0]), int(possible[-1]) + 1) if len(possible) else (0, dyes.shape[1])


def _distinct(sets: np.ndarray) -> np.ndarray:
    kept = sets[sets.any(1)]
    _, first = np.unique(kept, axis=0, return_index=True)
    return kept[np.sort(first)]
