"""Attention rollout: the layers' attention multiplied, with the skip connections in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np

from analysis.attention_rows import Fuse, Reader, as_read, fused, tower_weights
from analysis.registry import Range, method
from analysis.results import TokenMap
from analysis.sinks import LEAST, strongest_parking
from model_adapters import Capture

Recipe = Literal["rows", "vit-explain"]
"""In which order heads are fused, weights dropped, the skip connection mixed in and rows scaled."""


@method(
    title="Attention rollout",
    kind="map",
    cites=("abnar2020",),
    needs={"weights", "square", "grid"},
    range="0 to 1; over all tokens it sums to 1 (with the recipe vit-explain it need not)",
    misleads="It knows nothing of the class, of what values hold or of the MLPs, and evens out with depth. One patch that "
    "attention is parked on in any layer takes the whole map with it.",
)
def rollout(
    capture: Capture,
    *,
    tower: str = "vision",
    image: int = 0,
    residual: Annotated[float, Range(0, 1, 0.05)] = 0.5,
    fuse: Fuse = "mean",
    discard: Annotated[float, Range(0, 0.95, 0.05)] = 0.0,
    recipe: Recipe = "rows",
    read: Reader = "auto",
) -> TokenMap:
    """How much of each input token arrives at the reading token, if attention and skip connections were all there is.

    With the mean of heads and nothing discarded both recipes are the original. They part where heads are fused by their maximum
    or minimum, or weights are dropped, and rows no longer sum to 1. The default, "rows", drops the lowest weights of each row
    and scales rows to 1 before the skip connection is mixed in, so that every token keeps the same share of itself and every
    step hands on exactly what it receives. "vit-explain" repeats the picture of the program of that name: the lowest weights of
    the whole matrix are dropped (but that from the first token to itself), the skip connection is mixed in, and then columns,
    not rows, are divided by the sums of the rows, which looks like an oversight.

    Args:
        capture: with the weights of all layers.
        tower: which tower.
        image: which of several images.
        residual: the share of the skip connection; a half is the original.
        fuse: how heads are put together; the mean is the original.
        discard: share of the lowest weights that is dropped; not part of the original.
        recipe: the order of the steps.
        read: whose view is shown.
    """
    layers, _ = tower_weights(capture, tower)
    steps = (fused(weights, fuse) for weights in layers)
    if recipe == "rows":
        matrix = rolled_out((_discarded(step, discard) for step in steps), residual)
    else:
        matrix = product_of(_as_vit_explain(step, discard, residual) for step in steps)
    shown = as_read(capture, tower, matrix, read=read, image=image, label="attention rollout")
    return replace(shown, note=parking_note(capture, tower))


def parking_note(capture: Capture, tower: str) -> str:
    """A warning where attention is parked on one patch in some layer, which the rollout then follows; empty elsewhere."""
    found = strongest_parking(capture, tower=tower)
    if found is None or found.times < LEAST:
        return ""
    return (
        f"One patch receives {found.times:.0f} times its share of attention in layer {found.layer}; rollout follows it, "
        "whatever it shows."
    )


def rolled_out(layers: Iterable[np.ndarray], residual: float) -> np.ndarray:
    """[N, N]: the product of the layers, the last one leftmost, each mixed with the identity; rows sum to 1."""
    return product_of(mixed(layer, residual) for layer in layers)


def product_of(steps: Iterable[np.ndarray]) -> np.ndarray:
    """[N, N]: the product of the steps, the last one leftmost."""
    product: np.ndarray | None = None
    for step in steps:
        product = step if product is None else step @ product
    if product is None:
        raise ValueError("a rollout needs at least one layer. Got none.")
    return product


def mixed(layer: np.ndarray, residual: float) -> np.ndarray:
    """[N, N]: a layer's rows, scaled to sum to 1, with the share `residual` of the identity; empty rows pass on."""
    total = layer.sum(-1, keepdims=True)
    scaled = np.divide(layer, total, out=np.zeros_like(layer), where=total > 0)
    eye = np.eye(len(layer))
    return np.where(total > 0, residual * eye + (1 - residual) * scaled, eye)


def _discarded(layer: np.ndarray, share: float) -> np.ndarray:
    """The layer without the lowest share of each row; what lies at or above the cut stays."""
    if share == 0:
        return layer
    return np.where(layer >= np.quantile(layer, share, axis=-1, keepdims=True), layer, 0)


def _as_vit_explain(layer: np.ndarray, share: float, residual: float) -> np.ndarray:
    """[N, N]: one step by the recipe of vit-explain, its division of columns by the sums of rows included."""
    lowest = np.argsort(layer, axis=None, kind="stable")[: int(layer.size * share)]
    kept = layer.ravel().copy()
    kept[lowest[lowest != 0]] = 0
    step = residual * np.eye(len(layer)) + (1 - residual) * kept.reshape(layer.shape)
    total = step.sum(-1)
    return np.divide(step, total, out=np.zeros_like(step), where=total > 0)
