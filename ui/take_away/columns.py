"""How numbers become columns: what all tables share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np

from model_adapters import Rows, Site

Table = dict[str, np.ndarray]


@singledispatch
def table(result: Any) -> Table:
    """Columns of equal length by name."""
    raise TypeError(f"a {type(result).__name__} has no flat form.")


def melted(values: dict[str, np.ndarray], **axes: Any) -> Table:
    """One row per number: a column for each axis, then one per array; all arrays have these axes."""
    shape = tuple(len(labels) for labels in axes.values())
    if wrong := {name: array.shape for name, array in values.items() if array.shape != shape}:
        raise ValueError(f"arrays must have the axes {dict(zip(axes, shape, strict=True))}. Got {wrong}.")
    places = np.indices(shape).reshape(len(shape), -1)
    columns = {name: np.asarray(labels)[index] for (name, labels), index in zip(axes.items(), places, strict=True)}
    return columns | {name: array.ravel() for name, array in values.items()}


def column(label: str, unit: str = "") -> str:
    """The name of a column of numbers, with its unit."""
    return f"{label or 'value'} [{unit}]" if unit else label or "value"


def heads_of(sites: Sequence[Site], per_row: int) -> Table:
    """Who the heads are, `per_row` rows for each site."""
    spread = [site for site in sites for _ in range(per_row)]
    return {
        "tower": np.array([s.tower for s in spread]),
        "layer": np.array([s.layer for s in spread], int),
        "site": np.array([f"{s.name}#{s.call}" for s in spread]),
    }


def pairs_of(heads: Sequence[tuple[Site, int]]) -> Table:
    """Who the heads are, one row each."""
    return heads_of([site for site, _ in heads], 1) | {"head": np.array([head for _, head in heads], int)}


def ends_of(low: np.ndarray | None, high: np.ndarray | None) -> dict[str, np.ndarray]:
    """The ends of intervals, where there are any."""
    return {name: end for name, end in (("low", low), ("high", high)) if end is not None}


def placed(rows: Rows | None, count: int) -> Table:
    """Roles and boxes of tokens."""
    if rows is None:
        return {"token": np.arange(count)}
    boxes = {f"{name} [px]": rows.boxes[:, n] for n, name in enumerate(("x0", "y0", "x1", "y1"))}
    return {"token": np.arange(count), "role": rows.roles.astype(str), **boxes}


def stacked(parts: Sequence[tuple[dict[str, Any], Table]]) -> Table:
    """Tables of the same columns below each other, each told apart by constants."""
    whole: dict[str, list[np.ndarray]] = {}
    for constants, part in parts:
        length = len(next(iter(part.values())))
        for name, value in constants.items():
            whole.setdefault(name, []).append(np.full(length, value))
        for name, array in part.items():
            whole.setdefault(name, []).append(array)
    return {name: np.concatenate(arrays) for name, arrays in whole.items()}


def by_head(numbers: dict[str, np.ndarray], sites: Sequence[Site]) -> Table:
    """Arrays [L, H], one row per head, with who the head is."""
    layers, heads = next(iter(numbers.values())).shape
    flat = melted(numbers, row=range(layers), head=range(heads))
    return {"row": flat.pop("row"), **heads_of(sites, heads), **flat}
