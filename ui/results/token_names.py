"""What a token is called, in the viewer's words: its row and column where patches lie on a grid, else its role."""

from __future__ import annotations

import numpy as np

from model_adapters import Rows

_EVEN = 0.15
"""How far an edge may lie from an even grid, in widths of a patch."""


def token_name(rows: Rows | None, row: int) -> str:
    """Of a patch "row 2, column 6", counted from 0; of a token without a place "class token" and the like."""
    if rows is None:
        return f"token {row}"
    role = str(rows.roles[row])
    if not rows.placed[row]:
        same = rows.where(role)
        return f"{role} token" if len(same) == 1 else f"{role} token {int(np.searchsorted(same, row))}"
    here = np.flatnonzero(rows.placed & (rows.image == rows.image[row]))
    tops, lefts = (_lines(rows.boxes[here, axis], rows.boxes[here, axis + 2]) for axis in (1, 0))
    if tops is None or lefts is None:
        return f"patch {row}"
    down, across = np.searchsorted(tops, _rounded(rows.boxes[row, 1])), np.searchsorted(lefts, _rounded(rows.boxes[row, 0]))
    return f"row {int(down)}, column {int(across)}"


def patch_name(rows: Rows | None, row: int) -> str:
    """The same as the name of a thing: "the patch in row 2, column 6", "the class token"."""
    name = token_name(rows, row)
    return f"the patch in {name}" if name.startswith("row") else f"the {name}"


def _rounded(edge: np.ndarray) -> np.ndarray:
    return np.round(edge * 4)


def _lines(starts: np.ndarray, ends: np.ndarray) -> np.ndarray | None:
    """Where the lines of a grid begin along one axis, in quarters of a pixel; None where they are not even."""
    lines = np.unique(_rounded(starts))
    step = (float(ends.max()) - float(starts.min())) / len(lines)
    even = np.abs(lines / 4 - starts.min() - step * np.arange(len(lines))) < _EVEN * step
    return lines if even.all() else None
