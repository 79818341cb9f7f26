"""How strongly heads attend where: each measure for every head of a tower, from the rows of its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import numpy as np

from analysis.registry import Range, method
from analysis.results import HeadMatrix, Profile
from analysis.sinks import sinks_by_attention, sinks_by_massive_dimensions, sinks_by_norm
from analysis.strength_rows import Readers, Window, evenness, given_to, largest, reach, reading_rows, ring, windows
from model_adapters import Capture, Site

Receiver = Literal["class", "registers", "sinks", "self"]
SinkSign = Literal["even share", "attention", "norm", "massive dimensions"]
"""How sinks are found: by a multiple of the even share, or by a sign of the module `sinks`, with its own threshold."""


def tower_sites(capture: Capture, tower: str) -> tuple[Site, ...]:
    """The sites of one tower that hold token-to-token weights."""
    sites = tuple(s for s in capture.sites if s.tower == tower and s.kind != "factorised")
    if not sites:
        raise ValueError(f"tower {tower!r} has no kept weights. There are towers {sorted({s.tower for s in capture.sites})}.")
    return sites


def by_head(capture: Capture, tower: str, rows: Readers, of_rows: Callable[[Window, Site], np.ndarray]) -> np.ndarray:
    """[L, H, S] (S is 1 for single numbers): the mean over images and chosen rows of numbers [B, H, Q] or [B, H, Q, S]."""
    found = []
    for site in tower_sites(capture, tower):
        parts = [of_rows(w, site)[:, :, reading_rows(w, rows)] for w in windows(capture, site)]
        values = np.concatenate(parts, axis=2)
        if not values.shape[2]:  # a layer without such rows has no number
            found.append(np.full((site.heads, 1), np.nan))
            continue
        values = values[..., None] if values.ndim == 3 else values
        values = values.transpose(1, 3, 0, 2).reshape(values.shape[1], values.shape[3], -1)
        known = ~np.isnan(values)
        total = np.where(known, values, 0).sum(-1)
        found.append(np.where(known.any(-1), total / np.maximum(known.sum(-1), 1), np.nan))
    if all(np.isnan(values).all() for values in found):
        raise ValueError(f"rows {rows!r} of tower {tower!r} were asked for, but none of them has a number or was kept.")
    padded = np.full((len(found), max(len(f) for f in found), max(f.shape[1] for f in found)), np.nan)
    for layer, values in enumerate(found):
        padded[layer, : len(values), : values.shape[1]] = values
    return padded


def _matrix(capture: Capture, tower: str, rows: Readers, of_rows: Callable, label: str, unit: str = "") -> HeadMatrix:
    values = by_head(capture, tower, rows, of_rows)[..., 0]
    return HeadMatrix(values, tower_sites(capture, tower), label=label, unit=unit)


def _hops_there(capture: Capture, tower: str, most: int) -> int:
    there = [int(w.hops.max(initial=-1)) for s in tower_sites(capture, tower) for w in windows(capture, s)]
    if max(there) < 0:
        raise ValueError(f"hops need tokens that lie on the image; in tower {tower!r} there are none.")
    return min(max(there), most)


@method(
    title="Ring profile",
    kind="profile",
    cites=("li2023",),
    needs={"weights", "grid"},
    range="0 to 1 per ring",
    misleads="A ring further out holds more keys, so its mass grows without any head preferring it; the mean per pair does not.",
)
def ring_profile(
    capture: Capture,
    *,
    tower: str = "vision",
    per_pair: bool = False,
    most_hops: Annotated[int, Range(1, 64)] = 64,
) -> Profile:
    """How much weight patches give to the patches 0, 1, 2, ... hops away: in all (mass), or to one of them (per pair).

    After Li et al.; hops and normaliser are our definition: Chebyshev distance on the grid, mean over existing
    neighbours only. The masses of a row add up to 1 less what goes to tokens without a place.
    """
    count = _hops_there(capture, tower, most_hops) + 1

    def of_rows(window: Window, site: Site) -> np.ndarray:
        return np.stack([ring(window, hop, per_pair) for hop in range(count)], -1)

    values = by_head(capture, tower, "patches", of_rows)
    label = "weight per pair" if per_pair else "mass of the ring"
    return Profile(values, np.arange(count), tower_sites(capture, tower), label, "", "hops")


@method(
    title="Ring strength",
    kind="head",
    cites=("li2023",),
    needs={"weights", "grid"},
    range="0 to 1",
    misleads="One hop is a different length in every layer of a hierarchical model, whose patches grow.",
)
def ring_strength(
    capture: Capture, *, tower: str = "vision", hop: Annotated[int, Range(0, 64)] = 1, per_pair: bool = False
) -> HeadMatrix:
    """How much weight a patch gives to the patches exactly so many hops away (0 is itself).

    After Li et al.; our definition, as in the ring profile.
    """
    label = f"{'weight per pair' if per_pair else 'mass'}, {hop} hops away"
    return _matrix(capture, tower, "patches", lambda w, _: ring(w, hop, per_pair), label)


@method(
    title="Mean attention distance",
    kind="head",
    cites=("dosovitskiy2021",),
    needs={"weights", "grid"},
    range="0 to the diagonal of the image, in pixels",
    misleads="Even attention already lies far out, so a large distance need not mean that the head looks for anything far away.",
)
def attention_distance(capture: Capture, *, tower: str = "vision", renormalise: bool = False) -> HeadMatrix:
    """How many pixels of the original image patches look away, weighted by attention.

    Weight on tokens without a place counts as distance 0; with `renormalise` it is left out and the rest brought to 1.
    """
    return _matrix(capture, tower, "patches", lambda w, _: reach(w, renormalise), "attention distance", "px")


@method(
    title="Attention entropy",
    kind="head",
    cites=("clark2019",),
    needs={"weights"},
    range="0 (one key) to 1 (even), or to log K in nats",
    misleads="A head that ignores the picture can be even or sharp; and a sink makes any head look sharp.",
)
def attention_entropy(
    capture: Capture, *, tower: str = "vision", rows: Readers = "patches", normalise: bool = True
) -> HeadMatrix:
    """How evenly rows spread their weight."""
    return _matrix(capture, tower, rows, lambda w, _: evenness(w, normalise), "entropy", "" if normalise else "nats")


@method(
    title="Attention share",
    kind="head",
    cites=("clark2019",),
    needs={"weights"},
    range="0 to 1",
    misleads="Weight on a sink is often a way of attending to nothing: look at the value's length before calling it important.",
)
def attention_share(
    capture: Capture,
    *,
    tower: str = "vision",
    to: Receiver = "class",
    rows: Readers = "patches",
    sinks: Sequence[int] | None = None,
    sinks_by: SinkSign = "even share",
    sink_factor: Annotated[float, Range(1, 1000)] = 10.0,
) -> HeadMatrix:
    """Which share of their weight rows give to the class token, to registers, to sinks or to themselves.

    Args:
        capture: with weights.
        tower: which tower.
        to: who receives.
        rows: who gives.
        sinks: the numbers of the sink keys; found in each layer by default.
        sinks_by: how they are found. "even share": those that receive more than `sink_factor` times an even share of the
            layer's weight, over all heads and kept rows (our definition). The others are `sinks_by_attention`, `sinks_by_norm`
            and `sinks_by_massive_dimensions`, image by image, among the patches.
        sink_factor: see `sinks_by`.
    """

    def of_rows(window: Window, site: Site) -> np.ndarray:
        if to == "sinks" and sinks is None and sinks_by != "even share":
            return np.einsum("bhqk,bk->bhq", window.weights, found_sinks(capture, site, sinks_by).astype(float))
        return given_to(window, receivers(window, to, sinks, sink_factor))

    _check_receiver(capture, tower, to)
    return _matrix(capture, tower, rows, of_rows, f"share to {to}")


def _check_receiver(capture: Capture, tower: str, to: Receiver) -> None:
    """A share given to tokens that no layer has would read as a share of nothing."""
    role = {"class": "class", "registers": "register"}.get(to)
    if role is not None and not any(len(capture.layouts[site].keys.where(role)) for site in tower_sites(capture, tower)):
        name = "class token" if to == "class" else "registers"
        raise ValueError(
            f"the share given to the {name} was asked for, but tower {tower!r} of {capture.model} has none. "
            "to='self' and to='sinks' work."
        )


def found_sinks(capture: Capture, site: Site, by: SinkSign) -> np.ndarray:
    """Bool [B, K]: the tokens that the layer of a site reads as sinks."""
    if capture.layouts[site].windows != 1:
        raise ValueError(f"{site.name} attends within windows: sinks of the whole image are not among its keys.")
    sign = {"attention": sinks_by_attention, "norm": sinks_by_norm, "massive dimensions": sinks_by_massive_dimensions}[by]
    is_sink = sign(capture, tower=site.tower, layer=site.layer).is_sink
    keys = capture.shapes[site][2]
    if is_sink.shape[1] != keys:
        raise ValueError(f"{site.name} reads {keys} keys, but the layer has {is_sink.shape[1]} tokens.")
    return is_sink


def receivers(window: Window, to: Receiver, sinks: Sequence[int] | None = None, sink_factor: float = 10.0) -> np.ndarray:
    """The keys that are meant: numbers, or bool [Q, K] where each row has its own."""
    if to == "self":
        return np.arange(len(window.keys))[None] == window.own[:, None]
    if to == "sinks":
        received = window.weights.mean((0, 1, 2)) * len(window.keys)
        return np.flatnonzero(received > sink_factor) if sinks is None else np.asarray(sinks, dtype=int)
    return window.keys.where("class" if to == "class" else "register")


@method(
    title="Top-k mass",
    kind="head",
    cites=("zhang2024acmil",),
    needs={"weights"},
    range="k / K (even) to 1",
    misleads="It counts sinks like any key: a row can be concentrated on tokens that say nothing about the image.",
)
def top_mass(
    capture: Capture, *, tower: str = "vision", rows: Readers = "class", count: Annotated[int, Range(1, 4096)] = 10
) -> HeadMatrix:
    """How much of its weight a row puts on its few largest keys."""
    return _matrix(capture, tower, rows, lambda w, _: largest(w, count)[..., -1], f"mass of the top {count}")


@method(
    title="Cumulative mass",
    kind="profile",
    cites=("zhang2024acmil",),
    needs={"weights"},
    range="0 to 1, rising",
    misleads="Averaged over rows, it hides that the few largest keys differ from row to row.",
)
def cumulative_mass(
    capture: Capture, *, tower: str = "vision", rows: Readers = "class", count: Annotated[int, Range(1, 4096)] = 4096
) -> Profile:
    """How few keys hold how much of a row's weight: the largest, the two largest, and so on."""
    values = by_head(capture, tower, rows, lambda w, _: largest(w, count))
    return Profile(values, np.arange(1, values.shape[-1] + 1), tower_sites(capture, tower), "mass", "", "keys")
