"""Tokens of a capture, one image after the other, and what is known of their places.

A capture of one input has no batch axis, one of several has; everything here returns the batch axis always.
"""

from __future__ import annotations

import numpy as np

from model_adapters import Capture, Rows, Site


def attention_of(capture: Capture, site: Site) -> np.ndarray:
    """[B, H, Q, K] float32: the weights of a site, in the order of its rows."""
    weights = np.asarray(capture.weights[site], np.float32)
    if weights.ndim not in (3, 4):
        raise ValueError(
            f"rows of attention [heads, queries, keys] are needed for {site.name}. Got shape {weights.shape} instead."
        )
    return weights if weights.ndim == 4 else weights[None]


def whole_attention_of(capture: Capture, site: Site) -> np.ndarray:
    """[B, H, Q, K] float32: the weights of a site of which every query row was kept."""
    weights = attention_of(capture, site)
    queries = capture.shapes[site][1]
    if weights.shape[2] != queries:
        raise ValueError(
            f"all {queries} query rows of {site.name} are needed. Got {weights.shape[2]}; Keep(queries='all') would work."
        )
    return weights


def is_batch(capture: Capture) -> bool:
    """Whether the arrays of the capture have a batch axis (told from the weights; without any, sequences are taken as single)."""
    weights = next(iter(capture.weights.values()), None)
    if weights is not None:
        return weights.ndim == 4
    return any(hidden.ndim > 2 for hidden in capture.hidden.values())


def hidden_of(capture: Capture, tower: str, layer: int) -> np.ndarray:
    """[B, T, D] float32: the input of a layer, row by row where it lies on a grid; -1 is the output of the last one."""
    found = capture.hidden.get(layer_key(capture, tower, layer))
    if found is None:
        raise ValueError(f"no hidden states of {tower} layer {layer} were kept. There are {sorted(capture.hidden)}.")
    array = np.asarray(found, np.float32)
    array = array if is_batch(capture) else array[None]
    return array.reshape(len(array), -1, array.shape[-1])


def layers_of(capture: Capture, tower: str) -> tuple[int, ...]:
    """The numbers of the layers whose hidden states were kept."""
    layers = tuple(sorted(n for t, n in capture.hidden if t == tower))
    if not layers:
        towers = sorted({t for t, _ in capture.hidden})
        raise ValueError(
            f"hidden states of the {tower} tower are needed. Got those of {towers}; want={{'hidden'}} would keep them."
        )
    return layers


def layer_key(capture: Capture, tower: str, layer: int) -> tuple[str, int]:
    """The key of `capture.hidden` that a layer number means; negative numbers count from the end."""
    layers = layers_of(capture, tower)
    return tower, layer if layer >= 0 else layers[max(layer, -len(layers))]


def rows_of(capture: Capture, tower: str, layer: int, tokens: int) -> Rows | None:
    """What the tokens of a layer's input are, where a site of this tower says so for exactly as many tokens.

    Windowed sites number their rows window by window; hidden states lie on the grid, so the rows are put in its order.
    """
    sites = [s for s in capture.sites if s.tower == tower]
    for site in sorted(sites, key=lambda s: (abs(s.layer - layer), s.layer)):
        layout = capture.layouts[site]
        if len(layout.queries) != tokens:
            continue
        if layout.windows == 1:
            return layout.queries
        if layout.queries.placed.all():
            boxes = layout.queries.boxes
            return layout.queries.take(np.lexsort((boxes[:, 0], boxes[:, 1], layout.queries.image)))
    return None


def patches_of(rows: Rows | None, tokens: int) -> np.ndarray:
    """[T] bool: the tokens that are patches of an image; all of them where nothing is known of them."""
    if rows is None:
        return np.ones(tokens, bool)
    return np.isin(rows.roles.astype(str), ("patch", "image"))


def some_patches_of(rows: Rows | None, tokens: int) -> np.ndarray:
    """[T] bool: as `patches_of`, but a layer without any is refused."""
    patches = patches_of(rows, tokens)
    if not patches.any():
        raise ValueError(
            f"patches are needed, but none of the {tokens} tokens of this layer is one. Another layer may have some."
        )
    return patches
