"""From the dyes that reached the rows of a site to the box of every row, and what kind of boxes they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

PlaceQuality = Literal["tile", "box", "none", "element"]


@dataclass(frozen=True, eq=False)
class Places:
    """Where the rows of queries, keys or values lie on the processed image."""

    boxes: np.ndarray
    """[rows, 4] float32: x0, y0, x1, y1 in pixels of the processed input; NaN where a row has no place."""
    tile: np.ndarray
    """[rows] int16: the tile or frame of the input; -1 for none."""
    padding: np.ndarray
    """[rows] bool: rows made of padding. Rows without a place that are no padding are prefix rows (class, register)."""
    quality: PlaceQuality = "tile"
    reason: str = ""

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def placed(self) -> np.ndarray:
        """[rows] bool: the rows that have a box."""
        return ~np.isnan(self.boxes[:, 0])

    @staticmethod
    def nowhere(rows: int, reason: str) -> Places:
        """Rows without a place."""
        none = np.full(rows, -1, np.int16)
        return Places(np.full((rows, 4), np.nan, np.float32), none, np.zeros(rows, bool), "none", reason)


@dataclass(frozen=True, eq=False)
class SitePlaces:
    """The places of one site. Queries, keys and values may lie on different grids."""

    queries: Places
    keys: Places
    values: Places
    windows: int = 1
    kind: str = "sdpa"
    channels: bool = False
    """The rows are channels, not tokens."""

    @property
    def sides(self) -> tuple[Places, Places, Places]:
        """Queries, keys, values."""
        return self.queries, self.keys, self.values


NO_SOURCE = "Nothing of the image reaches these rows before their first attention."
WHOLE_IMAGE = "Every row holds the whole image: the rows are channels or summaries, which have no place on it."


def classified(spans: dict[str, np.ndarray], reached: np.ndarray, sizes: dict[str, int], padding: np.ndarray) -> Places:
    """Boxes and their kind from the interval of every row along each axis.

    Args:
        spans: per axis (y, x, z) [rows, 2] start and stop, in pixels of the processed input (z: tiles).
        reached: [rows] bool, whether any dye reached the row.
        sizes: the extent of each axis.
        padding: [rows] bool, whether padding reached the row.
    """
    rows = len(reached)
    padding = padding & ~reached
    if not reached.any():
        nowhere = Places.nowhere(rows, NO_SOURCE)
        return Places(nowhere.boxes, nowhere.tile, padding, "none", NO_SOURCE)
    x, y, z = (np.minimum(spans[name], sizes[name]) for name in "xyz")
    boxes = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1).astype(np.float32)
    single = z[:, 1] - z[:, 0] == 1
    tile = np.where(reached & single, z[:, 0], -1).astype(np.int16)
    whole = [0, 0, sizes["x"], sizes["y"]]
    everywhere = (boxes[reached] == whole).all() and (reached.sum() > max(1, sizes["z"]) or not single[reached].all())
    placed = reached & single
    if everywhere or not placed.any():
        nowhere = Places.nowhere(rows, WHOLE_IMAGE)
        return Places(nowhere.boxes, nowhere.tile, padding, "none", WHOLE_IMAGE)
    boxes[~placed] = np.nan
    if tiles_once(boxes[placed], tile[placed], sizes):
        return Places(boxes, tile, padding)
    return Places(boxes, tile, padding, "box", "The boxes overlap or leave gaps: they are outer bounds of what a row reads.")


def tiles_once(boxes: np.ndarray, tile: np.ndarray, sizes: dict[str, int]) -> bool:
    """Whether the distinct boxes are disjoint and cover every tile."""
    distinct = np.unique(np.column_stack([tile, boxes]), axis=0).astype(int)
    count = np.zeros((sizes["z"], sizes["y"] + 1, sizes["x"] + 1), int)
    z, x0, y0, x1, y1 = distinct.T
    np.add.at(count, (z, y0, x0), 1)
    np.add.at(count, (z, y1, x1), 1)
    np.add.at(count, (z, y0, x1), -1)
    np.add.at(count, (z, y1, x0), -1)
    return bool((count.cumsum(1).cumsum(2)[:, :-1, :-1] == 1).all())


def merged(places: Places, windows: int) -> bool:
    """Whether rows of one window share a box: the dye was too coarse to tell them apart."""
    placed = places.placed.reshape(windows, -1)
    boxes = np.column_stack([places.tile, places.boxes]).reshape(windows, -1, 5)
    return any(len(np.unique(b[p], axis=0)) < p.sum() for b, p in zip(boxes, placed, strict=True))
