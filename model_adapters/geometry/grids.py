"""Sorts a list of patches into grids, from the measured place of every patch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model_adapters.errors import AdapterError
from model_adapters.geometry.ramp import Traced


@dataclass(frozen=True)
class Patches:
    """For every patch its grid, row and column (-1 for padding), and what is known of the grids."""

    grid: np.ndarray
    row: np.ndarray
    column: np.ndarray
    extents: list[tuple[int, int]]
    """Rows and columns of every grid."""
    matrices: list[np.ndarray]
    """[2, 3] per grid: (x, y) of the original = matrix @ (column, row, 1)."""
    sources: list[int]


def patches_of(traced: Traced, number: np.ndarray, lead: tuple[int, ...]) -> Patches:
    """Find the grids among the patches that `number` numbers; patches of one leading index, source and scale belong together."""
    count = int(np.prod(lead))
    flat = np.broadcast_to(number, traced.x.shape).ravel()
    source = traced.source.ravel()
    inside = source >= 0
    amount = np.bincount(flat[inside], minlength=count)
    every = np.bincount(flat, minlength=count)
    shown = amount * 2 >= every
    if not shown.any():
        raise AdapterError("No patch shows the image: all are padding.")
    x, width = _moments(traced.x.ravel(), flat, inside, amount)
    y, height = _moments(traced.y.ravel(), flat, inside, amount)
    first = np.full(count, np.iinfo(np.int16).max)
    np.minimum.at(first, flat[inside], source[inside])
    outer = np.arange(count) // lead[-1]
    scale = np.zeros(count, int)
    scale[shown] = _classes(width[shown], ratio=1.2)
    grid, row, column = (np.full(count, -1) for _ in range(3))
    patches = Patches(grid, row, column, [], [], [])
    keys = np.stack([outer, first, scale], axis=1)
    _, start = np.unique(keys[shown], axis=0, return_index=True)
    for key in keys[shown][np.sort(start)]:
        members = np.flatnonzero(shown & (keys == key).all(1))
        patches.sources.append(int(key[1]))
        _add(patches, members, x, y, (np.median(width[members]), np.median(height[members])), amount == every)
    return patches


def _add(
    patches: Patches, members: np.ndarray, x: np.ndarray, y: np.ndarray, pitch: tuple[float, float], full: np.ndarray
) -> None:
    columns = _classes(x[members], gap=0.4 * pitch[0])
    rows = _classes(y[members], gap=0.4 * pitch[1])
    cells = rows * (columns.max() + 1) + columns
    if len(np.unique(cells)) < len(cells):
        raise AdapterError("Several patches show the same place at the same scale, so they form no grid.")
    patches.grid[members] = len(patches.extents)
    patches.row[members], patches.column[members] = rows, columns
    patches.extents.append((int(rows.max()) + 1, int(columns.max()) + 1))
    fitting = full[members] if full[members].any() else np.ones(len(members), bool)
    ax, bx = _line(columns[fitting] + 0.5, x[members][fitting], pitch[0])
    ay, by = _line(rows[fitting] + 0.5, y[members][fitting], pitch[1])
    patches.matrices.append(np.array([[ax, 0, bx], [0, ay, by]]))


def _moments(
    values: np.ndarray, flat: np.ndarray, inside: np.ndarray, amount: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of every patch, and the width of an even spread with the same variance."""
    taken = np.where(inside, values, 0).astype(np.float64)
    mean = np.bincount(flat, taken, minlength=len(amount)) / np.maximum(amount, 1)
    off = np.where(inside, (values - mean[flat]) ** 2, 0)
    variance = np.bincount(flat, off, minlength=len(amount)) / np.maximum(amount, 1)
    return mean, np.sqrt(12 * variance)


def _classes(values: np.ndarray, *, gap: float = 0.0, ratio: float = 0.0) -> np.ndarray:
    """Numbers values from small to large, a new number wherever the next is more than `gap` (or `ratio` times) larger."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    step = ordered[1:] > ordered[:-1] * ratio + 1e-6 if ratio else np.diff(ordered) > gap
    numbers = np.empty(len(values), int)
    numbers[order] = np.concatenate([[0], np.cumsum(step)])
    return numbers


def _line(cells: np.ndarray, values: np.ndarray, pitch: float) -> tuple[float, float]:
    if len(np.unique(cells)) < 2:
        return float(pitch), float((values - pitch * cells).mean())
    slope, start = np.polyfit(cells, values, 1)
    return float(slope), float(start)
