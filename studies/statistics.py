"""Statistics that can be merged: of any parts, in any order, they come to the same numbers.

Sums are kept as two floats, the second holding what the first rounds off. Values are float32, so that their squares are
exact in float64, and the sums lose nothing that would show. Quantiles come from counts in buckets of equal relative
width (DDSketch, Masson et al. 2019): integers, so that merging is exact, and a quantile is right to 1 % of its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

ACCURACY = 0.01
_LOG_GAMMA = float(np.log((1 + ACCURACY) / (1 - ACCURACY)))
_SMALLEST = 1e-9
"""Values nearer to zero count as zero in the sketch."""
_OFFSET = 1 << 20


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, sums, extremes and bucket counts of many groups at once; NaN is no value."""

    count: np.ndarray
    """[G] int64."""
    total: np.ndarray
    """[G, 2] float64: the sum of the values, and what rounding took from it."""
    square: np.ndarray
    """[G, 2]: of their squares."""
    low: np.ndarray
    """[G]; +inf where there is none."""
    high: np.ndarray
    """[G]; -inf where there is none."""
    buckets: np.ndarray
    """[N, 3] int64, sorted: group, bucket, how many values lie in it."""

    @property
    def mean(self) -> np.ndarray:
        """[G]; NaN of nothing."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.count > 0, (self.total[:, 0] + self.total[:, 1]) / self.count, np.nan)

    @property
    def deviation(self) -> np.ndarray:
        """[G] standard deviation with n - 1; NaN of fewer than two."""
        return np.array([_deviation(*each) for each in zip(self.count, self.total, self.square, strict=True)])

    def quantile(self, share: float) -> np.ndarray:
        """[G]: the value below which this share lies, to within 1 % of its size; NaN of nothing."""
        found = np.full(len(self.count), np.nan)
        groups, starts = np.unique(self.buckets[:, 0], return_index=True)
        for group, rows in zip(groups, np.split(self.buckets, starts[1:]), strict=False):  # no group still splits into one
            reached = np.cumsum(rows[:, 2])
            at = int(np.searchsorted(reached, share * (reached[-1] - 1), side="right"))
            value = _value_of(int(rows[min(at, len(rows) - 1), 1]))
            found[group] = min(max(value, self.low[group]), self.high[group])
        return found


def moments(values: np.ndarray, groups: np.ndarray, count: int) -> Moments:
    """The statistics of values [N] in groups [N] numbered 0 to count - 1."""
    values = np.asarray(values, np.float32).astype(np.float64)
    groups = np.asarray(groups, np.int64)
    known = np.isfinite(values)
    values, groups = values[known], groups[known]
    order = np.argsort(groups, kind="stable")
    values, groups = values[order], groups[order]
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, groups, values)
    np.maximum.at(high, groups, values)
    kinds, times = np.unique(_coded(groups, _bucket_of(values)), return_counts=True)
    return Moments(
        np.bincount(groups, minlength=count).astype(np.int64), _summed(values, groups, count), _summed(values**2, groups, count),
        low, high, _counted(kinds, times),
    )  # fmt: skip


def merged(first: Moments, second: Moments) -> Moments:
    """The statistics of both together; the groups are the same."""
    if len(first.count) != len(second.count):
        raise ValueError(f"statistics of the same groups can be merged. Got {len(first.count)} and {len(second.count)} groups.")
    buckets = np.concatenate([first.buckets, second.buckets])
    kinds, inverse = np.unique(_coded(buckets[:, 0], buckets[:, 1]), return_inverse=True)
    times = np.bincount(inverse.ravel(), weights=buckets[:, 2], minlength=len(kinds)).astype(np.int64)
    return Moments(
        first.count + second.count, _added(first.total, second.total), _added(first.square, second.square),
        np.minimum(first.low, second.low), np.maximum(first.high, second.high), _counted(kinds, times),
    )  # fmt: skip


def _coded(groups: np.ndarray, buckets: np.ndarray) -> np.ndarray:
    """Group and bucket in one number: rows of two sort ten times slower."""
    return groups * (4 * _OFFSET) + buckets + 2 * _OFFSET


def _counted(kinds: np.ndarray, times: np.ndarray) -> np.ndarray:
    groups, buckets = np.divmod(kinds, 4 * _OFFSET)
    return np.stack([groups, buckets - 2 * _OFFSET, times], -1).astype(np.int64)


def _added(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Sums of two floats each, added without loss in the first and rounding in the second only."""
    total = first[..., 0] + second[..., 0]
    part = total - first[..., 0]
    lost = (first[..., 0] - (total - part)) + (second[..., 0] - part)
    small = first[..., 1] + second[..., 1] + lost
    whole = total + small
    return np.stack([whole, small - (whole - total)], -1)


def _summed(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """[count, 2]: the sums of sorted groups, halving until each has one value."""
    pairs = np.stack([values, np.zeros_like(values)], -1)
    while len(groups) > 1 and bool((groups[1:] == groups[:-1]).any()):
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        place = np.arange(len(groups)) - np.repeat(starts, np.diff(np.append(starts, len(groups))))
        even = np.flatnonzero(place % 2 == 0)
        partner = even + 1
        has = (partner < len(groups)) & (groups[np.minimum(partner, len(groups) - 1)] == groups[even])
        other = np.where(has[:, None], pairs[np.minimum(partner, len(groups) - 1)], 0.0)
        pairs, groups = _added(pairs[even], other), groups[even]
    found = np.zeros((count, 2))
    found[groups] = pairs
    return found


def _bucket_of(values: np.ndarray) -> np.ndarray:
    """Bucket numbers, rising with the value; 0 is zero."""
    size = np.abs(values)
    step = np.ceil(np.log(np.maximum(size, _SMALLEST)) / _LOG_GAMMA).astype(np.int64) + _OFFSET
    return np.where(size <= _SMALLEST, 0, np.where(values > 0, step, -step))


def _value_of(bucket: int) -> float:
    if bucket == 0:
        return 0.0
    size = 2 * np.exp((abs(bucket) - _OFFSET) * _LOG_GAMMA) / (1 + np.exp(_LOG_GAMMA))
    return float(size if bucket > 0 else -size)


def _deviation(count: int, total: np.ndarray, square: np.ndarray) -> float:
    if count < 2:
        return float("nan")
    first, second = (sum((Fraction(float(part)) for part in pair), Fraction(0)) for pair in (total, square))
    return float(max((second - first * first / int(count)) / (int(count) - 1), Fraction(0))) ** 0.5
