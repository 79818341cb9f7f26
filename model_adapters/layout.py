"""Where the rows of a site lie on the image: the result of the geometry, and all that analyses know of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

Quality = Literal["tile", "box", "none"]

ROLES = (
    "patch", "class", "distillation", "register", "pad", "image", "text", "system", "question", "answer", "bos",
    "separator", "query", "channel", "feature", "unknown",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Rows:
    """One row per token (window by window where a site has windows)."""

    roles: np.ndarray
    """[N] of str, each one of `ROLES`."""
    boxes: np.ndarray
    """[N, 4] float32: x0, y0, x1, y1 in pixels of the original image; NaN where the token has no place."""
    image: np.ndarray
    """[N] int16: which of the given images; -1 for none."""
    tile: np.ndarray
    """[N] int16: which tile of that image (-1: none; the thumbnail has a tile number of its own)."""
    frame: np.ndarray
    """[N] int16: which video frame; 0 for still images, -1 for none."""

    def __post_init__(self) -> None:
        n = len(self.roles)
        if self.boxes.shape != (n, 4) or any(len(a) != n for a in (self.image, self.tile, self.frame)):
            raise ValueError(f"Rows need one box [4], image, tile and frame per role. Got {n} roles, boxes {self.boxes.shape}.")

    def __len__(self) -> int:
        return len(self.roles)

    @property
    def placed(self) -> np.ndarray:
        """[N] bool: the rows that have a box."""
        return ~np.isnan(self.boxes[:, 0])

    def where(self, *roles: str) -> np.ndarray:
        """Row numbers of the tokens in any of these roles."""
        return np.flatnonzero(np.isin(self.roles, roles))

    def take(self, index: np.ndarray) -> Rows:
        """The rows of these numbers, in this order."""
        return Rows(self.roles[index], self.boxes[index], self.image[index], self.tile[index], self.frame[index])

    @staticmethod
    def plain(roles: list[str] | np.ndarray) -> Rows:
        """Rows that have no place on any image."""
        n = len(roles)
        none = np.full(n, -1, np.int16)
        return Rows(np.asarray(roles, dtype=object), np.full((n, 4), np.nan, np.float32), none, none.copy(), none.copy())


@dataclass(frozen=True, eq=False)
class Layout:
    """Where queries, keys and values of one site lie. They may lie on different grids (PVT, Hiera, GCViT)."""

    queries: Rows
    keys: Rows
    values: Rows
    windows: int = 1
    """Query row r of N belongs to window r // (N / windows), and its keys are that window's share of `keys`."""
    quality: Quality = "tile"
    """tile: boxes are disjoint and cover the image; box: outer bounds; none: rows have no place on the image."""
    reason: str = ""
    """Why there is no place, or why only a box; empty for tiles."""
    size: tuple[int, int] = (0, 0)
    """(width, height) of the original image."""

    @property
    def square(self) -> bool:
        """Queries and keys are the same tokens of one global window."""
        same = len(self.queries) == len(self.keys) and self.windows == 1
        return same and bool(np.array_equal(self.queries.boxes, self.keys.boxes, equal_nan=True))

    def keys_of(self, row: int) -> Rows:
        """The keys that query row `row` meets, in the order of the weights' last axis."""
        per = len(self.keys) // self.windows
        window = row // (len(self.queries) // self.windows)
        return self.keys.take(np.arange(window * per, (window + 1) * per))

    def with_reason(self, quality: Quality, reason: str) -> Layout:
        """The same layout, said to be of another quality."""
        return replace(self, quality=quality, reason=reason)
