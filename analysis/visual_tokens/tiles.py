"""Pictures cut into tiles: the budget is shared out between them before each spends its own."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from scipy.special import softmax

from analysis.registry import Range, method
from analysis.visual_tokens.before_decoder import CLASS, PROJECTED, Keep
from analysis.visual_tokens.choosing import best, shared_out, unit
from analysis.visual_tokens.making import Making
from analysis.visual_tokens.plain import cells_of
from analysis.visual_tokens.plan import VisualPlan
from analysis.visual_tokens.reading import Reading
from model_adapters import Capture


@method(
    title="HiRED: share the budget out between tiles",
    kind="visual tokens",
    cites=("arif2024",),
    needs=CLASS,
    range="visual tokens left before the decoder",
    misleads="With one tile nothing is shared out, and it is the class token's attention of one layer.",
)
def hired(capture: Capture, *, keep: Keep = 64, alpha: Annotated[float, Range(0, 1, 0.05)] = 0.5) -> VisualPlan:
    """Which visual tokens stay when an early layer says which tiles matter and a late one which of their patches.

    Args:
        capture: with the weights of the vision tower and the decoder.
        keep: how many visual tokens stay.
        alpha: the share of the budget that the tile of the whole image gets.
    """
    making = Making(capture)
    first, late = making.first, making.first.from_class(-2)
    whole, crops = _overview(first)
    if not len(crops):
        making.keep(0, best(late, keep))
        return making.plan("hired", PROJECTED)
    early = np.where(first.tile == whole, first.from_class(0), -np.inf)
    told = best(early, round((1 - alpha) * int((first.tile == whole).sum())))
    weights = np.array([float(told[_inside(first, whole, crop)].sum()) for crop in crops])
    given = _two_shares(first, keep, alpha, whole, crops, weights)
    making.keep(0, _spent(first, given, late))
    said = "Tokens of the whole image are counted tile by tile, where the release counts horizontal strips of it. "
    return making.plan("hired", said + PROJECTED)


@method(
    title="GlobalCom2: the whole image guides its tiles",
    kind="visual tokens",
    cites=("liu2025globalcom",),
    needs={*CLASS, "queries"},
    range="visual tokens left before the decoder",
    misleads="Products before the softmax can be negative and have no common scale between models.",
)
def global_com(capture: Capture, *, keep: Keep = 64, temperature: Annotated[float, Range(0.1, 100)] = 10.0) -> VisualPlan:
    """Which visual tokens stay when each tile's class token and that of the whole image score its patches together.

    Args:
        capture: with queries and keys of the vision tower, and the weights of the decoder.
        keep: how many visual tokens stay.
        temperature: of the softmax over tiles.
    """
    making = Making(capture)
    first, local = making.first, making.first.class_products(-1)
    whole, crops = _overview(first)
    if not len(crops):
        making.keep(0, best(local, keep))
        return making.plan("global_com", PROJECTED)
    sizes = np.array([(first.tile == tile).sum() for tile in (whole, *crops)])
    told = np.array([local[_inside(first, whole, crop)].sum() for crop in crops])
    shares = softmax(told / temperature)
    rates = np.concatenate([[1], 1 + shares - shares.mean()])
    given = shared_out(rates * sizes, sizes, keep)
    scores = local.copy()
    for crop in crops:
        mine = first.tile == crop
        scores[mine] = unit(local[mine]) + unit(_guided(first, whole, local, mine))
    making.keep(0, _spent(first, dict(zip((whole, *crops), given, strict=True)), scores))
    said = "A tile's weight is the sum of the whole image's scores inside it; how the original sums is not told. "
    return making.plan("global_com", said + PROJECTED)


def _overview(first: Reading) -> tuple[int, np.ndarray]:
    """The tile of the whole image, and the other ones; none where no tile is much larger than another."""
    names = np.unique(first.tile)
    area = np.array([_extent(first.places[first.tile == t]) for t in names])
    whole = int(names[area.argmax()])
    if len(names) == 1 or np.sort(area)[-2] > 0.9 * area.max():
        if len(names) == 1:
            return whole, names[:0]
        raise ValueError(f"one tile of the whole image is needed beside the others. The {len(names)} tiles are alike in size.")
    return whole, names[names != whole]


def _extent(boxes: np.ndarray) -> float:
    return float(np.prod(boxes[:, 2:].max(0) - boxes[:, :2].min(0)))


def _inside(first: Reading, whole: int, crop: int) -> np.ndarray:
    """[N] bool: tokens of the whole image whose centres lie on a tile."""
    boxes = first.places[first.tile == crop]
    centres = (first.places[:, :2] + first.places[:, 2:]) / 2
    on = (centres >= boxes[:, :2].min(0)) & (centres < boxes[:, 2:].max(0))
    return on.all(1) & (first.tile == whole)


def _two_shares(first: Reading, keep: int, alpha: float, whole: int, crops: np.ndarray, weights: np.ndarray) -> dict[int, int]:
    """How many tokens each tile keeps: `alpha` of all for the whole image, the rest by weight; nothing is lost."""
    keep = min(keep, len(first.image))
    room = np.array([(first.tile == c).sum() for c in crops])
    at_whole = min(round(alpha * keep), int((first.tile == whole).sum()))
    at_whole = max(at_whole, keep - int(room.sum()))
    given = shared_out(weights, room, keep - at_whole)
    return {whole: at_whole, **{int(c): int(n) for c, n in zip(crops, given, strict=True)}}


def _spent(first: Reading, given: dict[int, int], scores: np.ndarray) -> np.ndarray:
    """[N] bool: each tile's best tokens."""
    chosen = np.zeros(len(scores), bool)
    for tile, count in given.items():
        chosen |= best(np.where(first.tile == tile, scores, -np.inf), int(count))
    return chosen


def _guided(first: Reading, whole: int, scores: np.ndarray, mine: np.ndarray) -> np.ndarray:
    """Scores of the whole image at the centres of a tile's tokens, between its patches in straight lines."""
    from_whole = first.tile == whole
    centres = (first.places[:, :2] + first.places[:, 2:]) / 2
    columns, rows = cells_of(first.places[from_whole])
    if (columns.max() + 1) * (rows.max() + 1) != from_whole.sum():
        raise ValueError("the tile of the whole image must be a grid of patches; here it is not.")
    order = np.lexsort((columns, rows))
    grid = scores[from_whole][order].reshape(rows.max() + 1, columns.max() + 1)
    placed = centres[from_whole][order].reshape(*grid.shape, 2)
    xs, ys = placed[0, :, 0], placed[:, 0, 1]
    across = np.stack([np.interp(centres[mine, 0], xs, line) for line in grid])
    return np.array([np.interp(y, ys, across[:, i]) for i, y in enumerate(centres[mine, 1])])
