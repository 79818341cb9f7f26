"""Statistics that merge: any order, any parts, the same numbers; and the numbers are right."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from studies.statistics import ACCURACY, Moments, merged, moments

GROUPS = 3
VALUES = st.lists(
    st.tuples(st.floats(width=32, allow_infinity=False), st.integers(0, GROUPS - 1)), min_size=0, max_size=60
)  # fmt: skip


def of(pairs: list[tuple[float, int]]) -> Moments:
    return moments(np.array([v for v, _ in pairs], np.float32), np.array([g for _, g in pairs], np.int64), GROUPS)


def parts_of(pairs: list, cuts: list[int]) -> list[list]:
    edges = [0, *sorted(cut % (len(pairs) + 1) for cut in cuts), len(pairs)]
    return [pairs[a:b] for a, b in zip(edges, edges[1:], strict=False)]


def folded(found: list[Moments]) -> Moments:
    whole = of([])
    for one in found:
        whole = merged(whole, one)
    return whole


@settings(max_examples=200, deadline=None)
@given(VALUES, st.lists(st.integers(0, 60), max_size=6), st.randoms(use_true_random=False))
def test_any_order_and_partition_gives_the_same(pairs, cuts, random):
    whole = of(pairs)
    parts = [of(part) for part in parts_of(pairs, cuts)]
    random.shuffle(parts)
    for other in (folded(parts), folded(parts[::-1])):
        assert np.array_equal(whole.count, other.count)
        assert np.array_equal(whole.low, other.low) and np.array_equal(whole.high, other.high)
        assert np.array_equal(whole.buckets, other.buckets)
        np.testing.assert_allclose(other.mean, whole.mean, rtol=1e-14, atol=_smallest(pairs))
        np.testing.assert_allclose(other.deviation, whole.deviation, rtol=1e-7, atol=_smallest(pairs))


def _smallest(pairs: list[tuple[float, int]]) -> float:
    """What two floats cannot hold of a sum of such sizes."""
    return max((abs(v) for v, _ in pairs if math.isfinite(v)), default=0.0) * 1e-14


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_numbers_are_those_of_a_slow_reading(pairs):
    found = of(pairs)
    for group in range(GROUPS):
        values = sorted(float(np.float32(v)) for v, g in pairs if g == group and math.isfinite(v))
        assert found.count[group] == len(values)
        if not values:
            assert math.isnan(found.mean[group]) and math.isnan(found.quantile(0.5)[group])
            continue
        scale = max(abs(v) for v in values)
        mean = math.fsum(values) / len(values)
        assert abs(found.mean[group] - mean) <= 1e-14 * scale
        if len(values) > 1:
            deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))
            assert abs(found.deviation[group] - deviation) <= 1e-9 * scale
        for share in (0.0, 0.25, 0.5, 0.9, 1.0):
            true = values[min(math.floor(share * (len(values) - 1)), len(values) - 1)]
            assert abs(found.quantile(share)[group] - true) <= ACCURACY * abs(true) * 1.01 + 2e-9


def test_a_large_mean_keeps_a_small_deviation():
    values = np.float32(8e6) + np.tile(np.float32([-0.5, 0.5]), 50_000)
    parts = [moments(part, np.zeros(len(part), int), 1) for part in np.array_split(values, 97)]
    found = parts[0]
    for part in parts[1:]:
        found = merged(found, part)
    np.testing.assert_allclose(found.deviation, values.astype(np.float64).std(ddof=1), rtol=1e-9)
