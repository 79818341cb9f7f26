"""Which cheap importance may be believed here: rankings against each other, against the exact one, and heads taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ui.jobs import Progress
from ui.results.importance_metrics import BY_NAME, Importances

if TYPE_CHECKING:
    from analysis.answer_changes import Change
    from analysis.importance_results import ByClass, JointAblation
    from analysis.results import Agreement, HeadMatrix
    from model_adapters import Subject

RANDOM_ORDERS, STEPS = 5, 9
"""Of `analysis.joint_ablation`: random orders, and counts of heads per order."""


@dataclass(frozen=True)
class Correlation:
    """How a cheap metric's ranking of heads agrees with the exact one."""

    value: float
    low: float
    high: float
    drawn: str
    """What was drawn anew for the interval: "pictures" or "heads"."""

    @property
    def sentence(self) -> str:
        """For beside the scatter."""
        return f"Spearman {self.value:.2f} ({self.low:.2f} to {self.high:.2f}, 95 %, {self.drawn} drawn anew)"


def correlation(found: Importances, name: str) -> Correlation:
    """Rank correlation of a cheap metric with its truth; of one picture the interval is over heads."""
    from analysis.agreement import agreement_with_exact

    truth, given = found.each[BY_NAME[name].truth], _given(found, name)
    if len(truth) > 1:
        trust = agreement_with_exact({name: given}, truth)
        return Correlation(float(trust.values[0, 0]), float(trust.low[0, 0]), float(trust.high[0, 0]), "pictures")
    return _over_heads(found.matrix(name).values, truth.mean(0))


def _given(found: Importances, name: str) -> HeadMatrix | np.ndarray:
    return found.matrix(name) if BY_NAME[name].per_layer else found.each[name]


def _over_heads(claimed: np.ndarray, truth: np.ndarray) -> Correlation:
    from analysis.intervals import interval

    there = np.isfinite(claimed) & np.isfinite(truth)
    one, two = claimed[there], truth[there]

    def spearman(heads: np.ndarray) -> np.ndarray:
        return _spearman(one[heads], two[heads])

    low, high = interval(spearman, len(one), rounds=500)
    return Correlation(float(_spearman(one, two)), float(low), float(high), "heads")


def _spearman(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    from scipy.stats import spearmanr

    return np.array(spearmanr(one, two)[0] if np.ptp(one) > 0 and np.ptp(two) > 0 else 0.0)


def agreement(found: Importances, names: Sequence[str]) -> Agreement:
    """How alike the rankings of heads by these metrics are."""
    from analysis.agreement import metric_agreement

    return metric_agreement({BY_NAME[name].short: found.matrix(name) for name in names})


def removed(
    subjects: Sequence[Subject], found: Importances, names: Sequence[str], measure: Change, progress: Progress
) -> JointAblation:
    """What happens when the most important heads by each metric are silenced together.

    Args:
        subjects: the model looking at each picture.
        found: the importances by which heads are ordered.
        names: by which metrics.
        measure: how the change is stated; about the classes of `found` where it is of as many pictures.
        progress: told how far it is.
    """
    from analysis.agreement import joint_ablation

    runs = [subject.run() for subject in subjects]
    matrices = {BY_NAME[name].title: found.matrix(name) for name in names}
    labels = found.labels if len(found.labels) == len(subjects) else None
    return joint_ablation(
        lambda edits: np.concatenate([run(edits) for run in runs]), matrices, labels,
        measure=measure, progress=lambda share: progress.step(share, "removing heads"),
    )  # type: ignore[arg-type]  # fmt: skip


def removal_passes(names: Sequence[str], pictures: int) -> int:
    """How many passes `removed` takes."""
    return ((len(names) + RANDOM_ORDERS) * STEPS + 1) * pictures


def by_class(found: Importances, name: str) -> ByClass:
    """Which heads matter for which class, by one metric."""
    from analysis.importance_exact import by_class as grouped

    return grouped(found.each[name], found.labels, found.sites, BY_NAME[name].title)
