"""Maps that know nothing of the model or of the image: what every other map must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np

from analysis.registry import Range, method
from analysis.results import TokenMap


@method(
    title="Random map",
    kind="baseline",
    cites=("samek2017",),
    needs={"grid"},
    range="0 to 1",
    misleads="Easy to beat: any map that falls on the middle of the image or on one connected region usually does.",
)
def random_map(like: TokenMap, *, seed: int = 0) -> TokenMap:
    """A random number for each token.

    Args:
        like: the map whose tokens are taken.
        seed: of the random numbers.
    """
    values = np.random.default_rng(seed).random(len(like.values))
    return replace(like, values=values, signed=False, label="random", unit="")


@method(
    title="Centre prior",
    kind="baseline",
    cites=("tatler2007",),
    needs={"grid"},
    range="0 to 1",
    misleads="Photographers put things in the middle, so this can look better than a map that has really found the object.",
)
def centre_prior(like: TokenMap, *, spread: Annotated[float, Range(0.05, 1, 0.05)] = 0.25) -> TokenMap:
    """A bell over the middle of the image.

    Args:
        like: the map whose tokens are taken.
        spread: standard deviation, as a share of width and of height.
    """
    middles = (like.rows.boxes[:, :2] + like.rows.boxes[:, 2:]) / 2 / np.array(like.size)
    values = np.exp(-(((middles - 0.5) / spread) ** 2).sum(1) / 2)
    return replace(like, values=values, signed=False, label="centre prior", unit="")


@method(
    title="Mean map of other images",
    kind="baseline",
    cites=("zhang2008",),
    needs={"grid"},
    range="each map is scaled to a total of 1 before the mean",
    misleads="What is the same in all images need not be an artefact: in a data set of centred objects it is also right.",
)
def mean_map(like: TokenMap, others: Sequence[TokenMap]) -> TokenMap:
    """The mean of the same method's maps of other images, token by token: what the map would be without looking.

    Args:
        like: the map whose tokens are taken.
        others: maps of the same method and model on other images, with the same tokens in the same order.
    """
    if not others:
        raise ValueError("mean_map needs at least one other map. Got none.")
    for other in others:
        if len(other.values) != len(like.values) or not np.array_equal(other.rows.roles, like.rows.roles):
            raise ValueError(f"all maps must have the same {len(like.values)} tokens. Got one of {len(other.values)}.")
    totals = [np.abs(o.values).sum() for o in others]
    scaled = [o.values / total if total else o.values for o, total in zip(others, totals, strict=True)]
    signed = any(o.signed for o in others)
    return replace(like, values=np.mean(scaled, axis=0), signed=signed, label=f"mean of {len(others)} other images", unit="")
