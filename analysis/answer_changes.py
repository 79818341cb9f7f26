"""How two answers of a model differ, image by image: the measures in which importance is stated."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.special import log_softmax, rel_entr, softmax

Change = Literal["probability drop", "loss change", "Jensen-Shannon distance", "rank change", "flip"]
SIGNED: frozenset[str] = frozenset({"probability drop", "loss change", "rank change"})
"""Measures that can say that the answer got better."""
UNITS: dict[str, str] = {"loss change": "nats", "rank change": "ranks"}


def changes(base: np.ndarray, changed: np.ndarray, labels: np.ndarray | None, measure: Change) -> np.ndarray:
    """[..., B]: what became of each image's answer.

    Args:
        base: [B, C] logits as they are.
        changed: [..., B, C] logits after the change.
        labels: [B] the right classes; the predicted ones by default.
        measure: drop of the class's probability; rise of its cross-entropy; Jensen-Shannon distance (base 2, 0 to 1) of all
            probabilities; by how many ranks the class falls; 1 where the first class is another.
    """
    base, changed = np.asarray(base, np.float64), np.asarray(changed, np.float64)
    if base.ndim != 2 or changed.shape[-2:] != base.shape:
        raise ValueError(f"logits [B, C] and [..., B, C] are needed. Got shapes {base.shape} and {changed.shape}.")
    chosen = base.argmax(-1) if labels is None else np.asarray(labels, dtype=int)
    if chosen.shape != base.shape[:1] or chosen.min() < 0 or chosen.max() >= base.shape[1]:
        raise ValueError(f"one class below {base.shape[1]} per image is needed. Got {chosen[:5]} ... for {len(base)} images.")
    if measure == "flip":
        return np.where(np.isnan(changed[..., 0]), np.nan, changed.argmax(-1) != base.argmax(-1))
    if measure == "Jensen-Shannon distance":
        return _jensen_shannon(softmax(base, -1), softmax(changed, -1))
    if measure == "rank change":
        return _rank(changed, chosen) - _rank(base, chosen)
    if measure == "loss change":
        return _of(log_softmax(base, -1), chosen) - _of(log_softmax(changed, -1), chosen)
    if measure == "probability drop":
        return _of(softmax(base, -1), chosen) - _of(softmax(changed, -1), chosen)
    raise ValueError(f"measure must be one of {Change.__args__}. Got {measure!r} instead.")  # type: ignore[attr-defined]


def _jensen_shannon(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """[..., B]: the square root of the divergence in bits; rounding may leave equal answers just below zero."""
    middle = (one + other) / 2
    divergence = (rel_entr(one, middle) + rel_entr(other, middle)).sum(-1) / 2 / np.log(2)
    return np.sqrt(np.maximum(divergence, 0))


def _of(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return values[..., np.arange(len(chosen)), chosen]


def _rank(logits: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """[..., B]: how many classes score higher than the chosen one."""
    own = _of(logits, chosen)
    return np.where(np.isnan(own), np.nan, (logits > own[..., None]).sum(-1))
