"""What an edit does to the answers of a model: numbers from two sets of logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax


@dataclass(frozen=True)
class Effect:
    """How far the answers under an edit are from those of the model as it is."""

    kl: float
    """Mean over images of KL(as it is || edited), in nats."""
    flips: float
    """Share of images whose first class changes."""
    probability_drop: float
    """Mean drop of the probability of the first class (of the label, where labels are given)."""
    accuracy: float
    """Share of right answers under the edit; without labels, agreement with the model as it is."""


def effect(before: np.ndarray, after: np.ndarray, labels: np.ndarray | None = None) -> Effect:
    """Compare logits [B, C] under an edit with those without it."""
    if before.shape != after.shape or before.ndim != 2:
        raise ValueError(f"two sets of logits [images, classes] are needed. Got shapes {before.shape} and {after.shape}.")
    was, now = log_softmax(before.astype(np.float64), -1), log_softmax(after.astype(np.float64), -1)
    target = before.argmax(-1) if labels is None else np.asarray(labels)
    each = np.arange(len(target))
    return Effect(
        kl=float((np.exp(was) * (was - now)).sum(-1).mean()),
        flips=float((before.argmax(-1) != after.argmax(-1)).mean()),
        probability_drop=float((np.exp(was[each, target]) - np.exp(now[each, target])).mean()),
        accuracy=float((after.argmax(-1) == target).mean()),
    )
