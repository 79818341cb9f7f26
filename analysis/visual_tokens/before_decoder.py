"""Visual tokens dropped before the decoder, by what the vision tower's class token attends to and by how alike they are."""

from __future__ import annotations

from math import ceil
from typing import Annotated

import numpy as np

from analysis.registry import Range, method
from analysis.token_steps import cosine
from analysis.visual_tokens.choosing import best, shared_out
from analysis.visual_tokens.making import Making
from analysis.visual_tokens.plan import VisualPlan
from model_adapters import Capture

Keep = Annotated[int, Range(1, 4096)]
CLASS = {"weights", "class_token", "grid"}
PROJECTED = "Tokens go before the decoder instead of before the projector, and keep their positions."


@method(
    title="FasterVLM: keep what the class token attends to",
    kind="visual tokens",
    cites=("zhang2024fastervlm",),
    needs=CLASS,
    range="visual tokens left before the decoder",
    misleads="The class token has never read the question: what is asked for may be what it passes over.",
)
def faster_vlm(capture: Capture, *, keep: Keep = 64, layer: int = -2) -> VisualPlan:
    """Which visual tokens stay when one vision layer's class token decides.

    Args:
        capture: with the weights of the vision tower and the decoder.
        keep: how many visual tokens stay; all where there are not more.
        layer: of the vision tower; -2 is the last but one.
    """
    making = Making(capture)
    making.keep(0, best(making.first.from_class(layer), keep))
    return making.plan("faster_vlm", PROJECTED)


@method(
    title="VTC-CLS: keep what the class tokens of many layers attend to",
    kind="visual tokens",
    cites=("wang2024vtc",),
    needs=CLASS,
    range="visual tokens left before the decoder",
    misleads="A sum over layers hides that early layers look at edges and late ones at sinks.",
)
def vtc_cls(capture: Capture, *, keep: Keep = 64, start: int = 0) -> VisualPlan:
    """Which visual tokens stay when the class token of all layers but the last decides together.

    Args:
        capture: with the weights of the vision tower and the decoder.
        keep: how many visual tokens stay.
        start: the first vision layer that counts.
    """
    making = Making(capture)
    layers = range(start, max(making.first.vision_layers - 1, start + 1))
    making.keep(0, best(np.sum([making.first.from_class(layer) for layer in layers], axis=0), keep))
    return making.plan("vtc_cls", PROJECTED)


@method(
    title="Repetitiveness: how dense a tile is says how many stay, the class token which",
    kind="visual tokens",
    cites=("zhang2024tlc",),
    needs={*CLASS, "queries"},
    range="visual tokens left before the decoder, at most the budget",
    misleads="A tile counts as dense where its patches differ, and noise differs most; even ground may be what is asked about.",
)
def repetitiveness(
    capture: Capture,
    *,
    keep: Keep = 64,
    alike: Annotated[float, Range(-1, 1, 0.05)] = 0.7,
    crowd: Annotated[float, Range(0, 1, 0.05)] = 0.1,
    layer: int = -2,
) -> VisualPlan:
    """Which visual tokens stay when each tile keeps the share of its tokens that is not repeated, best by class attention.

    A token is repeated where more than a share `crowd` of the others of its tile have keys whose cosine with its own is above
    `alike`.

    Args:
        capture: with weights and keys of the vision tower, and the weights of the decoder.
        keep: how many visual tokens stay at most; where density asks for more, tiles share them out in proportion.
        alike: the cosine above which two tokens repeat each other.
        crowd: the share of its tile that must repeat a token for it to count as repeated.
        layer: of the vision tower, whose keys and whose class token are read; -2 is the last but one.
    """
    making = Making(capture)
    first = making.first
    scores, keys = first.from_class(layer), first.vision_keys(layer)
    tiles = np.unique(first.tile)
    own = [np.flatnonzero(first.tile == tile) for tile in tiles]
    wanted = np.array([ceil(density(keys[mine], alike, crowd) * len(mine) - 1e-9) for mine in own])
    given = shared_out(wanted.astype(float), wanted, min(keep, int(wanted.sum())))
    chosen = np.zeros(len(scores), bool)
    for mine, count in zip(own, given, strict=True):
        chosen[mine[best(scores[mine], int(count))]] = True
    making.keep(0, chosen)
    said = "After the abstract: both thresholds are ours, and the best tokens are taken where the paper samples. "
    return making.plan("repetitiveness", said + PROJECTED)


def density(vectors: np.ndarray, alike: float, crowd: float) -> float:
    """The share of a tile's tokens that are not repeated; one token at least is not."""
    likeness = cosine(vectors)
    np.fill_diagonal(likeness, -2)
    repeated = (likeness > alike).sum(1) > crowd * (len(vectors) - 1)
    return max(1 - float(repeated.mean()), 1 / len(vectors))
