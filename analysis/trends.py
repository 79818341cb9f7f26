"""From heads to layers: the same numbers as a trend over depth, and one head's number row by row."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from analysis.attention_rows import on_image, site_of, size_of
from analysis.registry import Range, method
from analysis.results import Curve, HeadMatrix, Profile, TokenMap
from analysis.strength import receivers
from analysis.strength_rows import Window, evenness, given_to, largest, reach, ring, windows
from model_adapters import Capture, Site

RowMeasure = Literal["distance", "entropy", "ring mass", "top mass", "share to class", "share to self"]


def layer_trend(matrix: HeadMatrix) -> Curve:
    """The mean over the heads of each layer; the band spans the lowest to the highest head."""
    there = ~np.isnan(matrix.values).all(axis=1)
    if not there.any():
        raise ValueError(f"a trend needs a layer with a number; {matrix.label or 'this matrix'} has none.")
    values = matrix.values[there]
    steps = np.array([site.layer for site in matrix.sites])[there]
    low, high = np.nanmin(values, axis=1), np.nanmax(values, axis=1)
    return Curve(steps, np.nanmean(values, axis=1), low, high, matrix.label, "layer")


def profile_trend(profile: Profile) -> Profile:
    """[L, 1, S]: the mean profile of the heads of each layer: layers by hops as a heat map."""
    known = ~np.isnan(profile.values)
    mean = np.where(known, profile.values, 0).sum(1, keepdims=True) / np.maximum(known.sum(1, keepdims=True), 1)
    mean = np.where(known.any(1, keepdims=True), mean, np.nan)
    return Profile(mean, profile.steps, profile.sites, profile.label, profile.unit, profile.step_label)


@method(
    title="Strength row by row",
    kind="rows",
    cites=("clark2019", "li2023"),
    needs={"weights", "grid"},
    range="that of the measure",
    misleads="Each place shows what the token there does as a query, not how much it is attended to.",
)
def strength_map(
    capture: Capture,
    *,
    site: Site | str | int = -1,
    head: int = 0,
    measure: RowMeasure = "distance",
    count: Annotated[int, Range(0, 4096)] = 1,
) -> TokenMap:
    """One strength of one head for every patch as a query, at the place of the patch.

    Args:
        capture: with the weights of the site, of one picture.
        site: which attention; the last kept by default.
        head: which head.
        measure: which strength.
        count: hops for the ring, keys for the top mass.
    """
    chosen = site_of(capture, site)
    values, numbers = [], []
    for window in windows(capture, chosen):
        found = _measured(window, measure, count)
        if len(found) > 1:
            raise ValueError(f"a map shows one picture. The capture holds {len(found)}: capture pictures one by one.")
        values.append(found[0, head])
        numbers.append(window.numbers)
    layout = capture.layouts[chosen]
    rows = layout.queries.take(np.concatenate(numbers))
    return on_image(np.concatenate(values), rows, size_of(capture, layout), label=f"{measure}, {chosen.label}, head {head}")


def _measured(window: Window, measure: RowMeasure, count: int) -> np.ndarray:
    if measure == "distance":
        return reach(window, renormalise=False)
    if measure == "entropy":
        return evenness(window, normalise=True)
    if measure == "ring mass":
        return ring(window, count, per_pair=False)
    if measure == "top mass":
        return largest(window, max(count, 1))[..., -1]
    return given_to(window, receivers(window, "class" if measure == "share to class" else "self"))
