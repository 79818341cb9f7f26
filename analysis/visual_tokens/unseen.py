"""The image read by fewer layers or by fewer heads: all visual tokens leave at one layer, or some heads are blind to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np

from analysis.registry import Range, method
from analysis.visual_tokens.making import Making
from analysis.visual_tokens.plan import VisualPlan
from analysis.words.image_heads import image_ratio
from model_adapters import Capture


@method(
    title="All visual tokens leave at one layer (after DyVTE)",
    kind="visual tokens",
    cites=("wu2024",),
    needs={"weights"},
    range="the layers that read the image",
    misleads="One layer for every question: some are answered early, others need the image to the end. The exit curve tells.",
)
def visual_exit(capture: Capture, *, exit: Annotated[int, Range(1, 200)] = 4) -> VisualPlan:
    """What is left when no layer from one on reads the image: the words must have read it by then.

    Args:
        capture: with the weights of the decoder.
        exit: the first layer without visual tokens; one more than the last layer is never.
    """
    making = Making(capture)
    if exit > making.first.depth:
        raise ValueError(f"visual tokens can leave at layers 1 to {making.first.depth}, the last of which is never. Got {exit}.")
    if exit < making.first.depth:
        making.keep(exit, np.zeros(len(making.alive), bool))
    return making.plan("visual_exit", "The trained gate that chooses a layer for each question is left out: it is given.")


@method(
    title="YOPO: heads that hardly look at the image are blind to it",
    kind="visual tokens",
    cites=("zhang2024yopo",),
    needs={"weights"},
    range="all visual tokens stay; some heads, or all of the last layers, read none of them",
    misleads="One prompt chooses the heads here; the release counts over a hundred, and what one prompt spares another may need.",
)
def visual_heads(
    capture: Capture,
    *,
    blind: Annotated[int, Range(0, 100)] = 25,
    always: Annotated[int, Range(0, 64)] = 2,
    cut: Annotated[int, Range(0, 200)] = 0,
) -> VisualPlan:
    """Which heads go on reading the image when those with the least visual activity stop, and all heads from a layer on.

    A blind head gives visual tokens no weight, which nothing makes up for, and says nothing in their rows.

    Args:
        capture: with the weights of the decoder.
        blind: how many of all heads, in per cent.
        always: heads of so many first layers are spared; two in the release.
        cut: from this layer on no head reads the image; 0 is never.
    """
    making = Making(capture)
    first = making.first
    if cut >= first.depth:
        raise ValueError(f"cut must be a layer from 1 to {first.depth - 1}, or 0 for never. Got {cut}.")
    seen = np.zeros(len(first.rows), bool)
    seen[first.image] = True
    activity = {(n, h): ratio for n in range(first.depth) for h, ratio in enumerate(image_ratio(first.attention(n), seen))}
    spared = sorted((ratio, place) for place, ratio in activity.items() if place[0] >= always)
    chosen = sorted(place for _, place in spared[: round(blind / 100 * len(activity))])
    heads = tuple((n, found) for n in range(first.depth) if (found := tuple(h for layer, h in chosen if layer == n)))
    said = "Neurons that the original leaves out besides are kept. Pairs are masked: only a kernel that skips them is faster."
    return replace(making.plan("visual_heads", said), blind=heads, cut=cut)
