"""What one row of attention weights says about itself: how far it looks, how evenly, and how much goes where.

Every number here belongs to one query row of one head; the head's number is their mean. Distances come from the boxes
of the layout, so they hold on any grid; keys of another picture or tile have no distance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from model_adapters import Capture, Rows, Site

Readers = Literal["patches", "class", "all"]
"""Whose rows are averaged: those with a place on the image, the class token's, or every row."""


@dataclass(frozen=True, eq=False)
class Window:
    """The kept rows of one window of a site (of the whole site, where attention is global)."""

    weights: np.ndarray
    """[B, H, Q, K] float64."""
    queries: Rows
    keys: Rows
    numbers: np.ndarray
    """[Q] the numbers of the rows in the whole site."""
    own: np.ndarray
    """[Q] the key that is the query's own token; -1 where there is none."""

    @cached_property
    def hops(self) -> np.ndarray:
        """[Q, K]: how many keys away; -1 where there is no distance."""
        return hops(self.queries, self.keys)


def windows(capture: Capture, site: Site) -> Iterator[Window]:
    """The windows of a site of which rows were kept."""
    if site.kind == "factorised":
        raise ValueError(f"{site.name} spreads every feature over the tokens: it has no token-to-token weights.")
    weights, layout = np.asarray(capture.weights[site]), capture.layouts[site]
    weights = weights[None] if weights.ndim == 3 else weights
    if weights.ndim != 4:
        raise ValueError(f"weights of {site.name} must be [H, Q, K] or [B, H, Q, K]. Got {weights.shape}: leave `reduce` out.")
    numbers = np.asarray(capture.rows[site])
    size, keys = len(layout.queries) // layout.windows, len(layout.keys) // layout.windows
    if weights.shape[-1] != keys or weights.shape[-2] != len(numbers):
        raise ValueError(
            f"{site.name} keeps weights {weights.shape}, but {len(numbers)} rows and {keys} keys per window were expected."
        )
    for window in range(layout.windows):
        here = np.flatnonzero(numbers // size == window)
        if len(here):
            queries, met = layout.queries.take(numbers[here]), layout.keys_of(int(numbers[here[0]]))
            own = numbers[here] - window * size if size == keys else np.zeros(len(here), int)
            is_same = np.isclose(queries.boxes, met.boxes[own], equal_nan=True, atol=1e-3).all(-1) & (size == keys)
            own = np.where(is_same, own, -1)
            yield Window(weights[:, :, here].astype(np.float64), queries, met, numbers[here], own)


def reading_rows(window: Window, rows: Readers) -> np.ndarray:
    """Bool [Q]: the rows that are averaged."""
    if rows == "all":
        return np.ones(len(window.queries), dtype=bool)
    return window.queries.placed if rows == "patches" else np.asarray(window.queries.roles == "class")


def displacements(queries: Rows, keys: Rows) -> np.ndarray:
    """[Q, K, 2]: from query to key in pixels of the original image; NaN across pictures, tiles and frames."""
    centres = [(r.boxes[:, :2] + r.boxes[:, 2:]).astype(np.float64) / 2 for r in (queries, keys)]
    apart = centres[1][None] - centres[0][:, None]
    for name in ("image", "tile", "frame"):
        apart[getattr(queries, name)[:, None] != getattr(keys, name)[None]] = np.nan
    return apart


def distances(queries: Rows, keys: Rows) -> np.ndarray:
    """[Q, K]: pixels between the centres; NaN where there is no distance."""
    return np.hypot(*np.moveaxis(displacements(queries, keys), -1, 0))


def hops(queries: Rows, keys: Rows) -> np.ndarray:
    """[Q, K]: how many keys away in rows or columns, whichever is more (Chebyshev); -1 where there is no distance."""
    apart = displacements(queries, keys)
    if not keys.placed.any():
        return np.full(apart.shape[:2], -1)
    size = np.nanmedian(keys.boxes[:, 2:] - keys.boxes[:, :2], axis=0)
    steps = np.floor(np.abs(apart) / size + 0.5 - 1e-6).max(-1)
    return np.where(np.isnan(steps), -1, steps).astype(int)


def reach(window: Window, renormalise: bool) -> np.ndarray:
    """[B, H, Q]: pixels that the row looks away, on average over its weight; weight on keys without a place counts as 0."""
    away = distances(window.queries, window.keys)
    looked = np.einsum("bhqk,qk->bhq", window.weights, np.nan_to_num(away))
    if renormalise:
        held = np.einsum("bhqk,qk->bhq", window.weights, (~np.isnan(away)).astype(float))
        looked = looked / np.maximum(held, 1e-32)
    return looked


def evenness(window: Window, normalise: bool) -> np.ndarray:
    """[B, H, Q]: entropy of the row in nats, or as a share of that of an even row."""
    positive = np.where(window.weights > 0, window.weights, 1.0)
    entropy = -(window.weights * np.log(positive)).sum(-1)
    return entropy / np.log(window.weights.shape[-1]) if normalise else entropy


def ring(window: Window, hop: int, per_pair: bool) -> np.ndarray:
    """[B, H, Q]: the weight on all keys so many hops away, or on one of them; rows without such a key are NaN per pair."""
    there = (window.hops == hop).astype(float)
    mass = np.einsum("bhqk,qk->bhq", window.weights, there)
    count = there.sum(-1)
    return mass if not per_pair else np.where(count > 0, mass / np.maximum(count, 1), np.nan)


def given_to(window: Window, keys: np.ndarray) -> np.ndarray:
    """[B, H, Q]: the weight on chosen keys: numbers within the window, or bool [Q, K] where each row has its own."""
    if keys.dtype == bool:
        return np.einsum("bhqk,qk->bhq", window.weights, keys.astype(float))
    return window.weights[..., keys].sum(-1)


def largest(window: Window, count: int) -> np.ndarray:
    """[B, H, Q, count]: the row's largest weights added up, one more at each step."""
    count = min(count, window.weights.shape[-1])
    return np.cumsum(-np.sort(-window.weights, axis=-1)[..., :count], axis=-1)
