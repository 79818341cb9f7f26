"""From a plan to edits: tokens really dropped and merged, or, for comparison, only hidden from everyone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from analysis.visual_tokens.plan import VisualPlan
from model_adapters import Rows, Where
from model_adapters.edits import Block, DropTokens, Edit, Gate, MergeTokens, ScalePairs, ScaleWeights, Skip, Values

DECODER = "decoder"


def dropping(plan: VisualPlan) -> tuple[Edit, ...]:
    """The plan as edits for one run or a generation: sequences and caches are really shorter, positions stay.

    Rows of later layers and of the logits are numbered by what is left.
    """
    found: list[Edit] = [*_pairs(plan)]
    found += [*_rounds(plan), *_forgotten(plan, plan.there)]
    before = np.ones(len(plan), bool)
    for step in plan.steps:
        found += _step(plan, step.layer, before, step.into, step.share)
        before = before & (step.into == np.arange(len(plan)))
    return tuple(found)


def masking(plan: VisualPlan) -> tuple[Edit, ...]:
    """The same plan with every token still there: nobody who stays sees what the plan drops. No operation is spared.

    Args:
        plan: one that merges nothing and sends nothing round; such tokens have no counterpart in a full sequence.
    """
    alive = plan.alive
    if plan.merges:
        raise ValueError(f"{plan.method} merges tokens, which no mask can do; `dropping` works.")
    if plan.rounds is not None and plan.rounds.any():
        raise ValueError(f"{plan.method} sends tokens round layers, which no mask can do; `dropping` works.")
    found: list[Edit] = [*_pairs(plan), *_forgotten(plan, np.ones_like(alive))]
    for layer in range(plan.depth):
        gone = plan.image[~alive[layer]]
        if len(gone):
            stay = np.setdiff1d(np.arange(len(plan.rows)), gone)
            here = Where(tower=DECODER, layers=(layer,), keys=_numbers(gone))
            found += [Block(replace(here, queries=_numbers(stay), phase="prompt")), Block(replace(here, phase="new"))]
    return tuple(found)


def near(rows: Rows, image: np.ndarray, window: int) -> np.ndarray:
    """[N, N] bool: visual tokens of one tile whose places differ by at most half a window in rows and in columns."""
    boxes = rows.boxes[image]
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    side = np.minimum(sides[:, None], sides[None])
    apart = np.abs(centres[:, None] - centres[None]) / np.maximum(side, 1e-6)
    same = (rows.tile[image][:, None] == rows.tile[image]) & (rows.image[image][:, None] == rows.image[image])
    return same & (np.rint(apart) <= (window - 1) / 2).all(-1)


def _pairs(plan: VisualPlan) -> Iterator[Edit]:
    """The edits of plans that mask pairs and drop nothing."""
    image = _numbers(plan.image)
    for layer, heads in plan.blind:
        here = Where(tower=DECODER, layers=(layer,), heads=heads)
        yield ScaleWeights(replace(here, keys=image), 0.0)
        yield Gate(replace(here, queries=image, phase="prompt"), 0.0)
    if plan.cut:
        yield ScaleWeights(Where(tower=DECODER, layers=tuple(range(plan.cut, plan.depth)), keys=image), 0.0)
    if plan.window:
        factors = np.ones((len(plan.rows), len(plan.rows)))
        factors[np.ix_(plan.image, plan.image)] = near(plan.rows, plan.image, plan.window)
        yield ScalePairs(Where(tower=DECODER, phase="prompt"), Values(factors), renormalise=True)


def _rounds(plan: VisualPlan) -> Iterator[Edit]:
    """Tokens that go round a layer, numbered by what is left in front of it."""
    if plan.rounds is None:
        return
    for layer in np.flatnonzero((plan.there & plan.rounds).any(1)):
        gone = _numbered(plan, plan.there[layer], plan.there[layer] & plan.rounds[layer])
        yield Skip(Where(tower=DECODER, layers=(int(layer),), queries=gone, phase="prompt"))


def _forgotten(plan: VisualPlan, held: np.ndarray) -> Iterator[Edit]:
    """What new words no longer see, of the visual tokens [depth, N] that each layer's cache holds."""
    for layer in plan.forgotten:
        gone = held[layer] & plan.there[layer] & ~plan.there[-1]
        if gone.any():
            yield Block(Where(tower=DECODER, layers=(layer,), keys=_numbered(plan, held[layer], gone), phase="new"))


def _numbered(plan: VisualPlan, there: np.ndarray, chosen: np.ndarray) -> tuple[int, ...]:
    """The numbers of chosen visual tokens [N] in a sequence of which these [N] are there."""
    left = np.ones(len(plan.rows), bool)
    left[plan.image] = there
    return _numbers((np.cumsum(left) - 1)[plan.image[chosen]])


def _step(plan: VisualPlan, layer: int, before: np.ndarray, into: np.ndarray, share: np.ndarray) -> Iterator[Edit]:
    """The edits of one step, for the sequence of those that are there `before` it."""
    where = Where(tower=DECODER, layers=(layer,), phase="prompt")
    goes = np.zeros(len(plan.rows), np.int64)
    there = np.ones(len(plan.rows), bool)
    there[plan.image] = before
    goes[plan.image] = into
    gone = there & (goes < 0)
    if gone.any():
        yield DropTokens(replace(where, queries=_numbers(np.flatnonzero(gone[there]))), entry=True)
    leader = np.arange(len(plan.rows))
    leader[plan.image] = plan.image[np.maximum(into, 0)]
    left = np.flatnonzero(there & ~gone)
    if (leader[left] == left).all():
        return
    leaders, groups = np.unique(leader[left], return_inverse=True)
    weights = np.ones(len(plan.rows))
    weights[plan.image] = np.maximum(share, 1e-8)
    places = np.searchsorted(left, leaders)
    yield MergeTokens(where, _numbers(groups), tuple(float(w) for w in weights[left]), places=_numbers(places), entry=True)


def _numbers(index: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in index)
