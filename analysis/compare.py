"""Two captures next to each other: what differs in maps, heads, rankings and layers; or why they cannot be compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.stats import rankdata

from analysis.attention_rows import kept_weights, same_tokens
from analysis.registry import method
from analysis.results import HeadMatrix, TokenMap
from model_adapters import Capture, Site


def why_not_comparable(first: Capture, second: Capture, tower: str = "vision") -> str | None:
    """Why two captures cannot be compared head by head; None where they can."""
    one, two = (_sites(c, tower) for c in (first, second))
    if not one or not two:
        return f"one of the captures keeps no attention of the tower {tower!r}."
    if len(one) != len(two):
        return f"{first.model} has {len(one)} attentions kept, {second.model} has {len(two)}."
    for a, b in zip(one, two, strict=True):
        shapes = first.weights[a].shape, second.weights[b].shape
        if shapes[0] != shapes[1]:
            return f"weights of {a.name} have shape {shapes[0]}, those of {b.name} {shapes[1]}."
        if not np.array_equal(first.rows[a], second.rows[b]):
            return f"other query rows were kept of {a.name} than of {b.name}."
        layouts = first.layouts[a], second.layouts[b]
        if layouts[0].windows != layouts[1].windows:
            return f"{a.name} has {layouts[0].windows} windows, {b.name} has {layouts[1].windows}."
        if not all(same_tokens(getattr(layouts[0], side), getattr(layouts[1], side)) for side in ("queries", "keys")):
            return f"the tokens of {a.name} and {b.name} lie at other places of the image, or have other roles."
    return None


@method(
    title="Difference of maps",
    kind="comparison",
    cites=("krishna2022",),
    needs={"grid"},
    range="-1 to 1 for maps without sign, scaled to a total of 1",
    misleads="Methods have different units; scaled to one total, a flatter map looks lower wherever it is right.",
)
def map_difference(first: TokenMap, second: TokenMap, *, scale: bool = True) -> TokenMap:
    """What the first map says more than the second, on the tokens of the first.

    Where tokens differ, the second map is read as its mean under each box of the first.

    Args:
        first: a map.
        second: another map of the same image.
        scale: divide each map by the sum of its absolute values before.
    """
    if first.size != second.size:
        raise ValueError(f"maps must be of one image. Got sizes {first.size} and {second.size}.")
    seen = second.values if same_tokens(first.rows, second.rows) else _under(first, second)
    if np.isnan(seen).any():
        raise ValueError(f"{int(np.isnan(seen).sum())} of {len(seen)} tokens of the first map lie where the second has none.")
    one, two = (v / max(float(np.abs(v).sum()), 1e-12) if scale else v for v in (first.values, seen))
    return replace(first, values=one - two, signed=True, label=f"{first.label or 'first'} - {second.label or 'second'}")


@method(
    title="Difference of head matrices",
    kind="comparison",
    cites=("michel2019",),
    needs={"weights"},
    range="signed, in the unit of the matrices",
    misleads="Head 3 is the same head in both only if one model was made from the other; trained apart, heads have no order.",
)
def head_difference(first: HeadMatrix, second: HeadMatrix) -> HeadMatrix:
    """What a number per head is more in the first than in the second.

    Args:
        first: one number per head.
        second: the same number of another run.
    """
    _same_heads(first, second)
    label = f"{first.label or 'first'} - {second.label or 'second'}"
    return HeadMatrix(first.values - second.values, first.sites, signed=True, label=label, unit=first.unit)


@method(
    title="Change of rank",
    kind="comparison",
    cites=("michel2019",),
    needs={"weights"},
    range="places; positive moved up in the second",
    misleads="Ranks change much among heads that are nearly equal: look at the numbers behind a large change.",
)
def rank_change(first: HeadMatrix, second: HeadMatrix) -> HeadMatrix:
    """How many places each head moves up from the first ranking to the second; equals share their mean place.

    Args:
        first: one number per head.
        second: another number of the same heads, or the same number of another run.
    """
    _same_heads(first, second)
    there = np.isfinite(first.values)
    values = np.full(first.values.shape, np.nan)
    values[there] = rankdata(-first.values[there]) - rankdata(-second.values[there])
    return HeadMatrix(values, first.sites, signed=True, label="places moved up", unit="places")


@method(
    title="Change of attention",
    kind="comparison",
    cites=("abnar2020",),
    needs={"weights"},
    range="0 (the same) to 1 (no weight in common)",
    misleads="A large change may lie in rows that nothing reads, and a small one in the one row that decides.",
)
def attention_change(first: Capture, second: Capture, *, tower: str = "vision") -> HeadMatrix:
    """How much of each head's attention lies elsewhere in the second capture: mean total variation over query rows.

    Args:
        first: a capture.
        second: another of the same layers, heads and tokens: other weights, another edit, another image of the same size.
        tower: which tower.
    """
    if reason := why_not_comparable(first, second, tower):
        raise ValueError(f"The captures cannot be compared: {reason}")
    pairs = list(zip(_sites(first, tower), _sites(second, tower), strict=True))
    most = max(first.weights[a].shape[0] for a, _ in pairs)
    values = np.full((len(pairs), most), np.nan)
    for layer, (a, b) in enumerate(pairs):
        one, two = kept_weights(first, a)[0], kept_weights(second, b)[0]
        values[layer, : len(one)] = 0.5 * np.abs(one - two).sum(-1).mean(-1)
    return HeadMatrix(values, tuple(a for a, _ in pairs), label="change of attention")


def _sites(capture: Capture, tower: str) -> list[Site]:
    return [s for s in capture.sites if s.tower == tower]


def _same_heads(first: HeadMatrix, second: HeadMatrix) -> None:
    same = first.values.shape == second.values.shape
    if not same or not np.array_equal(np.isfinite(first.values), np.isfinite(second.values)):
        raise ValueError(
            f"head matrices must have the same layers and heads. Got {first.values.shape} and {second.values.shape}."
        )


def _under(first: TokenMap, second: TokenMap) -> np.ndarray:
    """[N]: the mean of the second map under each box of the first; NaN where it has no token."""
    raster = second.raster()
    boxes = np.round(first.rows.boxes).astype(int).clip(0)
    parts = [raster[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] for x0, y0, x1, y1 in boxes]
    return np.array([p[np.isfinite(p)].mean() if np.isfinite(p).any() else np.nan for p in parts])
