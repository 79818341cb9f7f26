"""Does a map fall on the object that was asked for? Needs the true mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from scipy.ndimage import distance_transform_edt

from analysis.registry import Range, method
from analysis.results import TokenMap


@dataclass(frozen=True)
class Rated:
    """A number that rates a map, next to what a map without knowledge would get."""

    value: float
    chance: float
    label: str = ""


@method(
    title="Pointing game",
    kind="localisation",
    cites=("zhang2016",),
    needs={"mask"},
    range="0 or 1; between where several tokens share the highest value",
    misleads="Only one point counts: a map wrong everywhere else can win, and a token larger than the object can miss it.",
)
def pointing_game(shown: TokenMap, mask: np.ndarray, *, tolerance: Annotated[int, Range(0, 50)] = 0) -> Rated:
    """Whether the middle of the highest token lies on the object.

    Chance is the share of tokens whose middle does.

    Args:
        shown: the map.
        mask: [height, width] bool, in pixels of the original image.
        tolerance: how many pixels beside the object still count.
    """
    _check(shown, mask)
    placed = shown.rows.placed
    boxes, values = shown.rows.boxes[placed], shown.values[placed]
    if not mask.any():
        raise ValueError("the mask is empty: there is no object to point at.")
    middles = ((boxes[:, :2] + boxes[:, 2:]) / 2).astype(int).clip(0, np.array(shown.size) - 1)
    hits = (distance_transform_edt(~mask.astype(bool)) <= tolerance)[middles[:, 1], middles[:, 0]]
    return Rated(float(hits[values == values.max()].mean()), float(hits.mean()), "pointing game")


@method(
    title="Energy on the object",
    kind="localisation",
    cites=("wang2020",),
    needs={"mask"},
    range="0 to 1",
    misleads="Large objects get much by chance: compare with their share; and a model may rightly use the surroundings.",
)
def energy_in_mask(shown: TokenMap, mask: np.ndarray) -> Rated:
    """The share of the map's positive mass that lies on the object.

    Chance is the object's share of the pixels that have a token.

    Args:
        shown: the map.
        mask: [height, width] bool, in pixels of the original image.
    """
    _check(shown, mask)
    raster = shown.raster()
    seen = np.isfinite(raster)
    positive = np.where(seen, raster, 0).clip(0)
    chance = float(mask[seen].mean()) if seen.any() else 0.0
    total = positive.sum()
    if total == 0:
        raise ValueError("the map has no positive value: no mass can lie on the object.")
    return Rated(float(positive[mask.astype(bool)].sum() / total), chance, "energy on the object")


def _check(shown: TokenMap, mask: np.ndarray) -> None:
    if mask.shape != shown.size[::-1]:
        raise ValueError(f"the mask must be [height, width] = {shown.size[::-1]} of the image. Got shape {mask.shape} instead.")
