"""Small pure functions: the scores themselves."""

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score


def pointing(heat: np.ndarray, coverage: np.ndarray, needed: float = 0.5) -> float:
    """Whether the hottest cell lies on the object; the share of them where several are hottest.

    Args:
        heat: [G, G].
        coverage: the share of each cell that the object fills, [G, G].
        needed: how much of a cell the object has to fill.
    """
    _same_shape(heat, coverage)
    return float((coverage >= needed)[heat == heat.max()].mean())


def pointing_chance(coverage: np.ndarray, needed: float = 0.5) -> float:
    """What a random map reaches on average."""
    return float((coverage >= needed).mean())


def energy(heat: np.ndarray, coverage: np.ndarray) -> float:
    """The share of the map's positive mass that lies on the object; chance is the object's share of the picture."""
    _same_shape(heat, coverage)
    positive = np.clip(heat, 0, None)
    total = positive.sum()
    return float((positive * coverage).sum() / total) if total > 0 else float(coverage.mean())


def change(before: np.ndarray, after: np.ndarray) -> float:
    """How far two maps differ: total variation of their normalised positive parts, 0 to 1."""
    _same_shape(before, after)
    one, other = (np.clip(heat, 0, None) / max(np.clip(heat, 0, None).sum(), 1e-12) for heat in (before, after))
    return float(np.abs(one - other).sum() / 2)


def auroc(truth: np.ndarray, score: np.ndarray) -> float:
    """The chance that a true case scores higher than a false one; NaN where all cases are alike."""
    truth = np.asarray(truth, dtype=bool)
    return float(roc_auc_score(truth, score)) if 0 < truth.sum() < len(truth) else float("nan")


def stratified_auroc(truth: np.ndarray, score: np.ndarray, stratum: np.ndarray) -> float:
    """AUROC within strata, each weighted by its pairs of a true and a false case.

    A signal that only knows the stratum (a word's position, say) gets one half.
    """
    truth, score, stratum = np.asarray(truth, dtype=bool), np.asarray(score), np.asarray(stratum)
    total, pairs = 0.0, 0
    for value in np.unique(stratum):
        here = stratum == value
        weight = int(truth[here].sum() * (~truth[here]).sum())
        if weight:
            total += weight * auroc(truth[here], score[here])
            pairs += weight
    return total / pairs if pairs else float("nan")


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation; 0 where one of them is constant."""
    _same_shape(one, other)
    first, second = rankdata(one.ravel()), rankdata(other.ravel())
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def area(shares: np.ndarray, values: np.ndarray) -> float:
    """The area under a curve over shares from 0 to 1, by trapezoids."""
    return float(np.trapezoid(values, shares))


def _same_shape(one: np.ndarray, other: np.ndarray) -> None:
    if one.shape != other.shape:
        raise ValueError(f"the arrays must have one shape, got {one.shape} and {other.shape}")
