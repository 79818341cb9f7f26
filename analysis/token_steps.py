"""One layer's step of token reduction, as pure functions of arrays: which tokens stay, and which go into which.

Every function returns groups [T]: the number of the new token that each token goes into, -1 for a dropped one. New tokens
are numbered in the order in which their first token stands, so that prefix tokens stay in front; only EViT's fused
token goes to the end.
"""

from __future__ import annotations

from math import ceil

import numpy as np


def keep_top(scores: np.ndarray, protected: np.ndarray, rate: float) -> np.ndarray:
    """[T]: the share `rate` of unprotected tokens with the highest scores stays, the others are dropped."""
    stay = protected.copy()
    free = np.flatnonzero(~protected)
    count = ceil(rate * len(free) - 1e-9)
    stay[free[np.argsort(-scores[free], kind="stable")[:count]]] = True
    groups = np.full(len(scores), -1)
    groups[stay] = np.arange(stay.sum())
    return groups


def keep_top_and_fuse(scores: np.ndarray, protected: np.ndarray, rate: float) -> np.ndarray:
    """[T]: as `keep_top`, but the others become one token at the end (EViT)."""
    groups = keep_top(scores, protected, rate)
    groups[groups < 0] = groups.max() + 1
    return groups


def sampled(scores: np.ndarray, protected: np.ndarray, samples: int) -> np.ndarray:
    """[T]: tokens met by evenly spaced points of the cumulated scores stay (ATS); several points may meet the same one."""
    free = np.flatnonzero(~protected)
    cumulated = np.cumsum(scores[free] / max(scores[free].sum(), 1e-12))
    points = (np.arange(samples) + 0.5) / samples
    met = free[np.minimum(np.searchsorted(cumulated, points), len(free) - 1)]
    stay = protected.copy()
    stay[met] = True
    groups = np.full(len(scores), -1)
    groups[stay] = np.arange(stay.sum())
    return groups


def evenly_spread(centres: np.ndarray, protected: np.ndarray, rate: float) -> np.ndarray:
    """[T]: the share `rate` of tokens that lie as far from each other as can be; starts nearest to the middle."""
    free = np.flatnonzero(~protected)
    places = centres[free]
    chosen = [int(np.linalg.norm(places - places.mean(0), axis=1).argmin())]
    distance = np.linalg.norm(places - places[chosen[0]], axis=1)
    while len(chosen) < ceil(rate * len(free) - 1e-9):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(places - places[chosen[-1]], axis=1))
    scores = np.zeros(len(centres))
    scores[free[chosen]] = 1
    return keep_top(scores, protected, rate)


def matched(likeness: np.ndarray, protected: np.ndarray, count: int) -> np.ndarray:
    """[T]: tokens alternate between two sets, and the `count` likest pairs across them become one (ToMe).

    Every token of the first set has one edge, to the token of the second that it is likest; several may go into the same.
    """
    first, second = np.arange(0, len(likeness), 2), np.arange(1, len(likeness), 2)
    edges = likeness[np.ix_(first, second)].astype(np.float64)
    edges[protected[first]] = -np.inf
    edges[:, protected[second]] = -np.inf
    into = np.arange(len(likeness))
    gone = _likest(edges.max(1), count)
    into[first[gone]] = second[edges.argmax(1)[gone]]
    return numbered(into)


def matched_both_ways(likeness: np.ndarray, protected: np.ndarray, count: int) -> np.ndarray:
    """[T]: half of `count` tokens of the first set go into their likest of the second, then others back the other way (MCTF).

    Both ways read the same likeness; those of the first set that have gone already take nothing in.
    """
    first, second = np.arange(0, len(likeness), 2), np.arange(1, len(likeness), 2)
    edges = likeness[np.ix_(first, second)].astype(np.float64)
    edges[protected[first]] = -np.inf
    edges[:, protected[second]] = -np.inf
    count = min(count, int((~protected).sum()) // 2)
    into = np.arange(len(likeness))
    gone = _likest(edges.max(1), count // 2)
    into[first[gone]] = second[edges.argmax(1)[gone]]
    edges[gone] = -np.inf
    back = _likest(edges.max(0), count - len(gone))
    into[second[back]] = first[edges.argmax(0)[back]]
    return numbered(into[into])


def _likest(best: np.ndarray, count: int) -> np.ndarray:
    """The places of the `count` highest, without those that have no edge at all."""
    return np.argsort(-best, kind="stable")[: min(max(count, 0), int(np.isfinite(best).sum()))]


def numbered(into: np.ndarray) -> np.ndarray:
    """[T]: any labels as numbers from 0 in the order in which each first stands; -1 stays."""
    labels, first, inverse = np.unique(into, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(np.where(labels < 0, len(into), first), kind="stable"), kind="stable")
    return np.where(into < 0, -1, rank[inverse])


def cosine(vectors: np.ndarray) -> np.ndarray:
    """[T, T] cosine between vectors [T, D]."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit @ unit.T


def multi_criteria(
    vectors: np.ndarray, received: np.ndarray, sizes: np.ndarray, temperatures: tuple[float, float, float] = (1.0, 20.0, 40.0)
) -> np.ndarray:
    """[T, T]: similarity times little information times small size, each to the power of 1 / temperature (MCTF).

    Information is the mean attention received; its inverse is divided by its largest value, as are those of the sizes.
    """
    alike, informed, sized = temperatures
    inverse = 1 / np.maximum(received, 1e-12)
    inverse = inverse / inverse.max()
    small = 1 / np.outer(sizes, sizes)
    small = small / small.max()
    close = np.clip((cosine(vectors) + 1) / 2, 0, None)
    return close ** (1 / alike) * np.outer(inverse, inverse) ** (1 / informed) * small ** (1 / sized)
