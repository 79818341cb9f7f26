"""Points in two dimensions by UMAP or t-SNE: slow ones, so they say how far they are and can be stopped between two steps."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

Watch = Callable[[float], None]
"""Told the share that is done; what it raises stops the work."""
_STEPS = 25


def by_umap(vectors: np.ndarray, neighbours: int, seed: int, watch: Watch | None = None) -> np.ndarray:
    """[P, 2]."""
    from umap import UMAP  # compiles for seconds when it is imported

    bar = {} if watch is None else {"tqdm_kwds": {"disable": False, "file": _Bar(watch), "mininterval": 0, "miniters": 1}}
    near = min(neighbours, len(vectors) - 1)
    return UMAP(n_neighbors=near, init="pca", random_state=seed, n_jobs=1, **bar).fit_transform(vectors)


def by_t_sne(vectors: np.ndarray, seed: int, watch: Watch | None = None) -> np.ndarray:
    """[P, 2]."""
    from openTSNE import TSNE

    model = TSNE(perplexity=min(30.0, (len(vectors) - 1) / 3), initialization="pca", random_state=seed, n_jobs=1)
    if watch is not None:
        model.callbacks, model.callbacks_every_iters = [_Counter(watch, model.early_exaggeration_iter + model.n_iter)], _STEPS
    return np.asarray(model.fit(vectors))


class _Bar:
    """Stands where a progress bar is printed, and reads it."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def write(self, text: str) -> None:
        if found := re.search(r"(\d+)%", text):
            self._watch(int(found[1]) / 100)

    def flush(self) -> None:
        pass


class _Counter:
    """Counts the steps of both phases of t-SNE, which are numbered anew."""

    def __init__(self, watch: Watch, steps: int) -> None:
        self._watch, self._steps, self._done = watch, steps, 0

    def __call__(self, step: int, error: float, embedding: np.ndarray) -> bool:
        self._done += _STEPS
        self._watch(min(self._done / self._steps, 1.0))
        return False
