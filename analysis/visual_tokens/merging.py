"""Visual tokens merged by likeness before the decoder (ToMe), and AIM, which goes on dropping inside it by page rank."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from analysis.registry import Range, method
from analysis.token_steps import cosine, matched
from analysis.visual_tokens.choosing import best
from analysis.visual_tokens.making import Look, Making, deep
from analysis.visual_tokens.plan import VisualPlan
from model_adapters import Capture

TURNS = 5
"""Of the page rank."""
COLD = 0.1
"""The temperature of the attention that it walks along."""


@method(
    title="ToMe: merge the likest visual tokens",
    kind="visual tokens",
    cites=("bolya2023", "zhong2024aim"),
    needs={"weights", "hidden"},
    range="visual tokens left before the decoder",
    misleads="Small things on an even ground are merged into it as readily as the ground into itself.",
)
def tome_visual(capture: Capture, *, keep: Annotated[int, Range(1, 4096)] = 64) -> VisualPlan:
    """Which visual tokens become one when the likest pairs of two alternating sets merge until the budget is met.

    Args:
        capture: with the hidden states of the decoder.
        keep: how many visual tokens stay.
    """
    making = Making(capture)
    making.merge(0, merged_by_likeness(making.first.features, keep))
    said = "Tokens merge once, before the decoder, by their projected features, as AIM does; attention does not know their sizes."
    return making.plan("tome_visual", said)


@method(
    title="AIM: merge before the decoder, then drop by page rank inside it",
    kind="visual tokens",
    cites=("zhong2024aim",),
    needs={"weights", "hidden", "text"},
    range="visual tokens left in the last decoder layers",
    misleads="Page rank follows attention, and sinks are its best ranked pages.",
)
def aim(
    capture: Capture,
    *,
    keep: Annotated[int, Range(0, 4096)] = 64,
    merged: Annotated[float, Range(0.05, 1, 0.05)] = 0.25,
    look: Look | None = None,
) -> VisualPlan:
    """Which visual tokens stay when like ones merge first and a line of budgets through the middle layers drops the rest.

    A token's rank is its share of a walk along the attention of all tokens, sharpened (temperature 0.1, five turns), put
    together over heads as the root of the mean square. Words are never dropped.

    Args:
        capture: with the weights and hidden states of the decoder.
        keep: how many visual tokens the last layers read; none in the release.
        merged: the share left by merging; a quarter in the release. Never fewer than `keep`.
        look: edits to a capture under them, so that later steps read what is left.
    """
    making = Making(capture, look)
    first = making.first
    most = min(max(keep, round(merged * len(first.image)), 1), len(first.image))
    making.merge(0, merged_by_likeness(first.features, most))
    line = deep(first.depth, (14, 21), 28)
    layers = range(line[0], line[-1] + 1)
    for turn, layer in enumerate(layers, 1):
        ranks = np.zeros(len(first.rows))
        ranks[making.present] = page_rank(making.among(layer - 1))
        count = round(most - (most - min(keep, most)) * turn / len(layers))
        making.keep(layer, best(np.where(making.alive, ranks[first.image], -np.inf), count))
    said = "The line runs from layer 14 to 21 of 28, scaled to the depth; it ends at the budget, where the release ends at none."
    return making.plan("aim", said)


def merged_by_likeness(vectors: np.ndarray, count: int) -> np.ndarray:
    """[N] into which token each goes, so that `count` are left: the first of its group, which is the mean of all."""
    into, means, sizes = np.arange(len(vectors)), np.array(vectors, np.float64), np.ones(len(vectors))
    while len(left := np.unique(into)) > max(count, 1):
        groups = matched(cosine(means[left]), np.zeros(len(left), bool), len(left) - count)
        for group in np.flatnonzero(np.bincount(groups) > 1):
            members = left[groups == group]
            means[members[0]] = np.average(means[members], axis=0, weights=sizes[members])
            sizes[members[0]] = sizes[members].sum()
            into[np.isin(into, members)] = members[0]
    return into


def page_rank(weights: np.ndarray) -> np.ndarray:
    """[P] the rank of tokens that look at each other with these weights [H, P, P]."""
    with np.errstate(divide="ignore"):
        scores = np.log(weights) / COLD
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    walk = scores / scores.sum(-1, keepdims=True)
    share = np.full((len(walk), 1, walk.shape[-1]), 1 / walk.shape[-1])
    for _ in range(TURNS):
        share = share @ walk
    return np.sqrt((share[:, 0] ** 2).mean(0))
