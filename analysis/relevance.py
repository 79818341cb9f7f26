"""Attention weighted by the gradient of a class: what was attended to and mattered for this answer."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from analysis.attention_rows import (
    Reader,
    as_read,
    gradients_of,
    on_image,
    on_layer,
    site_of,
    tower_size,
    tower_tokens,
    weights_of,
)
from analysis.registry import Range, method
from analysis.results import TokenMap
from analysis.rollout import rolled_out
from model_adapters import Capture, Site


@method(
    title="Gradient x attention, all layers",
    kind="map",
    cites=("chefer2021",),
    needs={"weights", "gradients", "square", "grid"},
    range="0 and above; the scale is that of the gradient",
    misleads="Only positive evidence is kept, and only what flows through attention weights: values and MLPs are taken as given.",
)
def gradient_attention_relevance(
    capture: Capture, *, tower: str = "vision", image: int = 0, first_layer: int = 0, read: Reader = "auto"
) -> TokenMap:
    """How relevant each input token is for the target, by rules that add each layer's positive gradient x attention.

    For one stream of tokens: R starts as the identity and R <- R + mean over heads of (gradient x attention)+ R.

    Args:
        capture: with weights and gradients of all layers.
        tower: which tower.
        image: which of several images.
        first_layer: layers before this one are left out; -1 takes the last layer alone.
        read: whose view is shown.
    """
    steps = _positive_steps(capture, tower)
    if not -len(steps) <= first_layer < len(steps):
        raise ValueError(f"first_layer={first_layer} was asked for, but the tower has {len(steps)} layers.")
    relevance = summed_relevance(steps[first_layer:])
    return as_read(capture, tower, relevance, read=read, image=image, label="gradient x attention, all layers")


@method(
    title="Gradient-weighted rollout",
    kind="map",
    cites=("abnar2020", "chefer2021"),
    needs={"weights", "gradients", "square", "grid"},
    range="0 to 1; over all tokens it sums to 1",
    misleads="Each layer's rows are scaled to sum to 1, so a layer that hardly matters for the class counts like one that does.",
)
def gradient_rollout(
    capture: Capture,
    *,
    tower: str = "vision",
    image: int = 0,
    residual: Annotated[float, Range(0, 1, 0.05)] = 0.5,
    read: Reader = "auto",
) -> TokenMap:
    """Rollout of the positive part of gradient x attention instead of attention: a rollout that knows the class.

    Our combination of the two: rows of (gradient x attention)+ are scaled to sum to 1 and mixed with the skip connection;
    a row without positive evidence passes its token on. Options are those of `rollout`.
    """
    product = rolled_out(_positive_steps(capture, tower), residual)
    return as_read(capture, tower, product, read=read, image=image, label="gradient-weighted rollout")


@method(
    title="Gradient x attention, one layer",
    kind="map",
    cites=("chefer2021",),
    needs={"weights", "gradients", "grid"},
    range="0 and above; the scale is that of the gradient",
    misleads="One layer's keys are mixtures of many places; where a token lies need not be where its content comes from.",
)
def gradient_attention(
    capture: Capture, *, site: Site | str | int = -1, head: int | None = None, image: int = 0, signed: bool = False
) -> TokenMap:
    """How much the attention paid to each place in one layer raised the target, summed over all queries.

    Works for windowed layers too: gradient times weight, summed over the queries of each key's window and over heads.

    Args:
        capture: with weights and gradients of the site.
        site: which attention; the last kept by default.
        head: one head; the mean of all by default.
        image: which of several images.
        signed: keep negative evidence as well.
    """
    chosen = site_of(capture, site)
    layout = capture.layouts[chosen]
    product = gradients_of(capture, chosen) * weights_of(capture, chosen)
    if head is not None and not 0 <= head < len(product):
        raise ValueError(f"head {head} of {chosen.name} was asked for, but heads 0 to {len(product) - 1} were kept.")
    product = product if head is None else product[head : head + 1]
    product = (product if signed else product.clip(0)).mean(0)
    values = product.reshape(layout.windows, -1, product.shape[-1]).sum(1).ravel()
    return on_layer(capture, chosen, values, layout.keys, image=image, signed=signed, label="gradient x attention")


@method(
    title="Grad-CAM on tokens",
    kind="map",
    cites=("selvaraju2017",),
    needs={"hidden", "gradients", "square", "grid"},
    range="0 and above; the scale is that of the gradient",
    misleads="Made for convolutions; where a class token is read, patch tokens after the last block lead nowhere.",
)
def token_grad_cam(capture: Capture, *, layer: int = -1, tower: str = "vision", image: int = 0) -> TokenMap:
    """Where the hidden features of a layer point along the gradient of the target, averaged over tokens.

    Channels are weighted by the mean of their gradient over the tokens on the image; the positive part of the weighted sum
    is the map.

    Args:
        capture: with hidden states and their gradients.
        layer: the input of this block; -1 is the input of the last one.
        tower: which tower.
        image: which of several images.
    """
    rows = tower_tokens(capture, tower)
    depths = sorted(n for name, n in capture.hidden if name == tower)[:-1]
    if not -len(depths) <= layer < len(depths):
        raise ValueError(f"layer={layer} was asked for, but hidden states of {len(depths)} layers were kept.")
    key = (tower, depths[layer])
    if key not in capture.hidden_gradients:
        raise ValueError("gradients of hidden states are needed. Capture with want={'hidden', 'gradients'}.")
    hidden, gradient = (h[key].astype(np.float64) for h in (capture.hidden, capture.hidden_gradients))
    if hidden.shape[:-1] != (len(rows),):
        raise ValueError(f"hidden states must be [N, D] of {len(rows)} tokens. Got shape {hidden.shape} instead.")
    placed = rows.placed
    values = np.zeros(len(rows))
    values[placed] = (hidden[placed] @ gradient[placed].mean(0)).clip(0)
    return on_image(values, rows, tower_size(capture, tower), image=image, label=f"Grad-CAM, input of layer {key[1]}")


def summed_relevance(steps: list[np.ndarray]) -> np.ndarray:
    """[N, N]: R <- R + step R, from the identity."""
    relevance = np.eye(len(steps[0]))
    for step in steps:
        relevance = relevance + step @ relevance
    return relevance


def positive_step(capture: Capture, site: Site) -> np.ndarray:
    """[Q, K]: the mean over heads of the positive part of gradient x attention."""
    return (weights_of(capture, site) * gradients_of(capture, site)).clip(0).mean(0)


def _positive_steps(capture: Capture, tower: str) -> list[np.ndarray]:
    tower_tokens(capture, tower)
    return [positive_step(capture, s) for s in capture.sites if s.tower == tower]
