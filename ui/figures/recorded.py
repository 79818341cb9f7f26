"""Figures of what comes out of a session file: nothing here needs the types of results, which bring torch along."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from ui.figures.frame import framed, heat
from ui.figures.pixels import cells_of, picture_trace
from ui.payload import mean_rows
from ui.recording import Tokens, View
from ui.session_file_figures import unpacked


def figure_of(plain: Mapping[str, Any]) -> go.Figure:
    """The figure that was kept as JSON.

    Raises:
        ValueError: if Plotly cannot draw it.
    """
    return go.Figure(unpacked(dict(plain)))


def view_figure(view: View, layer: int, head: int | None, row: int | None) -> go.Figure:
    """Where one row of a view looks, over the picture.

    Args:
        view: live or recorded.
        layer: position of the layer.
        head: one head; None for the mean over heads.
        row: who looks; None for the mean over all patches.
    """
    record, weights = view.layers[layer], view.weights(layer)
    if row is None:
        found = mean_rows(weights, record)
    else:
        found = np.zeros((record.heads, record.windows, record.keys_per_row), np.float32)
        found[:, record.windows_of_rows[row]] = weights[:, row]
        found = found.reshape(record.heads, -1)
    values = found.mean(0) if head is None else found[head]
    size = view.picture.width, view.picture.height
    cells = cells_of(record.keys.boxes[record.keys.placed], size)
    dx, dy = size[0] / cells[0], size[1] / cells[1]
    with Image.open(io.BytesIO(view.picture.data)) as picture:
        figure = go.Figure(picture_trace(picture, size))
    painted = heat(_painted(record.keys, values, size, cells), label="attention", x0=dx / 2, dx=dx, y0=dy / 2, dy=dy)
    painted.opacity, painted.hovertemplate = 0.6, "%{z:.3g}<extra></extra>"
    figure.add_trace(painted)
    framed(figure, height=440)
    figure.update_xaxes(range=[0, size[0]], visible=False, constrain="domain")
    figure.update_yaxes(range=[size[1], 0], visible=False, scaleanchor="x", constrain="domain")
    return figure.update_layout(margin={"l": 8, "r": 8, "t": 8, "b": 8})


def _painted(keys: Tokens, values: np.ndarray, size: tuple[int, int], cells: tuple[int, int]) -> np.ndarray:
    """[rows, columns]: the value of the token at each cell, the mean where tokens overlap, NaN where there is none."""
    total, count = np.zeros(cells[::-1]), np.zeros(cells[::-1])
    scale = np.array([cells[0] / size[0], cells[1] / size[1]] * 2)
    for key in np.flatnonzero(keys.placed):
        x0, y0, x1, y1 = np.rint(keys.boxes[key] * scale).astype(int)
        place = slice(max(y0, 0), max(y1, y0 + 1)), slice(max(x0, 0), max(x1, x0 + 1))
        total[place] += values[key]
        count[place] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


__all__ = ["figure_of", "view_figure"]
