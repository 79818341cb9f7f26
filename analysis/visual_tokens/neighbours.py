"""YOPO's window: visual tokens stay, but see only their neighbours."""

from __future__ import annotations

from typing import Annotated

from analysis.registry import Range, method
from analysis.visual_tokens.making import Making
from analysis.visual_tokens.plain import cells_of
from analysis.visual_tokens.plan import VisualPlan
from model_adapters import Capture


@method(
    title="YOPO: visual tokens see only their neighbours",
    kind="visual tokens",
    cites=("zhang2024yopo",),
    needs={"weights", "grid"},
    range="all visual tokens stay; pairs of them go",
    misleads="Pairs that are only masked cost what they cost before: a kernel that skips them is needed to be faster.",
)
def visual_window(capture: Capture, *, window: Annotated[int, Range(1, 63, 2)] = 7) -> VisualPlan:
    """Visual tokens attend to visual tokens only within a square window; words still read all of them.

    Args:
        capture: with the places of the decoder's rows.
        window: the side of the window in tokens, odd; one as large as the image changes nothing.
    """
    making = Making(capture)
    columns, rows = cells_of(making.first.places)
    whole = 2 * int(max(columns.max(), rows.max())) + 1
    window = 0 if window >= whole else window
    return making.plan("visual_window", "Neurons that the original leaves out are kept; blind heads are a method here.", window)
