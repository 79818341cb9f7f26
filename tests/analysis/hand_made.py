"""Captures made by hand: random attention on a small grid, no model."""

from __future__ import annotations

import numpy as np

from model_adapters import BySite, Capture, Layout, Rows, Site

SIZE = (40, 30)


def grid_rows(columns: int, rows: int, size=SIZE, prefix: tuple[str, ...] = ("class",), order=None) -> Rows:
    """Prefix tokens without a place, then patches line by line; `order` renumbers the patches."""
    width, height = size[0] / columns, size[1] / rows
    boxes = np.array(
        [[c * width, r * height, (c + 1) * width, (r + 1) * height] for r in range(rows) for c in range(columns)], np.float32
    )
    boxes = boxes if order is None else boxes[order]
    none = np.full((len(prefix), 4), np.nan, np.float32)
    place = np.array([-1] * len(prefix) + [0] * len(boxes), np.int16)
    roles = np.array([*prefix, *["patch"] * len(boxes)], dtype=object)
    return Rows(roles, np.concatenate([none, boxes]), place, place.copy(), place.copy())


def layout_of(rows: Rows, size=SIZE, windows: int = 1) -> Layout:
    return Layout(rows, rows, rows, windows=windows, size=size)


def stochastic(rng: np.random.Generator, *shape: int) -> np.ndarray:
    raw = rng.random(shape) ** 3 + 1e-3
    return (raw / raw.sum(-1, keepdims=True)).astype(np.float32)


def made(weights: list[np.ndarray], layout: Layout, tower: str = "vision", rows=None, shapes=None, **more) -> Capture:
    """A capture of one site per array; more arrays are given as lists, one per layer."""
    sites = tuple(Site(f"blocks.{n}.attn", tower=tower, layer=n, heads=len(w)) for n, w in enumerate(weights))
    by_site = {name: BySite(dict(zip(sites, arrays, strict=True))) for name, arrays in more.items() if isinstance(arrays, list)}
    rest = {name: value for name, value in more.items() if name not in by_site}
    kept = rows if rows is not None else [np.arange(w.shape[1]) for w in weights]
    met = shapes or [(w.shape[0], w.shape[1], w.shape[2]) for w in weights]
    return Capture(
        model="hand made",
        sites=sites,
        weights=BySite(dict(zip(sites, weights, strict=True))),
        rows=BySite(dict(zip(sites, kept, strict=True))),
        shapes=BySite(dict(zip(sites, met, strict=True))),
        layouts=dict.fromkeys(sites, layout),
        **{"logits": np.zeros(3, np.float32), "size": layout.size, **by_site, **rest},
    )


def small(seed: int = 0, layers: int = 3, heads: int = 2, columns: int = 3, rows: int = 2, **more) -> Capture:
    """Random attention, gradients and values on a class token and `columns` x `rows` patches."""
    rng = np.random.default_rng(seed)
    tokens = columns * rows + 1
    weights = [stochastic(rng, heads, tokens, tokens) for _ in range(layers)]
    gradients = [rng.standard_normal((heads, tokens, tokens)).astype(np.float32) for _ in range(layers)]
    values = [rng.standard_normal((heads, tokens, 5)).astype(np.float32) for _ in range(layers)]
    return made(weights, layout_of(grid_rows(columns, rows)), gradients=gradients, values=values, **more)
