"""More attention to the image where tokens are decided, and guidance against the prompt without it."""

from __future__ import annotations

from typing import Annotated, Literal

from analysis.fixes.options import FixOptions, FromLayer, options
from analysis.registry import Range, method
from model_adapters.decoding import Contrast, Imageless
from model_adapters.edits import Boost
from model_adapters.where import Where

How = Literal["left out", "hidden"]


@method(
    title="Paying more attention to the image",
    kind="fix",
    cites=("liu2024pai",),
    needs={"generation", "run"},
    range="keywords for `generate`; two passes for a token, one where the guidance is 1",
    misleads="More attention to the image is not more attention to the right place: its sinks are raised as well.",
)
def pay_attention_to_image(
    *,
    alpha: Annotated[float, Range(0, 5)] = 0.2,
    guidance: Annotated[float, Range(1, 5)] = 1.1,
    first_layer: Annotated[int, Range(0, 200)] = 2,
    without: How = "left out",
) -> FixOptions:
    """Scores S + alpha |S| on image keys for the deciding row, and guidance g (l - l_u) + l_u against no image.

    Where the image is left out, the prompt is made anew without it, so a separator that the release keeps behind the image may
    be gone too, which alone can change an answer.

    Args:
        alpha: 0.2 in the release; 0 leaves attention as it is.
        guidance: 1.1 in the commands of the release, 2 as the default of its CHAIR script; 1 leaves scores as they are.
        first_layer: the release edits from layer 2 to the last.
        without: the image is left out of the second prompt (the release), or hidden, for models that need one.
    """
    where = Where(tower="decoder", queries="last", keys="image")
    edits = (FromLayer(Boost(where, alpha), first_layer),) if alpha else ()
    return options(edits=edits, decoding=Contrast(Imageless(without), guidance - 1, 0.1) if guidance != 1 else None)
