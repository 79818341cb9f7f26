"""Whether all decoder layers rank the visual tokens alike: what a search from shallow to deep rests on."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from scipy.stats import kendalltau, spearmanr

from analysis.registry import Range, method
from analysis.results import Agreement
from analysis.visual_tokens.choosing import best
from analysis.visual_tokens.in_decoder import Readers, asked_for
from analysis.visual_tokens.making import Making
from model_adapters import Capture

Statistic = Literal["spearman", "kendall", "overlap"]


@method(
    title="Do layers rank visual tokens alike? (after G-Search)",
    kind="visual tokens",
    cites=("zhao2024gsearch",),
    needs={"weights", "text"},
    range="-1 to 1 (overlap: 0 to 1)",
    misleads="Ranks of tokens that get next to no attention are noise, and most tokens are such; the overlap of the best is not.",
)
def ranking_similarity(
    capture: Capture, *, statistic: Statistic = "spearman", top: Annotated[int, Range(1, 4096)] = 32, read: Readers = "last"
) -> Agreement:
    """How alike every two decoder layers rank the visual tokens by the attention that they get.

    Args:
        capture: with the weights of the decoder.
        statistic: rank correlation, or the share of the best that two layers have in common.
        top: how many are the best.
        read: whose attention counts.
    """
    making = Making(capture)
    depth = making.first.depth
    scores = [asked_for(making, layer + 1, read) for layer in range(depth)]
    top = min(top, len(scores[0]))
    values = np.eye(depth)
    for one in range(depth):
        for other in range(one):
            values[one, other] = values[other, one] = _alike(scores[one], scores[other], statistic, top)
    labels = {"spearman": "Spearman correlation", "kendall": "Kendall correlation", "overlap": f"overlap of the best {top}"}
    return Agreement(tuple(f"layer {n}" for n in range(depth)), values, labels[statistic])


def _alike(one: np.ndarray, other: np.ndarray, statistic: Statistic, top: int) -> float:
    if statistic == "overlap":
        return float((best(one, top) & best(other, top)).sum() / top)
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float((spearmanr if statistic == "spearman" else kendalltau)(one, other).statistic)
