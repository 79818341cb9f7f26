"""Captures made by hand: a class token and a grid of patches, with attention that is known."""

from __future__ import annotations

import numpy as np

from model_adapters import BySite, Capture, Layout, Rows, Site

CELL = 16


def grid_rows(height, width, prefix=("class",)):
    """Rows of a plain tower: prefix tokens, then patches row by row."""
    y, x = np.divmod(np.arange(height * width), width)
    boxes = np.stack([x, y, x + 1, y + 1], -1).astype(np.float32) * CELL
    n, extra = height * width, len(prefix)
    boxes = np.concatenate([np.full((extra, 4), np.nan, np.float32), boxes])
    numbers = np.r_[np.full(extra, -1), np.zeros(n)].astype(np.int16)
    roles = np.array([*prefix, *["patch"] * n], dtype=object)
    return Rows(roles, boxes, numbers, numbers.copy(), numbers.copy())


def grid_layout(height, width, prefix=("class",)):
    rows = grid_rows(height, width, prefix)
    return Layout(rows, rows, rows, size=(width * CELL, height * CELL))


def hand_made(weights, *, grid, prefix=("class",), hidden=None, keys=None, queries=None, logits=None):
    """A capture of [L][(B,) H, T, T] weights, or of hidden states alone."""
    height, width = grid
    sites = tuple(Site(f"blocks.{i}.attn", layer=i, heads=w.shape[-3]) for i, w in enumerate(weights))
    layout = grid_layout(height, width, prefix)
    by_site = lambda arrays: BySite(dict(zip(sites, arrays, strict=True)) if arrays is not None else {})  # noqa: E731
    return Capture(
        model="hand-made",
        sites=sites,
        weights=by_site(weights),
        rows=by_site([np.arange(w.shape[-2]) for w in weights]),
        shapes=by_site([w.shape[-3:] for w in weights]),
        layouts=dict.fromkeys(sites, layout),
        logits=np.zeros(3) if logits is None else logits,
        hidden={} if hidden is None else {("vision", i): h for i, h in enumerate(hidden)},
        keys=by_site(keys),
        queries=by_site(queries),
        size=layout.size,
    )


def uniform(tokens, heads=1):
    return np.full((heads, tokens, tokens), 1 / tokens, np.float32)


def random_weights(rng, heads, tokens, sharpness=2.0):
    scores = np.exp(sharpness * rng.standard_normal((heads, tokens, tokens)))
    return (scores / scores.sum(-1, keepdims=True)).astype(np.float32)
