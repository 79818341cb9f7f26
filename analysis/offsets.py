"""Which offset on the grid each pair of a query and a key has: attention seen from the query's own place.

Offsets are counted in cells of the keys' grid. Windows, tiles and several images are respected: a pair exists where
the query really meets the key, and both lie in the same tile of the same image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.token_rows import patches_of
from model_adapters import Layout, Rows


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs of patches of one site."""

    query: np.ndarray
    """[P] query row."""
    key: np.ndarray
    """[P] column of the weights (the key's number in its window)."""
    key_row: np.ndarray
    """[P] the key's number among all keys of the site."""
    dy: np.ndarray
    """[P] rows from the query down to the key."""
    dx: np.ndarray
    """[P] columns from the query right to the key."""
    reach: tuple[int, int]
    """The farthest offset: rows, columns."""
    queries: int
    """How many queries are patches."""

    def aligned(self, numbers: np.ndarray) -> np.ndarray:
        """[2 * rows + 1, 2 * columns + 1]: numbers [P] summed over pairs of equal offset, the query in the middle."""
        rows, columns = self.reach
        shape = (2 * rows + 1, 2 * columns + 1)
        flat = (self.dy + rows) * shape[1] + self.dx + columns
        return np.bincount(flat, weights=numbers, minlength=shape[0] * shape[1]).reshape(shape)

    def of(self, weights: np.ndarray) -> np.ndarray:
        """[..., P]: the weights [..., Q, K] of the pairs."""
        return weights[..., self.query, self.key]


def has_pairs(layout: Layout) -> bool:
    """Whether patches attend to patches at this site; fusion by class tokens alone, say, has no pairs."""
    sides = (layout.queries, layout.keys)
    return layout.quality != "none" and all((patches_of(rows, len(rows)) & rows.placed).any() for rows in sides)


def pairs_of(layout: Layout) -> Pairs:
    """The pairs of patches that meet at a site."""
    queries, keys = layout.queries, layout.keys
    per_query, per_key = len(queries) // layout.windows, len(keys) // layout.windows
    query = np.repeat(np.arange(len(queries)), per_key)
    key = np.tile(np.arange(per_key), len(queries))
    key_row = query // per_query * per_key + key
    is_query = patches_of(queries, len(queries)) & queries.placed
    meets = is_query[query] & (patches_of(keys, len(keys)) & keys.placed)[key_row]
    for name in ("image", "tile", "frame"):
        meets &= getattr(queries, name)[query] == getattr(keys, name)[key_row]
    if not meets.any():
        raise ValueError(
            f"patches that lie on the image are needed. This site has none: {layout.reason or 'no pair of them meets'}."
        )
    query, key, key_row = query[meets], key[meets], key_row[meets]
    width, height = _cell(keys)
    away = _centres(keys)[key_row] - _centres(queries)[query]
    dx, dy = np.rint(away[:, 0] / width).astype(int), np.rint(away[:, 1] / height).astype(int)
    reach = int(np.abs(dy).max()), int(np.abs(dx).max())
    return Pairs(query, key, key_row, dy, dx, reach, int(is_query.sum()))


def _centres(rows: Rows) -> np.ndarray:
    return (rows.boxes[:, :2] + rows.boxes[:, 2:]) / 2


def _cell(rows: Rows) -> tuple[float, float]:
    boxes = rows.boxes[rows.placed]
    return float(np.median(boxes[:, 2] - boxes[:, 0])), float(np.median(boxes[:, 3] - boxes[:, 1]))
