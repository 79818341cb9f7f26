"""SparseVLM's recycling: the best of the dropped tokens return as the means of a few clusters, within the budget.

The numbers are those of the release: three tenths of the dropped tokens and one return, in a tenth as many clusters and
one, and a token's density counts as many neighbours as there are clusters, the token itself among them. What the release
adds to the densities so that none are equal is left out.
"""

from __future__ import annotations

import numpy as np

from analysis.visual_tokens.choosing import best

BROUGHT_BACK = 0.3
PER_CLUSTER = 10


def recycled(scores: np.ndarray, vectors: np.ndarray, count: int) -> np.ndarray:
    """[N] into which token each goes, so that exactly `count` are left; scores of minus infinity are gone already."""
    there = np.isfinite(scores)
    kept = stays(int(there.sum()), count)
    chosen = best(scores, kept)
    into = np.where(chosen, np.arange(len(scores)), -1)
    room = min(count, int(there.sum())) - kept
    if room:
        back = best(np.where(there & ~chosen, scores, -np.inf), brought_back(int(there.sum()) - kept))
        members = np.flatnonzero(back)
        into[members] = members[clustered(vectors[members], room)]
    return into


def stays(tokens: int, count: int) -> int:
    """How many are kept as they are, so that with the clusters of the others `count` are left."""
    if count >= tokens:
        return tokens
    fitting = [k for k in range(count + 1) if k + clusters(tokens - k) == count]
    return fitting[-1] if fitting else count


def brought_back(dropped: int) -> int:
    """How many of the dropped tokens return."""
    return int(BROUGHT_BACK * dropped) + 1 if dropped else 0


def clusters(dropped: int) -> int:
    """Into how many clusters they return: a tenth of them and one; none where none return."""
    back = brought_back(dropped)
    return back // PER_CLUSTER + 1 if back else 0


def clustered(vectors: np.ndarray, count: int) -> np.ndarray:
    """[M] the member that is the centre of each one's cluster: centres are dense and far from what is denser (DPC-kNN)."""
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1) / np.sqrt(vectors.shape[1])
    density = np.exp(-(np.sort(apart, 1)[:, :count] ** 2).mean(1))
    denser = density[None] > density[:, None]
    far = np.where(denser, apart, apart.max()).min(1)
    centres = np.argsort(-density * far, kind="stable")[:count]
    found = centres[apart[:, centres].argmin(1)]
    found[centres] = centres
    return found
