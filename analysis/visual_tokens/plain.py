"""Baselines: visual tokens by lot, evenly spread, or averaged over larger and larger cells."""

from __future__ import annotations

import numpy as np

from analysis.registry import method
from analysis.visual_tokens.before_decoder import Keep
from analysis.visual_tokens.choosing import best
from analysis.visual_tokens.making import Making
from analysis.visual_tokens.plan import VisualPlan
from model_adapters import Capture


@method(
    title="Random visual tokens",
    kind="visual tokens",
    needs={"weights"},
    range="visual tokens left before the decoder",
    misleads="One draw is one draw: repeat it with other seeds.",
)
def random_visual(capture: Capture, *, keep: Keep = 64, seed: int = 0, layer: int = 0) -> VisualPlan:
    """The baseline for every other method: visual tokens that chance drops, at the entry of a decoder layer."""
    making = Making(capture)
    making.keep(layer, best(np.random.default_rng(seed).random(len(making.alive)), keep))
    return making.plan("random_visual")


@method(
    title="Evenly spread visual tokens",
    kind="visual tokens",
    needs={"weights", "grid"},
    range="visual tokens left before the decoder",
    misleads="A strong baseline where objects are large, a poor one where they are small.",
)
def uniform_visual(capture: Capture, *, keep: Keep = 64, layer: int = 0) -> VisualPlan:
    """The baseline that knows nothing but places: visual tokens as far from each other as can be."""
    making = Making(capture)
    making.keep(layer, spread(making.first.places, keep))
    return making.plan("uniform_visual")


@method(
    title="Pooled visual tokens (after Matryoshka)",
    kind="visual tokens",
    cites=("cai2024m3",),
    needs={"weights", "grid"},
    range="visual tokens left before the decoder, at most the budget",
    misleads="The original trains the model on pooled tokens; one that never met any may do worse with them than published.",
)
def pooled_visual(capture: Capture, *, keep: Keep = 64) -> VisualPlan:
    """Visual tokens as the means of the cells of a coarser grid, the finest one within the budget.

    Args:
        capture: with the places of the decoder's rows; of one tile.
        keep: how many tokens there may be at most.
    """
    making = Making(capture)
    first = making.first
    if len(np.unique(first.tile)) > 1:
        raise ValueError(f"one grid of visual tokens is needed. This picture is cut into {len(np.unique(first.tile))} tiles.")
    columns, rows = cells_of(first.places)
    wide, high = columns.max() + 1, rows.max() + 1
    across, down = coarser(wide, high, keep)
    cells = rows * down // high * across + columns * across // wide
    into = np.array([int(np.flatnonzero(cells == c)[0]) for c in cells])
    making.merge(0, into)
    return making.plan("pooled_visual", "Training on pooled tokens is left out.")


def cells_of(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[N] the column and the row of each box on the grid that they make."""
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).min(0)
    return _line(centres[:, 0], sides[0] / 4), _line(centres[:, 1], sides[1] / 4)


def _line(places: np.ndarray, apart: float) -> np.ndarray:
    """[N] the number of each place among those that lie further than `apart` from each other."""
    order = np.argsort(places, kind="stable")
    numbers = np.zeros(len(places), np.int64)
    numbers[order[1:]] = np.cumsum(np.diff(places[order]) > apart)
    return numbers


def coarser(wide: int, high: int, keep: int) -> tuple[int, int]:
    """(columns, rows) of the finest grid of at most `keep` cells, of those the one nearest to the image's shape."""
    if keep >= wide * high:
        return wide, high
    sizes = [(c, r) for c in range(1, wide + 1) for r in range(1, high + 1) if c * r <= keep]
    return min(sizes, key=lambda s: abs(np.log(s[0] * high / (s[1] * wide))) - np.log(s[0] * s[1]))


def spread(boxes: np.ndarray, count: int) -> np.ndarray:
    """[N] bool: `count` boxes, each as far from those chosen before as can be; the first is nearest to the middle."""
    places = (boxes[:, :2] + boxes[:, 2:]) / 2
    chosen = np.zeros(len(boxes), bool)
    distance = -np.linalg.norm(places - places.mean(0), axis=1)
    for turn in range(min(count, len(boxes))):
        pick = int(np.where(chosen, -np.inf, distance).argmax())
        chosen[pick] = True
        away = np.linalg.norm(places - places[pick], axis=1)
        distance = away if turn == 0 else np.minimum(distance, away)
    return chosen
