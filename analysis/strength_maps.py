"""What whole maps say about a head: does it depend on the query, how many patterns does it hold, is another head like it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from analysis.registry import method
from analysis.results import HeadMatrix
from analysis.strength import tower_sites
from analysis.strength_rows import Window, windows
from model_adapters import Capture, Site


def _stacked(rows: list[np.ndarray], sites: tuple[Site, ...], label: str) -> HeadMatrix:
    values = np.full((len(rows), max(map(len, rows))), np.nan)
    for layer, row in enumerate(rows):
        values[layer, : len(row)] = row
    if np.isnan(values).all():
        raise ValueError(f"{label} was asked for, but no layer has a map that it can be taken of.")
    return HeadMatrix(values, sites, label=label)


@method(
    title="Query-key mutual information",
    kind="head",
    cites=("park2023",),
    needs={"weights", "grid"},
    range="0 (every query attends alike) to 1 (each query has a key of its own)",
    misleads="High values come from local as well as from content-specific heads; the number does not tell them apart.",
)
def mutual_information(capture: Capture, *, tower: str = "vision") -> HeadMatrix:
    """How much where a patch attends depends on which patch it is, normalised (NMI).

    Rows and columns without a place are dropped, 1e-8 is added, rows brought to 1; queries are equally likely.
    """
    sites = tower_sites(capture, tower)
    return _stacked([_over_windows(capture, s, _information) for s in sites], sites, "normalised mutual information")


def _over_windows(capture: Capture, site: Site, of_window: Callable[[Window], np.ndarray | None]) -> np.ndarray:
    """[H]: the mean over a site's windows; NaN where none has a number."""
    found = [values for w in windows(capture, site) if (values := of_window(w)) is not None]
    return np.mean(found, axis=0) if found else np.full(site.heads, np.nan)


def _information(window: Window) -> np.ndarray | None:
    if not window.queries.placed.any() or not window.keys.placed.any():
        return None
    weights = window.weights[:, :, window.queries.placed][..., window.keys.placed] + 1e-8
    weights = weights / weights.sum(-1, keepdims=True)
    likely = 1 / weights.shape[2]
    keys = weights.sum(2) * likely
    shared = (weights * likely * np.log(weights / keys[:, :, None])).sum((-2, -1))
    entropies = -np.log(likely) * -(keys * np.log(keys)).sum(-1)
    return (shared / np.sqrt(np.maximum(entropies, 1e-20))).mean(0)


@method(
    title="Rank of the map",
    kind="head",
    cites=("luo2024",),
    needs={"weights"},
    range="0 to the number of tokens of a window",
    misleads="The numerical rank counts directions however weak: a nearly flat map with a little noise has full rank.",
)
def map_rank(capture: Capture, *, tower: str = "vision", part: Literal["auto", "lower", "whole"] = "auto") -> HeadMatrix:
    """How many independent patterns the rows of a head's map hold (ARank).

    It was defined for causal decoders, as the rank of what lies below the diagonal, in float32: "lower". Where tokens look both
    ways that would leave out half of the map, so there "auto" takes "whole", the map as it is. Windowed layers have a map per
    window, and the mean of their ranks; layers whose keys are others than their queries have no number.

    Args:
        capture: with the weights.
        tower: which tower.
        part: which part of the map; by default "lower" where no row of the tower looks ahead, else "whole".
    """
    sites = tower_sites(capture, tower)
    if part == "auto":
        part = "whole" if any(_looks_ahead(w) for s in sites for w in windows(capture, s)) else "lower"
    return _stacked([_over_windows(capture, s, lambda w: _rank(w, part)) for s in sites], sites, "rank")


def _looks_ahead(window: Window) -> bool:
    """Whether any row of a square map puts weight on a token behind its own."""
    square = window.weights.shape[-1] == window.weights.shape[-2]
    return square and bool(np.triu(window.weights, 1).any())


def _rank(window: Window, part: str) -> np.ndarray | None:
    weights = window.weights.astype(np.float32)
    if weights.shape[-1] != weights.shape[-2]:
        return None
    weights = np.tril(weights, -1) if part == "lower" else weights
    return np.linalg.matrix_rank(weights).mean(0)


@method(
    title="Similarity between heads",
    kind="head",
    cites=("liu2023efficientvit",),
    needs={"weights"},
    range="0 to 1 (weights), -1 to 1 (outputs)",
    misleads="Alike attention does not make heads exchangeable: their values may say different things.",
)
def head_similarity(
    capture: Capture,
    *,
    tower: str = "vision",
    fuse: Literal["mean", "max"] = "mean",
    of: Literal["weights", "outputs"] = "weights",
) -> HeadMatrix:
    """How alike a head is to the other heads of its layer: cosine of their maps or outputs (after EfficientViT)."""
    sites = tower_sites(capture, tower)
    arrays = [capture.weights[s] if of == "weights" else capture.head_outputs[s] for s in sites]
    return _stacked([_alike(np.asarray(a, dtype=np.float64), fuse) for a in arrays], sites, f"{fuse} similarity")


def _alike(heads: np.ndarray, fuse: str) -> np.ndarray:
    heads = heads[None] if heads.ndim == 3 else heads
    flat = heads.reshape(*heads.shape[:2], -1)
    flat = flat / np.maximum(np.linalg.norm(flat, axis=-1, keepdims=True), 1e-20)
    cosines = (flat @ flat.transpose(0, 2, 1)).mean(0)
    if len(cosines) < 2:
        return np.full(len(cosines), np.nan)
    others = cosines[~np.eye(len(cosines), dtype=bool)].reshape(len(cosines), -1)
    return others.max(-1) if fuse == "max" else others.mean(-1)
