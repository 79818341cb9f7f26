"""Contrast with a noised image, and guidance against a blank one or none."""

from __future__ import annotations

from typing import Annotated, Literal

from analysis.fixes.options import FixOptions, options
from analysis.registry import Range, method
from model_adapters.decoding import Blank, Contrast, Imageless, Look, Noised

RANGE = "keywords for `generate`; two passes for a token"


@method(
    title="Visual contrastive decoding",
    kind="fix",
    cites=("leng2024",),
    needs={"generation", "pixels"},
    range=RANGE,
    misleads="Noise that a model still reads through changes little, and noise unlike all that it knows changes too much.",
)
def visual_contrastive_decoding(
    *,
    alpha: Annotated[float, Range(0, 5)] = 1.0,
    beta: Annotated[float, Range(0.001, 1)] = 0.1,
    step: Annotated[int, Range(0, 999)] = 500,
    seed: int = 0,
) -> FixOptions:
    """Tokens that lose probability when the image is noised: (1 + alpha) l - alpha l', among those with l near the best.

    Args:
        alpha: 1 by default in the release; 0 changes nothing.
        beta: tokens below beta times the best probability are never chosen; 0.1 in the release, 0.2 in its POPE script.
        step: how much noise, of 1,000 steps.
        seed: of the noise, which is the same for all tokens.
    """
    return options(decoding=Contrast(Noised(step, seed), alpha, beta)) if alpha else options()


@method(
    title="Guidance against a blank image",
    kind="fix",
    cites=("zhao2025lacing",),
    needs={"generation", "pixels"},
    range=RANGE,
    misleads="The published guidance has a learned embedding in place of the image; a blank picture is only like it.",
)
def image_guidance(
    *,
    strength: Annotated[float, Range(1, 5)] = 1.5,
    against: Literal["mean colour", "grey", "black", "no image", "hidden image"] = "mean colour",
    cut_off: bool = False,
) -> FixOptions:
    """Guidance l_u + s (l - l_u), where l_u comes from a picture of one colour, or from no picture.

    Args:
        strength: s; 1 changes nothing. Published sweeps go from 1 to 2.5; that it starts at 1.5 here is our choice.
        against: what the second branch sees.
        cut_off: never choose tokens below a tenth of the best probability (the contrastive variant of the release has it,
            with strength 1.5).
    """
    looks: dict[str, Look] = {
        "mean colour": Blank("mean"), "grey": Blank("grey"), "black": Blank("black"),
        "no image": Imageless(), "hidden image": Imageless("hidden"),
    }  # fmt: skip
    if against not in looks:
        raise ValueError(f"against must be one of {list(looks)}. Got {against!r} instead.")
    return options(decoding=Contrast(looks[against], strength - 1, 0.1 if cut_off else None)) if strength != 1 else options()
