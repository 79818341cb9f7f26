"""Two captures next to each other: what differs in maps, heads, rankings and layers; or why they cannot be compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from analysis.attention_rows import kept_weights, on_layer, same_tokens
from analysis.maps import raw_attention
from analysis.registry import method
from analysis.results import HeadMatrix, TokenMap
from model_adapters import Capture, Site

_GRAZED = 1e-5
"""A token that shares less of its area with a box does not lie there: boxes are rounded to float32."""


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
def map_difference(
    first: TokenMap,
    second: TokenMap,
    *,
    scale: bool = True,
    on: Literal["first", "second"] = "first",
    stretch: bool = False,
) -> TokenMap:
    """What the first map says more than the second.

    Where tokens differ, one map is carried over to the tokens of the other by area: a token gives every box that it overlaps
    the share of its value that lies there, so totals are kept. A token where the other map has none is NaN.

    Args:
        first: a map.
        second: another map of the same image.
        scale: divide each map by the sum of its absolute values before.
        on: whose tokens the difference is given on.
        stretch: the maps are of two images: one is stretched over the other, so that places are parts of the image.
    """
    if first.size != second.size and not stretch:
        raise ValueError(f"maps must be of one image. Got sizes {first.size} and {second.size}.")
    one, two = (_scaled(each) if scale else each for each in (first, second))
    there, values = (one, one.values - _carried(two, one)) if on == "first" else (two, _carried(one, two) - two.values)
    if np.isnan(values).all():
        raise ValueError("no token of the first map lies where the second has one.")
    return replace(there, values=values, signed=True, label=f"{first.label or 'first'} - {second.label or 'second'}")


def row_of_attention(capture: Capture, site: Site, *, head: int | None = None, query: int | None = None) -> TokenMap:
    """Where one query row leads, over all tokens of its layer that lie on the image: 0 outside of the row's window.

    Args:
        capture: with the weights of the site.
        site: which attention.
        head: one head; the mean of all by default.
        query: the row; by default the mean of all patches.
    """
    if query is None:
        return raw_attention(capture, site=site, head=head, read="mean")
    weights, kept = kept_weights(capture, site)
    if query not in kept:
        raise ValueError(f"query row {query} was asked for, but {len(kept)} rows from {kept.min()} to {kept.max()} were kept.")
    layout = capture.layouts[site]
    row = (weights.mean(0) if head is None else weights[head])[int(np.flatnonzero(kept == query)[0])]
    values = np.zeros((layout.windows, len(row)))
    values[query // (len(layout.queries) // layout.windows)] = row
    return on_layer(capture, site, values.ravel(), layout.keys, image=0, label="attention")


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


def _scaled(found: TokenMap) -> TokenMap:
    """The same map with absolute values that add up to 1."""
    return replace(found, values=found.values / max(float(np.abs(found.values).sum()), 1e-12))


def _carried(found: TokenMap, onto: TokenMap) -> np.ndarray:
    """[N]: a map on the tokens of another, shared out by area; NaN where it has no token."""
    if same_tokens(found.rows, onto.rows) and found.size == onto.size:
        return found.values
    parts = _parts(_edges(onto), _edges(found))
    values = parts @ found.values
    values[~(parts > 0).any(1)] = np.nan
    return values


def _edges(found: TokenMap) -> np.ndarray:
    """[N, 4]: boxes as parts of the image."""
    return found.rows.boxes.astype(np.float64) / np.array([*found.size, *found.size], float)


def _parts(onto: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """[N, M]: the share of each of M boxes that lies in each of N; where these overlap, a share is split among them."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    parts = np.zeros((len(onto), len(boxes)))
    for row, box in zip(parts, onto, strict=True):
        sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
        row[:] = np.nan_to_num(sides.clip(0).prod(1) / areas)
    parts[parts <= _GRAZED] = 0
    return parts / np.maximum(parts.sum(0), 1)
