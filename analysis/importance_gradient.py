"""Head importance from one backward pass: the derivative with respect to a gate on each head's output.

A gate multiplies a head's output o, so its derivative is the sum over tokens of <o, dL/do>: also the first-order guess of
what silencing the head costs. The target of the gradients decides what "importance" is about: a loss, or a logit.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from analysis.registry import method
from analysis.results import Curve, HeadMatrix
from model_adapters import Capture, Site


def gradient_sites(capture: Capture, tower: str) -> tuple[Site, ...]:
    """The sites of a tower whose head outputs and their gradients were kept."""
    sites = tuple(s for s in capture.head_outputs if s.tower == tower and s in capture.head_gradients)
    if not sites:
        raise ValueError(f"head outputs and gradients of tower {tower!r} are needed. Capture with want={{'heads', 'gradients'}}.")
    return sites


def token_products(capture: Capture, site: Site) -> np.ndarray:
    """[B, H, Q]: <o, dL/do> of every token."""
    outputs, gradients = np.asarray(capture.head_outputs[site]), np.asarray(capture.head_gradients[site])
    if outputs.shape != gradients.shape or outputs.ndim not in (3, 4):
        raise ValueError(
            f"head outputs and gradients of {site.name} must both be [H, Q, D] or [B, H, Q, D]. "
            f"Got {outputs.shape} and {gradients.shape}: keep all their rows."
        )
    products = (outputs.astype(np.float64) * gradients).sum(-1)
    return products[None] if products.ndim == 2 else products


def gate_gradients(capture: Capture, tower: str = "vision") -> np.ndarray:
    """[B, L, H]: the derivative of each image's target with respect to a gate on each head; NaN where there is no head."""
    return _padded([token_products(capture, s).sum(-1) for s in gradient_sites(capture, tower)])


def _padded(layers: list[np.ndarray]) -> np.ndarray:
    """[B, L, H] of [L] arrays [B, H]."""
    result = np.full((len(layers[0]), len(layers), max(layer.shape[1] for layer in layers)), np.nan)
    for number, layer in enumerate(layers):
        result[:, number, : layer.shape[1]] = layer
    return result


@method(
    title="Gate gradient (Michel)",
    kind="head",
    cites=("michel2019",),
    needs={"heads", "gradients"},
    range="0 and above; 0 to 1 when normalised, with a length of 1 per layer",
    misleads="It is the slope at the full head: where the answer is saturated the slope is small though the head matters.",
)
def gate_gradient(
    capture: Capture,
    *,
    tower: str = "vision",
    per: Literal["token", "gate"] = "token",
    layer_normalised: bool = True,
) -> HeadMatrix:
    """How steeply the target changes as a head is turned down.

    Per token the size is taken before tokens are averaged, as Michel et al.'s code does; per gate after they are summed,
    so that tokens may cancel: never more than per token times the number of tokens.
    """
    products = [token_products(capture, s) for s in gradient_sites(capture, tower)]
    if per == "token":
        found = _padded([np.abs(p).mean(-1) for p in products]).mean(0)
    else:
        found = np.abs(_padded([p.sum(-1) for p in products])).mean(0)
    if layer_normalised:
        found = found / (np.sqrt(np.nansum(found**2, axis=1, keepdims=True)) + 1e-20)
    return HeadMatrix(found, gradient_sites(capture, tower), label=f"gate gradient per {per}")


@method(
    title="Gate times gradient",
    kind="head",
    cites=("michel2019",),
    needs={"heads", "gradients"},
    range="any; above 0 the target rises with the head",
    misleads="It is a straight-line guess of what silencing the head does; the answer bends, most of all for strong heads.",
)
def gate_times_gradient(capture: Capture, *, tower: str = "vision") -> HeadMatrix:
    """By how much the target would fall without the head, if it fell in a straight line (averaged over images)."""
    values = gate_gradients(capture, tower).mean(0)
    return HeadMatrix(values, gradient_sites(capture, tower), signed=True, label="gate x gradient")


@method(
    title="Squared gate gradient",
    kind="head",
    cites=("yang2023nvit",),
    needs={"heads", "gradients"},
    range="0 and above",
    misleads="A square makes few images decide; and it cannot tell a head that helps from one that harms.",
)
def squared_gradient(
    capture: Capture, *, tower: str = "vision", squared: Literal["each image", "batch"] = "each image"
) -> HeadMatrix:
    """How much the target bends with the head, in the square of its slope.

    "each image" is the mean of squares (Fisher); "batch" is the square of the sum over the images, which equals NViT's
    score (the sum of weight times gradient, squared) of the head's part of the output projection, for gradients of a
    summed loss. It is NViT's score for heads only: NViT also scores embedding, query-key, value and MLP dimensions, and makes
    each score smaller by the time that taking its part out would save, from a table of measured times; that is left out here.
    """
    each = gate_gradients(capture, tower)
    values = (each**2).mean(0) if squared == "each image" else each.sum(0) ** 2
    return HeadMatrix(values, gradient_sites(capture, tower), label=f"squared gate gradient, {squared}")


@method(
    title="Heads' gate x gradient per layer",
    kind="curve",
    cites=("ranjan2024",),
    needs={"heads", "gradients"},
    range="0 to 1; adds up to 1 over the layers",
    misleads="It is no relevance propagation, and only what passes through attention heads counts: MLPs and the residual "
    "stream have no share.",
)
def layer_relevance(capture: Capture, *, tower: str = "vision") -> Curve:
    """Each layer's share of what its heads add to the target: the size of gate times gradient, over heads and images.

    After LRP-QViT, which gives each layer, MLPs included, its share of the relevance that is propagated back from the class, to
    choose how many bits a layer needs. The definition here is ours: no relevance is propagated, and only attention heads count.
    """
    each = np.nansum(np.abs(gate_gradients(capture, tower)), axis=-1).mean(0)
    total = each.sum()
    if not total > 0:
        raise ValueError("no head of any layer has a gradient, so there is nothing to share out.")
    steps = np.array([site.layer for site in gradient_sites(capture, tower)])
    return Curve(steps, each / total, label="share of relevance", step_label="layer")
