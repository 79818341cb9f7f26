"""Small pictures with a map over them, and patterns as thumbnails: plain images, where a figure would be too heavy."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ui import colours

if TYPE_CHECKING:
    from analysis.results import TokenMap

SIDE = 200
_OPACITY = 0.5


@lru_cache(maxsize=1)
def _scale() -> np.ndarray:
    """[256, 3] the sequential colours."""
    return np.array([[int(colour[n : n + 2], 16) for n in (1, 3, 5)] for colour in colours.sequential(256)], np.float32)


def coloured(values: np.ndarray) -> np.ndarray:
    """[..., 3] float: values from 0 to their largest in the sequential colours; NaN stays NaN."""
    largest = np.nanmax(values) if np.isfinite(values).any() else 0.0
    share = np.clip(np.nan_to_num(values) / largest, 0, 1) if largest > 0 else np.zeros_like(values, float)
    found = _scale()[np.rint(255 * share).astype(int)]
    return np.where(np.isfinite(values)[..., None], found, np.nan)


def overlay(image: np.ndarray, shown: TokenMap, side: int = SIDE) -> Image.Image:
    """A picture with a map over it; where there is no token the picture stays."""
    small = Image.fromarray(image).convert("RGB")
    small.thumbnail((side, side))
    below = np.asarray(small, np.float32)
    above = coloured(shown.raster(small.size))
    mixed = np.where(np.isfinite(above), _OPACITY * above + (1 - _OPACITY) * below, below)
    return Image.fromarray(mixed.round().astype(np.uint8))


def thumbnail(pattern: np.ndarray, side: int = 56) -> Image.Image:
    """A pattern as a small picture; offsets that do not exist are black."""
    cells = np.nan_to_num(coloured(pattern)).astype(np.uint8)
    return Image.fromarray(cells).resize((side, side), Image.Resampling.NEAREST)
