"""From the dyes that reached the rows of a site to the box of every row, and what kind of boxes they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    spread: np.ndarray | None = None
    """[rows] bool: rows that hold the whole image, and so have no place on it; None for none."""

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def placed(self) -> np.ndarray:
        """[rows] bool: the rows that have a box."""
        return ~np.isnan(self.boxes[:, 0])

    @property
    def whole(self) -> bool:
        """Rows were reached, but each by the whole image."""
        return self.quality == "none" and self.spread is not None

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
    shared: bool = False
    """Weights are no product with keys: all query rows of a window belong to one token."""

    @property
    def sides(self) -> tuple[Places, Places, Places]:
        """Queries, keys, values."""
        return self.queries, self.keys, self.values


NO_SOURCE = "Nothing of the image reaches these rows before their first attention."
WHOLE_IMAGE = "Every row holds the whole image: the rows are channels or summaries, which have no place on it."


def classified(spans: dict[str, np.ndarray], reached: np.ndarray, extent: np.ndarray, padding: np.ndarray) -> Places:
    """Boxes and their kind from the interval of every row along each axis.

    Args:
        spans: per axis (y, x, z) [rows, 2] start and stop, in pixels of the processed input (z: tiles or frames).
        reached: [rows] bool, whether any dye reached the row.
        extent: [tiles, 2] height and width of every tile or frame.
        padding: [rows] bool, whether padding reached the row.
    """
    rows, padding = len(reached), padding & ~reached
    if not reached.any():
        return replace(Places.nowhere(rows, NO_SOURCE), padding=padding)
    height, width = extent.max(0)
    x, y, z = (np.minimum(spans[name], size) for name, size in zip("xyz", (width, height, len(extent)), strict=True))
    boxes = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1).astype(np.float32)
    boxes[~reached] = np.nan
    tile = np.where(reached, z[:, 0], -1).astype(np.int16)
    blocks = np.column_stack([z, y, x])[reached]
    if len(blocks) > 1 and (blocks == [0, len(extent), 0, height, 0, width]).all():
        return replace(Places.nowhere(rows, WHOLE_IMAGE), padding=padding, spread=reached)
    if tiles_once(blocks, extent):
        return Places(boxes, tile, padding)
    return Places(boxes, tile, padding, "box", "The boxes overlap or leave gaps: they are outer bounds of what a row reads.")


def judged(place: SitePlaces, extent: np.ndarray, *, drop_whole: bool = False) -> SitePlaces:
    """The same places, where gaps are no fault: boxes that never overlap are tiles.

    With `drop_whole`, rows that hold the whole image beside rows that hold a part of it lose their place.
    """
    sides = [_unspread(side, extent) if drop_whole else side for side in place.sides]
    sides = [replace(s, quality="tile", reason="") if s.quality == "box" and _disjoint(s, extent) else s for s in sides]
    return replace(place, queries=sides[0], keys=sides[1], values=sides[2])


def _unspread(places: Places, extent: np.ndarray) -> Places:
    height, width = extent.max(0)
    whole = (places.boxes == [0, 0, width, height]).all(1)
    if not whole.any() or whole[places.placed].all():
        return places
    boxes, tile = places.boxes.copy(), places.tile.copy()
    boxes[whole], tile[whole] = np.nan, -1
    return replace(places, boxes=boxes, tile=tile, spread=whole)


def _disjoint(places: Places, extent: np.ndarray) -> bool:
    placed = places.placed
    x0, y0, x1, y1 = places.boxes[placed].astype(int).T
    z = places.tile[placed].astype(int)
    blocks = np.column_stack([z, z + 1, y0, y1, x0, x1])
    return bool((_coverage(blocks, extent) <= 1).all())


def tiles_once(blocks: np.ndarray, extent: np.ndarray) -> bool:
    """Whether the distinct blocks [n, 6] (z, y and x from, to) are disjoint and cover every tile.

    A margin at the right or lower edge that is too small for another block does not count.
    """
    count = _coverage(blocks, extent)
    inside = np.zeros(count.shape, int)
    for number, (height, width) in enumerate(extent):
        y, x = (_covered(blocks[:, i + 1], blocks[:, i], size) for i, size in ((2, height), (4, width)))
        inside[number, :y, :x] = 1
    return bool((count == inside).all())


def _covered(stop: np.ndarray, start: np.ndarray, size: int) -> int:
    """The extent up to the last block, if less than a block is missing."""
    reached = int(stop.max())
    return reached if 0 <= size - reached < int((stop - start).min()) else size


def _coverage(blocks: np.ndarray, extent: np.ndarray) -> np.ndarray:
    """[tiles, height, width]: how many distinct blocks lie over each pixel."""
    count = np.zeros((len(extent) + 1, *(extent.max(0) + 1)), np.int32)
    z, y, x = np.unique(blocks, axis=0).T.reshape(3, 2, -1)
    for dz, dy, dx in np.ndindex(2, 2, 2):
        np.add.at(count, (z[dz], y[dy], x[dx]), (-1) ** (dz + dy + dx))
    return count.cumsum(0).cumsum(1).cumsum(2)[:-1, :-1, :-1]


_MERGED = "Several rows of one window share a box: the model mixed them before, so boxes are outer bounds."


def merges(place: SitePlaces) -> bool:
    """Whether rows of one window share a box: the dye was too coarse to tell them apart, or the model mixed them."""
    return any(_merged(side, place.windows) for side in place.sides[place.shared :])


def said_merged(place: SitePlaces) -> SitePlaces:
    """The same places, where rows that share a box are called boxes."""
    queries, keys, values = (
        replace(s, quality="box", reason=_MERGED) if _merged(s, place.windows) else s for s in place.sides
    )
    return replace(place, queries=place.queries if place.shared else queries, keys=keys, values=values)


def _merged(places: Places, windows: int) -> bool:
    if places.quality in ("none", "element"):
        return False
    windows = windows if len(places) % windows == 0 else 1
    placed = places.placed.reshape(windows, -1)
    boxes = np.column_stack([places.tile, places.boxes]).reshape(windows, -1, 5)
    return any(len(np.unique(b[p], axis=0)) < p.sum() for b, p in zip(boxes, placed, strict=True))


def united(first: SitePlaces, second: SitePlaces) -> SitePlaces:
    """The places of one site when images come in at two doors: that of the first door, else that of the second."""
    sides = [_united(a, b) for a, b in zip(first.sides, second.sides, strict=True)]
    return replace(first, queries=sides[0], keys=sides[1], values=sides[2])


def _united(first: Places, second: Places) -> Places:
    if not second.placed.any() or len(first) != len(second):
        return first
    if not first.placed.any():
        return second
    mine = first.placed
    if not (second.placed & ~mine).any():
        return first
    worse = first if first.quality == "box" else second
    return Places(
        np.where(mine[:, None], first.boxes, second.boxes), np.where(mine, first.tile, second.tile),
        first.padding & second.padding, worse.quality, worse.reason,
    )  # fmt: skip


def moved(place: SitePlaces, tiles: int) -> SitePlaces:
    """The same places with tiles numbered on from `tiles`."""
    sides = [replace(s, tile=np.where(s.tile < 0, s.tile, s.tile + tiles).astype(np.int16)) for s in place.sides]
    return replace(place, queries=sides[0], keys=sides[1], values=sides[2])
