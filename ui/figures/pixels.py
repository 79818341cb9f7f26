"""Pictures and maps over pictures as traces: pictures as files, maps with no more cells than they need.

A browser shows a file at once; numbers it paints one by one, a third of a second for a picture and a map over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from ui.inline_picture import inlined, read, shrunk

SIDE = 448
"""Longer side of a drawn map, in cells, where tokens lie on no even grid."""


def picture_trace(image: Image.Image, size: tuple[int, int] | None = None) -> go.Image:
    """A picture over `size` units (its own pixels by default), fine enough for a figure."""
    small = shrunk(image, 2 * SIDE)
    width, height = size or image.size
    dx, dy = width / small.width, height / small.height
    return go.Image(source=inlined(small, 2 * SIDE), x0=dx / 2, dx=dx, y0=dy / 2, dy=dy, hoverinfo="skip")


def pixels_of(trace: Mapping[str, Any]) -> np.ndarray:
    """[height, width, 3] uint8: what an image trace shows."""
    return np.asarray(trace["z"], np.uint8) if trace.get("source") is None else read(trace["source"])


def cells_of(boxes: np.ndarray, size: tuple[int, int]) -> tuple[int, int]:
    """(columns, rows): the fewest cells over a picture of this size on whose borders all borders of boxes [N, 4] lie."""
    scale = min(1.0, SIDE / max(size))
    columns, rows = (max(round(length * scale), 1) for length in size)
    return _even(boxes[:, [0, 2]], size[0]) or columns, _even(boxes[:, [1, 3]], size[1]) or rows


def _even(ends: np.ndarray, length: int) -> int | None:
    """Into how many even cells a side is cut; None where its borders lie unevenly, or too close."""
    borders = np.unique(np.concatenate([ends.ravel(), [0, length]]).round(3))
    gaps = np.diff(borders)
    gaps = gaps[gaps > 0.01]
    count = round(length / gaps.min()) if len(gaps) else 1
    places = borders * count / length
    return count if count <= SIDE and np.abs(places - places.round()).max() < 0.02 else None
