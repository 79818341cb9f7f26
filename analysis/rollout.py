"""Attention rollout: the layers' attention multiplied, with the skip connections in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import numpy as np

from analysis.attention_rows import Fuse, Reader, as_read, fused, tower_weights
from analysis.registry import Range, method
from analysis.results import TokenMap
from model_adapters import Capture


@method(
    title="Attention rollout",
    kind="map",
    cites=("abnar2020",),
    needs={"weights", "square", "grid"},
    range="0 to 1; over all tokens it sums to 1",
    misleads="It knows nothing of the class, of what values hold or of the MLPs, and evens out with depth.",
)
def rollout(
    capture: Capture,
    *,
    tower: str = "vision",
    image: int = 0,
    residual: Annotated[float, Range(0, 1, 0.05)] = 0.5,
    fuse: Fuse = "mean",
    discard: Annotated[float, Range(0, 0.95, 0.05)] = 0.0,
    read: Reader = "auto",
) -> TokenMap:
    """How much of each input token arrives at the reading token, if attention and skip connections were all there is.

    Args:
        capture: with the weights of all layers.
        tower: which tower.
        image: which of several images.
        residual: the share of the skip connection; a half is the original.
        fuse: how heads are put together; the mean is the original.
        discard: share of the lowest weights of each row that is dropped; not part of the original.
        read: whose view is shown.
    """
    layers, _ = tower_weights(capture, tower)
    steps = (_discarded(fused(weights, fuse), discard) for weights in layers)
    return as_read(capture, tower, rolled_out(steps, residual), read=read, image=image, label="attention rollout")


def rolled_out(layers: Iterable[np.ndarray], residual: float) -> np.ndarray:
    """[N, N]: the product of the layers, the last one leftmost, each mixed with the identity; rows sum to 1."""
    product: np.ndarray | None = None
    for layer in layers:
        step = mixed(layer, residual)
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
