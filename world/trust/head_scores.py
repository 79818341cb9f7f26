"""Importances against exact ablation: does the ranking of heads agree with what silencing them does?"""

from collections.abc import Iterable

import numpy as np

import model_adapters as ma
from analysis.agreement import overlap
from analysis.answer_changes import changes
from analysis.evaluation.figures import resamples
from world.trust.cases import Case
from world.trust.registry import RANDOM, Entry, Score, Truth, interval, score_of
from world.trust.statistics import rank_correlation

TOP_SHARE = 4
"""The overlap looks at one head in so many."""
ROUNDS = 300


def truths(case: Case) -> dict[Truth, np.ndarray]:
    """What really happens to one answer when each head, or all heads of a layer, are silenced: [L, H] and [L]."""
    base, logits = (a[..., case.label] for a in (case.ablated.base, case.ablated.logits))
    return {
        "rise of the loss": case.effects("loss change"),
        "fall of the score": base[0] - logits[..., 0],
        "change of the answer": case.effects("Jensen-Shannon distance"),
        "change of the answer by layer": _layers_silenced(case),
    }


def _layers_silenced(case: Case) -> np.ndarray:
    """[L]: the Jensen-Shannon distance when all heads of a layer are silent."""
    sites = case.ablated.sites
    edits = [ma.edits.Gate(where=ma.Where(sites=(site.name,)), value=0.0) for site in sites]
    silenced = np.stack([ma.run(case.model, case.inputs, (edit,)).float().numpy() for edit in edits])
    return changes(case.ablated.base, silenced, None, "Jensen-Shannon distance")[:, 0]


def score_importances(entries: Iterable[Entry], cases: Iterable[Case]) -> list[Score]:
    """Rank correlation and overlap of the top heads, each importance held to what it claims to predict."""
    entries = tuple(entries)
    claimed: dict[Entry, list[np.ndarray]] = {entry: [] for entry in entries}
    true: dict[Truth, list[np.ndarray]] = {}
    for case in cases:
        for name, effect in truths(case).items():
            true.setdefault(name, []).append(effect)
        for entry in entries:
            claimed[entry].append(np.asarray(entry.function(case), dtype=float))
    return [
        score
        for entry in entries
        if entry.claims is not None
        for score in agreement(entry, np.stack(claimed[entry]), np.stack(true[entry.claims]))
    ]


def agreement(entry: Entry, claimed: np.ndarray, true: np.ndarray) -> list[Score]:
    """How an importance [N, ...] of N images agrees with the truth [N, ...]; both are drawn anew together."""
    if claimed.shape != true.shape:
        raise ValueError(f"{entry.title} gave {claimed.shape}; the exact effects are {true.shape}.")
    count, places = len(true), true[0].size
    finish = entry.finish or (lambda mean: mean)
    top = max(1, places // TOP_SHARE)

    def statistics(drawn: np.ndarray) -> list[float]:
        means = [np.tensordot(drawn, values, axes=1) / count for values in (claimed, true)]
        one, other = finish(means[0]), means[1]
        found = [rank_correlation(one, other), overlap(one.ravel(), other.ravel(), top)]
        return found if one.ndim == 1 else [*found, within_layers(one, other)]

    rounds = np.array([statistics(row) for row in resamples(count, ROUNDS)])
    whole = rounds.mean(axis=0) if entry.title == RANDOM else statistics(np.ones(count))
    named = (("rank correlation", 0.0), (f"overlap of the top {top}", top / places), ("rank correlation within layers", 0.0))
    return [
        score_of(entry, name, value, interval(column), chance, count, against=entry.claims or "")
        for (name, chance), value, column in zip(named, whole, rounds.T, strict=False)
    ]


def within_layers(one: np.ndarray, other: np.ndarray) -> float:
    """The mean over layers of the rank correlation between the heads of a layer: knowing the depth does not help."""
    return float(np.mean([rank_correlation(a, b) for a, b in zip(one, other, strict=True)]))
