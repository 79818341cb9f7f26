"""How far a number would move with other images: bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np


def resamples(count: int, rounds: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Draws of image numbers with replacement, [count] each."""
    draw = np.random.default_rng(seed)
    for _ in range(rounds):
        yield draw.integers(0, count, count)


def interval(
    statistic: Callable[[np.ndarray], np.ndarray], count: int, *, confidence: float = 0.95, rounds: int = 1000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The percentile interval of a statistic of image numbers."""
    if not 0 < confidence < 1 or rounds < 2 or count < 1:
        raise ValueError(
            f"an interval needs a confidence between 0 and 1, 2 rounds and an image. Got {confidence}, {rounds}, {count}."
        )
    found = np.stack([np.asarray(statistic(index), dtype=float) for index in resamples(count, rounds, seed)])
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, [tail, 1 - tail], axis=0)
    return low, high


def mean_interval(
    values: np.ndarray, *, confidence: float = 0.95, rounds: int = 1000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The interval of the mean over the first axis."""
    count = len(values)
    flat = values.reshape(count, -1)

    def mean(index: np.ndarray) -> np.ndarray:
        return np.bincount(index, minlength=count) @ flat / count

    low, high = interval(mean, count, confidence=confidence, rounds=rounds, seed=seed)
    return low.reshape(values.shape[1:]), high.reshape(values.shape[1:])
