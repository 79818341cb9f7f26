"""AttnLRP: the score taken apart layer by layer, from the answer back to the pixels, in one backward pass."""

from __future__ import annotations

import torch

from analysis.captum_maps import Forward, Pixels
from analysis.registry import method
from analysis.results import TokenMap


@method(
    title="AttnLRP",
    kind="map",
    cites=("achtibat2024",),
    needs={"pixels", "gradients"},
    range="signed; adds up to the score less what the biases of the layers took",
    misleads="In the small world its order of patches is as good as that of any map, but it lies on the object less surely: the "
    "hottest patch hits it on 65 % of pictures, with gradient x attention on 95 %. A patch of the mean colour gets nothing.",
)
def attn_lrp(relevance: Forward, pixels: Pixels, target: int) -> TokenMap:
    """How much of the score each patch carries, when every layer hands its relevance back to what it was computed from.

    The epsilon rule (with an epsilon of zero) for linear layers, a Taylor expansion for the softmax, equal shares for both
    sides of a product, and all of the relevance through norms, activations and gates. A pixel's relevance is its value times a
    gradient with these rules in it; the gamma rule that the paper adds for vision transformers is left out.

    Args:
        relevance: prepared pictures to scores, whose gradients follow the rules.
        pixels: the prepared picture.
        target: the class.
    """
    picture = pixels.batch()
    score = relevance(picture)[0, target]
    if not score.requires_grad:
        raise ValueError("AttnLRP was asked for a score that the picture reaches only through gates or divisors, or not at all.")
    (gradient,) = torch.autograd.grad(score, picture)
    return pixels.summed(picture * gradient, "AttnLRP")
