"""Visual tokens dropped before the decoder, by what the vision tower's class token attends to or by how alike they are."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from analysis.registry import Range, method
from analysis.token_steps import cosine
from analysis.visual_tokens.choosing import best
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
    title="Repetitiveness: keep what is least like the rest",
    kind="visual tokens",
    cites=("zhang2024tlc",),
    needs={"weights", "hidden"},
    range="visual tokens left before the decoder",
    misleads="What is unlike everything else may be an artefact; what is asked for may be repeated, such as lines of text.",
)
def repetitiveness(capture: Capture, *, keep: Keep = 64, alike: Annotated[float, Range(-1, 1, 0.05)] = 0.7) -> VisualPlan:
    """Which visual tokens stay when those that resemble the most others go.

    A token's repetitiveness is the share of the others whose cosine with it is above `alike`; the mean cosine decides
    between equals.

    Args:
        capture: with the hidden states of the decoder.
        keep: how many visual tokens stay.
        alike: the cosine above which two tokens repeat each other.
    """
    making = Making(capture)
    likeness = cosine(making.first.features)
    np.fill_diagonal(likeness, np.nan)
    repeated = np.nanmean(np.where(np.isnan(likeness), np.nan, likeness > alike), 1) if len(likeness) > 1 else np.zeros(1)
    middle = np.nanmean(likeness, 1) if len(likeness) > 1 else np.zeros(1)
    making.keep(0, best(-(repeated + 1e-3 * middle / len(likeness)), keep))
    return making.plan("repetitiveness", "After the published idea; how it sets the number of tokens is left out. " + PROJECTED)
