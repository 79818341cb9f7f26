"""Thresholds found from the numbers themselves, with the histogram that shows whether they cut where they should."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Threshold:
    """A cut through a distribution of positive numbers, and the histogram that it cuts."""

    value: float
    """What lies above it is an outlier."""
    given: bool
    """Set by hand rather than found from the numbers."""
    counts: np.ndarray
    """[S] how many numbers lie in each bin."""
    edges: np.ndarray
    """[S + 1] the ends of the bins, evenly spaced on a logarithmic scale."""


def outlier_threshold(numbers: np.ndarray, *, deviations: float = 6.0, given: float | None = None, bins: int = 60) -> Threshold:
    """The median plus `deviations` times the median absolute deviation of the logarithms, unless a value is given."""
    logs = _logarithms(np.ravel(numbers))
    found = float(outlier_cuts(np.ravel(numbers), deviations=deviations))
    counts, edges = np.histogram(logs, bins=bins)
    return Threshold(found if given is None else float(given), given is not None, counts, np.exp(edges))


def outlier_cuts(numbers: np.ndarray, *, deviations: float = 6.0) -> np.ndarray:
    """The cut that `outlier_threshold` finds, for each row of an array [..., N]."""
    logs = _logarithms(numbers)
    middle = np.median(logs, -1, keepdims=True)
    return np.exp(middle[..., 0] + deviations * np.median(np.abs(logs - middle), -1))


def _logarithms(numbers: np.ndarray) -> np.ndarray:
    if not np.size(numbers):
        raise ValueError("a threshold needs numbers. Got none; are there patches among the tokens?")
    return np.log(np.maximum(np.asarray(numbers, np.float64), 1e-12))
