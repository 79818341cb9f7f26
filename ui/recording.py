"""What the viewer shows of one picture and one model: plain arrays and texts, so that no model library is needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ui.archive import picture_size


@dataclass(frozen=True)
class Picture:
    """The bytes of a PNG or JPEG file, and its size in pixels."""

    data: bytes
    width: int
    height: int

    @property
    def mime(self) -> str:
        """The media type of the bytes."""
        return "image/png" if self.data.startswith(b"\x89PNG") else "image/jpeg"

    @staticmethod
    def read(data: bytes) -> Picture:
        """A picture whose size is read from its own header."""
        width, height = picture_size(data)
        return Picture(data, width, height)


@dataclass(frozen=True, eq=False)
class Tokens:
    """Rows or columns of attention."""

    roles: tuple[str, ...]
    """[N]: patch, class, register, text ..."""
    boxes: np.ndarray
    """[N, 4] float32: x0, y0, x1, y1 in pixels of the picture; NaN where the token has no place."""

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.roles), 4):
            raise ValueError(f"tokens need one box [4] per role. Got {len(self.roles)} roles and boxes {self.boxes.shape}.")

    def __len__(self) -> int:
        return len(self.roles)

    @property
    def placed(self) -> np.ndarray:
        """[N] bool: the tokens that have a place."""
        return ~np.isnan(self.boxes[:, 0])


@dataclass(frozen=True, eq=False)
class Layer:
    """One attention computation: who asks, who is looked at."""

    name: str
    tower: str
    number: int
    heads: int
    queries: Tokens
    keys: Tokens
    """Window by window; a row meets the keys of its own window."""
    windows: int = 1
    window_of: np.ndarray | None = None
    """[Q] int32: the window of each row; rows are numbered window by window where this is None."""
    quality: str = "tile"
    """tile, box or none."""
    reason: str = ""
    """Why nothing can be drawn, or only boxes."""

    def __post_init__(self) -> None:
        if self.windows < 1 or len(self.keys) % self.windows:
            raise ValueError(f"{self.name}: {len(self.keys)} keys cannot be shared by {self.windows} windows.")
        if self.window_of is None and len(self.queries) % self.windows:
            raise ValueError(f"{self.name}: {len(self.queries)} rows cannot be shared by {self.windows} windows.")

    @property
    def keys_per_row(self) -> int:
        """How many keys one row meets."""
        return len(self.keys) // self.windows

    @property
    def windows_of_rows(self) -> np.ndarray:
        """[Q] int32: the window of each row."""
        if self.window_of is not None:
            return self.window_of.astype(np.int32)
        return (np.arange(len(self.queries)) // (len(self.queries) // self.windows)).astype(np.int32)


@dataclass(frozen=True)
class Chip:
    """A token without a place on the picture that can be asked: its name, its row and its column, if it has them."""

    label: str
    row: int | None = None
    key: int | None = None
    tower: str = ""
    """The tower whose rows these are; empty for every layer."""


@dataclass(frozen=True, eq=False)
class View:
    """All that the viewer needs for one picture and one model. Weights are fetched layer by layer."""

    title: str
    picture: Picture
    layers: tuple[Layer, ...]
    load: Callable[[int], np.ndarray]
    """Layer position -> weights [H, Q, K]; windowed sites [H, windows * Q, K]."""
    labels: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    statistics: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    """Name -> [L][H]; NaN where a head has no such number."""
    chips: tuple[Chip, ...] = ()
    """Words and other rows to offer beside those without place that every layer has."""
    sinks: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Layer position -> key numbers of its sinks, where somebody found them; the viewer finds the others itself."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    recorded: bool = False

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("a view needs at least one layer of attention. Got none.")
        for name, rows in self.statistics.items():
            if [len(row) for row in rows] != [layer.heads for layer in self.layers]:
                raise ValueError(f"statistic {name!r} needs one number per head of each layer. Got {[len(r) for r in rows]}.")

    def weights(self, layer: int) -> np.ndarray:
        """[H, Q, K] of the layer at this position, checked against its layout."""
        if not 0 <= layer < len(self.layers):
            raise ValueError(f"layer {layer} was asked for; there are {len(self.layers)}, numbered from 0.")
        found, record = self.load(layer), self.layers[layer]
        expected = (record.heads, len(record.queries), record.keys_per_row)
        if found.shape != expected:
            raise ValueError(f"{record.name}: weights must be {expected} (heads, rows, keys). Got {found.shape}.")
        return found


def run_lengths(roles: tuple[str, ...]) -> list[list[Any]]:
    """Roles as [role, how many in a row]: short for the usual "class, then patches"."""
    runs: list[list[Any]] = []
    for role in roles:
        if runs and runs[-1][0] == role:
            runs[-1][1] += 1
        else:
            runs.append([str(role), 1])
    return runs


def known_numbers(statistics: Mapping[str, tuple[tuple[float, ...], ...]]) -> dict[str, list[list[float | None]]]:
    """The statistics for JSON: None where a head has no such number."""
    return {
        name: [[None if math.isnan(value) else float(value) for value in row] for row in rows]
        for name, rows in statistics.items()
    }


__all__ = ["Chip", "Layer", "Picture", "Tokens", "View", "known_numbers", "run_lengths"]
