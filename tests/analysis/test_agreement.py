"""Agreement of importances with exact ablation: planted rankings, null rankings, and heads silenced together."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from analysis.agreement import agreement_with_exact, joint_ablation, metric_agreement, overlap, silence
from analysis.registry import METHODS
from analysis.results import HeadMatrix
from model_adapters import Site

SITES = (Site("a", layer=0, heads=4), Site("b", layer=1, heads=3))
THERE = np.array([[1, 1, 1, 1], [1, 1, 1, np.nan]])
TRUTH = np.array([[0.1, 0.9, 0.3, 0.2], [0.5, 0.0, 0.7, np.nan]])
DRAW = np.random.default_rng(0)
EXACT = TRUTH + 0.05 * DRAW.standard_normal((30, 2, 4))


def matrix(values):
    return HeadMatrix(values * THERE, SITES)


METRICS = {
    "itself": EXACT,
    "its cube": matrix(EXACT.mean(0) ** 3),
    "upside down": matrix(-EXACT.mean(0)),
    "flat": matrix(np.ones((2, 4))),
}


def test_agreement_of_planted_rankings():
    found = agreement_with_exact(METRICS, EXACT, top=2, rounds=100)
    assert found.statistics == ("spearman", "kendall", "top 2") and found.chance[2] == pytest.approx(2 / 7)
    assert found.values[0] == pytest.approx([1, 1, 1]) and found.values[1] == pytest.approx([1, 1, 1])
    assert found.values[2] == pytest.approx([-1, -1, 0])
    assert found.values[3][:2] == pytest.approx([0, 0])
    assert found.low[0] == pytest.approx(1), "the same images on both sides always agree"
    assert (found.low[1] <= found.values[1] + 1e-12).all() and found.low[1][0] > 0.7


def test_agreement_equals_slow_formulas():
    claimed = DRAW.standard_normal((2, 4))
    found = agreement_with_exact({"random": matrix(claimed)}, EXACT, top=3, rounds=10).values[0]
    there = np.isfinite(TRUTH).ravel()
    one, other = claimed.ravel()[there], EXACT.mean(0).ravel()[there]
    ranks = [np.argsort(np.argsort(values)) for values in (one, other)]
    n = len(one)
    spearman = 1 - 6 * ((ranks[0] - ranks[1]) ** 2).sum() / (n * (n**2 - 1))
    pairs = [np.sign((one[i] - one[j]) * (other[i] - other[j])) for i, j in combinations(range(n), 2)]
    top = len(set(np.argsort(-one)[:3]) & set(np.argsort(-other)[:3])) / 3
    assert found == pytest.approx([spearman, np.mean(pairs), top])


def test_random_rankings_agree_by_chance_only():
    metrics = {str(n): matrix(np.random.default_rng(n).standard_normal((2, 4))) for n in range(200)}
    found = agreement_with_exact(metrics, EXACT, top=3, rounds=2)
    assert found.values.mean(0) == pytest.approx(found.chance, abs=0.08)


def test_other_heads_cannot_be_compared():
    with pytest.raises(ValueError, match="layers and heads"):
        agreement_with_exact({"small": HeadMatrix(np.ones((1, 4)), SITES[:1])}, EXACT)
    with pytest.raises(ValueError, match="image by image"):
        agreement_with_exact({}, EXACT[0])


def test_metrics_agree_with_themselves():
    found = metric_agreement({k: v for k, v in METRICS.items() if k != "itself"})
    assert found.names == ("its cube", "upside down", "flat")
    assert found.values == pytest.approx(np.array([[1, -1, 0], [-1, 1, 0], [0, 0, 0]]))
    assert overlap(np.array([1, 2, 3]), np.array([3, 2, 1]), 2) == 0.5


def runs(edits):
    """The right class loses as much as the true importance of the heads that are silent."""
    lost = sum(TRUTH[int(e.where.sites[0] == "b"), head] for e in edits for head in e.where.heads)
    return np.array([[2.0 - 4 * lost, 0.0]])


def test_true_rankings_fall_first():
    metrics = {"true": matrix(TRUTH), "upside down": matrix(-TRUTH)}
    found = joint_ablation(runs, metrics, np.array([0]), steps=range(8), draws=20)
    assert found.values[:, 0].tolist() == [0, 0] and found.values[0, -1] == pytest.approx(found.values[1, -1])
    assert (found.values[0, 1:-1] > found.random[:, 1:-1].mean(0)).all()
    assert (found.values[1, 1:-1] < found.random[:, 1:-1].mean(0)).all()
    loss = np.log1p(np.exp(-(2.0 - 4 * 1.6))) - np.log1p(np.exp(-2.0))
    assert found.values[0, 2] == pytest.approx(loss), "the two highest: 0.9 and 0.7"
    assert found.random.shape == (20, 8)
    again = joint_ablation(runs, metrics, np.array([0]), draws=20)
    assert again.steps.tolist() == [0, 1, 2, 3, 4]


def test_progress_is_told_and_bad_steps_refused():
    told = []
    joint_ablation(runs, {"true": matrix(TRUTH)}, steps=(1,), draws=1, progress=told.append)
    assert told == [0.5, 1.0]
    with pytest.raises(ValueError, match="between 0 and 7"):
        joint_ablation(runs, {"true": matrix(TRUTH)}, steps=(8,))
    with pytest.raises(ValueError, match="same heads"):
        joint_ablation(runs, {"true": matrix(TRUTH), "small": HeadMatrix(TRUTH[:1], SITES[:1])})


def test_edits_silence_the_named_heads():
    edits = silence([(SITES[0], 2), (SITES[1], 0), (SITES[0], 1)])
    assert [(e.where.sites, e.where.heads, e.value) for e in edits] == [(("a",), (1, 2), 0.0), (("b",), (0,), 0.0)]
    assert silence([]) == ()


def test_registered():
    for name in ("agreement_with_exact", "metric_agreement", "joint_ablation"):
        assert METHODS[name].misleads and METHODS[name].summary
