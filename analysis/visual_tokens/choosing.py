"""Pure choices: which of some tokens to keep, how a budget is shared out, how many are kept layer by layer."""

from __future__ import annotations

import numpy as np


def best(scores: np.ndarray, count: int) -> np.ndarray:
    """[N] bool: the `count` highest scores; of equal ones the first. Tokens of minus infinity are never among them."""
    chosen = np.zeros(len(scores), bool)
    order = np.argsort(-scores, kind="stable")[: max(count, 0)]
    chosen[order[np.isfinite(scores[order]) | (scores[order] > 0)]] = True
    return chosen


def shared_out(weights: np.ndarray, room: np.ndarray, total: int) -> np.ndarray:
    """[P] whole numbers that add up to `total`, as near to proportional as can be, none above its room.

    What has no room left passes its share on; remainders go to the largest fractions first.
    """
    total = min(int(total), int(room.sum()))
    given = np.zeros(len(weights), np.int64)
    weights = np.maximum(np.asarray(weights, np.float64), 0)
    while given.sum() < total:
        free = given < room
        share = np.where(free, weights, 0)
        share = share if share.sum() > 0 else free.astype(np.float64)
        wanted = share / share.sum() * (total - given.sum())
        more = np.minimum(np.floor(wanted + 1e-9).astype(np.int64), room - given)
        if not more.any():
            order = np.argsort(-(wanted - np.floor(wanted)) - free, kind="stable")
            more[order[: total - int(given.sum())]] = 1
            more = np.minimum(more, room - given)
        given += more
    return given


def falling(first: int, last: int, steps: int) -> tuple[int, ...]:
    """Counts after each of some steps, falling by an even factor from `first` to exactly `last`."""
    last = min(first, last)
    return (*(round(first * (last / first) ** (step / steps)) for step in range(1, steps)), last)


def shifted_cosine(first: int, last: int, steps: int, shift: float) -> tuple[int, ...]:
    """Counts after each of some steps along half a cosine, moved up or down by a share, ending at exactly `last`."""
    last = min(first, last)
    rates = 0.5 * np.cos(np.pi * np.arange(1, steps + 1) / steps) + 0.5 + shift
    counts = np.rint(np.clip(last + (first - last) * rates, last, first)).astype(int)
    return (*(int(c) for c in counts[:-1]), last)


def unit(scores: np.ndarray) -> np.ndarray:
    """Scores divided by their length."""
    return scores / max(float(np.linalg.norm(scores)), 1e-12)
