"""What methods return: small frozen records of arrays, with shapes in fixed letters.

L layer, H head, Q query, K key, N token, G grid (rows x columns), C class, S step, P point.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from model_adapters import Rows, Site


def _shape(name: str, array: np.ndarray, dims: int) -> None:
    if array.ndim != dims:
        raise ValueError(f"{name} must have {dims} axes. Got shape {array.shape} instead.")


@dataclass(frozen=True, eq=False)
class TokenMap:
    """One number per token that has a place on the image."""

    values: np.ndarray
    """[N] float."""
    rows: Rows
    """[N] the tokens: roles and boxes in pixels of the original image."""
    size: tuple[int, int]
    """(width, height) of the original image."""
    signed: bool = False
    """Zero is the middle (diverging colours) rather than the lowest value."""
    label: str = ""
    unit: str = ""
    note: str = ""
    """What must be known before this very map is believed; empty where there is nothing to say."""

    def __post_init__(self) -> None:
        _shape("values", self.values, 1)
        if len(self.values) != len(self.rows):
            raise ValueError(f"a map needs one value per token. Got {len(self.values)} for {len(self.rows)} tokens.")

    def raster(self, size: tuple[int, int] | None = None) -> np.ndarray:
        """[height, width]: the value of each pixel; overlapping boxes are averaged, pixels of no token are NaN."""
        width, height = size or self.size
        scale = np.array([width / self.size[0], height / self.size[1]] * 2, np.float32)
        total, count = np.zeros((height, width)), np.zeros((height, width))
        for value, box, placed in zip(self.values, self.rows.boxes, self.rows.placed, strict=True):
            if placed:
                x0, y0, x1, y1 = np.round(box * scale).astype(int)
                cell = slice(max(y0, 0), max(y1, y0 + 1)), slice(max(x0, 0), max(x1, x0 + 1))
                total[cell] += value
                count[cell] += 1
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


@dataclass(frozen=True, eq=False)
class HeadMatrix:
    """One number per head: layers of one tower down, heads across; NaN where a layer has fewer heads."""

    values: np.ndarray
    """[L, H] float."""
    sites: tuple[Site, ...]
    """[L] the site of each row."""
    signed: bool = False
    label: str = ""
    unit: str = ""
    low: np.ndarray | None = None
    """[L, H] lower end of a bootstrap interval, where there is one."""
    high: np.ndarray | None = None

    def __post_init__(self) -> None:
        _shape("values", self.values, 2)
        if len(self.sites) != len(self.values):
            raise ValueError(f"a head matrix needs one site per layer. Got {len(self.sites)} for {len(self.values)}.")

    def ranking(self) -> list[tuple[Site, int]]:
        """Heads from the highest value to the lowest."""
        order = np.argsort(-np.nan_to_num(self.values, nan=-np.inf), axis=None, kind="stable")
        pairs = (np.unravel_index(i, self.values.shape) for i in order[: int(np.isfinite(self.values).sum())])
        return [(self.sites[layer], int(head)) for layer, head in pairs]


@dataclass(frozen=True, eq=False)
class Profile:
    """A curve per head: mass by hop, say."""

    values: np.ndarray
    """[L, H, S]."""
    steps: np.ndarray
    """[S] what each point stands for."""
    sites: tuple[Site, ...]
    label: str = ""
    unit: str = ""
    step_label: str = ""

    def __post_init__(self) -> None:
        _shape("values", self.values, 3)


@dataclass(frozen=True, eq=False)
class Curve:
    """Values over steps, with a band."""

    steps: np.ndarray
    """[S]."""
    values: np.ndarray
    """[S]."""
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    label: str = ""
    step_label: str = ""

    def area(self) -> float:
        """Area under the curve, steps scaled to 0..1."""
        span = self.steps[-1] - self.steps[0]
        return float(np.trapezoid(self.values, (self.steps - self.steps[0]) / span)) if span else float(self.values[0])


@dataclass(frozen=True, eq=False)
class Parts:
    """A number split into named parts that add up to it."""

    names: tuple[str, ...]
    values: np.ndarray
    """[P]."""
    total: float
    label: str = ""
    maps: dict[str, TokenMap] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Agreement:
    """A square matrix of agreement between named things."""

    names: tuple[str, ...]
    values: np.ndarray
    """[P, P]."""
    label: str = ""
    low: np.ndarray | None = None
    high: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Embedding:
    """Points in two dimensions and what they are."""

    points: np.ndarray
    """[P, 2]."""
    kinds: tuple[str, ...]
    """[P] "query", "key", "head", ..."""
    index: np.ndarray
    """[P] the row, head or image that each point stands for."""
    explained: float | None = None
    """Share of variance in these two dimensions, for PCA."""
    label: str = ""
