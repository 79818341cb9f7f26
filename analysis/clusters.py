"""Groups of heads with similar patterns, and how far the groups can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.metrics import silhouette_score

from analysis.registry import Range, method


@dataclass(frozen=True, eq=False)
class Clusters:
    """A group per point."""

    labels: np.ndarray
    """[P] the number of the group; -1 for points that belong to none (HDBSCAN)."""
    exemplars: np.ndarray
    """[G] the point nearest to the middle of each group."""
    silhouette: float
    """Mean silhouette of the grouped points: 1 well apart, 0 touching, below 0 wrong; NaN with fewer than 2 groups."""
    tried: np.ndarray
    """[S] the numbers of groups that were tried (k-means)."""
    scores: np.ndarray
    """[S] their silhouettes."""


@method(
    title="Clusters by k-means",
    kind="pattern",
    cites=("rousseeuw1987",),
    range="silhouette from -1 to 1",
    misleads="k-means finds groups in anything; a silhouette below about 0.25 says that there are none to speak of.",
)
def k_means(
    codes: np.ndarray, *, groups: Annotated[int, Range(0, 50)] = 0, most: Annotated[int, Range(2, 50)] = 10, seed: int = 0
) -> Clusters:
    """Which points lie together, in as many groups as asked for, or (0) in the number that is best apart."""
    if len(codes) < 3:
        raise ValueError(f"at least 3 points are needed for groups. Got {len(codes)}.")
    tried = np.array([groups]) if groups else np.arange(2, min(most, len(codes) - 1) + 1)
    found = [KMeans(int(n), n_init=10, random_state=seed).fit_predict(codes) for n in tried]
    scores = np.array([_silhouette(codes, labels) for labels in found])
    labels = found[int(np.argmax(np.nan_to_num(scores, nan=-2)))]
    return Clusters(
        labels, _exemplars(codes, labels), float(np.nanmax(scores)) if np.isfinite(scores).any() else np.nan, tried, scores
    )


@method(
    title="Clusters by density (HDBSCAN)",
    kind="pattern",
    cites=("campello2013",),
    range="silhouette from -1 to 1; -1 as group means none",
    misleads="Points of no group are left out of the silhouette; see how many there are.",
)
def density_clusters(
    codes: np.ndarray, *, smallest: Annotated[int, Range(2, 50)] = 4, selection: Literal["eom", "leaf"] = "eom"
) -> Clusters:
    """Which points lie in dense groups, however many there are, and which in none."""
    if len(codes) < smallest:
        raise ValueError(f"at least {smallest} points are needed, the size of the smallest group. Got {len(codes)}.")
    labels = HDBSCAN(min_cluster_size=smallest, cluster_selection_method=selection, copy=True).fit_predict(codes)
    return Clusters(labels, _exemplars(codes, labels), _silhouette(codes, labels), np.zeros(0, int), np.zeros(0))


def _silhouette(codes: np.ndarray, labels: np.ndarray) -> float:
    grouped = labels >= 0
    count = len(np.unique(labels[grouped]))
    if count < 2 or count >= grouped.sum():
        return float("nan")
    return float(silhouette_score(codes[grouped], labels[grouped]))


def _exemplars(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    nearest = []
    for group in range(labels.max() + 1):
        members = np.flatnonzero(labels == group)
        nearest.append(members[np.linalg.norm(codes[members] - codes[members].mean(0), axis=1).argmin()])
    return np.array(nearest, int)
