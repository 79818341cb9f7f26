"""Token reduction without training: which tokens a vision transformer could do without, by the rules of several papers.

Each method makes a `TokenPlan`, whose edits drop or merge tokens between attention and MLP (MCTF: before attention). Without
`look` all steps read one capture of the whole sequence; with it the model is run again after each step, so that later steps
read what the reduced model attends to, as the originals do. A `schedule` gives each of the layers its own keep rate or number
of merges; without `layers` these are the originals', scaled to the depth: all for ToMe, all but the first for MCTF, the last
three quarters for ATS, and the quarters of the depth for methods that drop a share.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from analysis.registry import Range, method
from analysis.token_making import later, planned, quarters, rows_of_plan
from analysis.token_plan import Look, Step, TokenPlan, Tokens
from analysis.token_steps import (
    cosine,
    evenly_spread,
    keep_top,
    keep_top_and_fuse,
    matched,
    matched_both_ways,
    multi_criteria,
    sampled,
)
from model_adapters import Capture

Rate = Annotated[float, Range(0.05, 1, 0.05)]
Count = Annotated[int, Range(1, 256)]
NEEDED = {"weights", "square", "class_token"}
ORDER = "The order of the tokens is kept, where the release puts merged ones last, which pairs other tokens in later layers."


@method(
    title="EViT: keep what the class token attends to, fuse the rest",
    kind="tokens",
    cites=("liang2022",),
    needs=NEEDED,
    range="tokens left per layer",
    misleads="Without the fine-tuning of the original the loss of accuracy is larger than published.",
)
def evit(
    capture: Capture,
    *,
    layers: tuple[int, ...] | None = None,
    keep: Rate = 0.7,
    schedule: tuple[float, ...] = (),
    look: Look | None = None,
) -> TokenPlan:
    """Which patches stay when the class token's attention decides and the others become one token."""

    def choose(tokens: Tokens, layer: int, rate: float) -> Step:
        scores = _from_class(tokens, layer)
        return Step(layer, keep_top_and_fuse(scores, tokens.protected, rate), scores)

    said = "Training and the schedule of keep rates are left out; the fused token is a mean, where the original takes a sum."
    return planned(capture, layers or quarters(capture), keep, schedule, choose, look, said)


@method(
    title="Keep what the class token attends to",
    kind="tokens",
    cites=("liang2022",),
    needs=NEEDED,
    range="tokens left per layer",
    misleads="The class token of an early layer attends to little that matters later.",
)
def class_top(
    capture: Capture,
    *,
    layers: tuple[int, ...] | None = None,
    keep: Rate = 0.7,
    schedule: tuple[float, ...] = (),
    look: Look | None = None,
) -> TokenPlan:
    """Which patches stay when the class token's attention decides and the others are dropped."""

    def choose(tokens: Tokens, layer: int, rate: float) -> Step:
        return Step(layer, keep_top(_from_class(tokens, layer), tokens.protected, rate), tokens.sizes)

    return planned(capture, layers or quarters(capture), keep, schedule, choose, look, "EViT without its fused token.")


@method(
    title="ToMe: merge the likest tokens",
    kind="tokens",
    cites=("bolya2023",),
    needs={"weights", "square", "queries"},
    range="tokens left per layer",
    misleads="Small things on an even ground merge into it as readily as the ground into itself.",
)
def tome(
    capture: Capture,
    *,
    layers: tuple[int, ...] | None = None,
    merged: Count = 8,
    schedule: tuple[int, ...] = (),
    proportional: bool = True,
    look: Look | None = None,
) -> TokenPlan:
    """Which tokens become one when those with the likest keys are merged in every layer.

    Args:
        capture: with the keys of the tower.
        layers: in which tokens merge; all by default.
        merged: how many go in each layer.
        schedule: another number for each of the layers.
        proportional: a merged token weighs in later attention as much as the tokens in it, as published for models that were
            not trained with merging; without, it counts once, and large even regions lose weight.
        look: edits to a capture under them, so that later layers read the reduced model.
    """

    def choose(tokens: Tokens, layer: int, count: float) -> Step:
        likeness = cosine(tokens.vectors(layer, "keys").mean(0))
        return Step(layer, matched(likeness, tokens.protected, int(count)), tokens.sizes)

    weighed = "" if proportional else "Attention is not made proportional to the size of merged tokens. "
    return planned(capture, layers, merged, schedule, choose, look, weighed + ORDER, proportional=proportional)


@method(
    title="ATS: sample tokens by the class token's attention and the length of their values",
    kind="tokens",
    cites=("fayyaz2022",),
    needs={*NEEDED, "values"},
    range="tokens left per layer, at most the samples and the prefix",
    misleads="The number of tokens differs from image to image, so that a batch cannot be run as one.",
)
def ats(capture: Capture, *, layers: tuple[int, ...] | None = None, samples: Count = 197, look: Look | None = None) -> TokenPlan:
    """Which patches stay when evenly spaced points of the cumulated significance choose them; the image decides how many."""

    def choose(tokens: Tokens, layer: int, count: float) -> Step:
        lengths = np.sqrt((tokens.vectors(layer, "values") ** 2).sum((0, 2)))
        return Step(layer, sampled(_from_class(tokens, layer) * lengths, tokens.protected, int(count)), tokens.sizes)

    said = (
        "Significance is added up in the order of the tokens and met at the middles of even steps, where the release sorts it "
        "first and takes the nearest sum; by default in layers 3 to 11 of 12, scaled to the depth. Nothing is trained."
    )
    return planned(capture, layers or later(capture, 3 / 12), samples, (), choose, look, said)


@method(
    title="MCTF: merge what is alike, uninformative and small",
    kind="tokens",
    cites=("lee2024",),
    needs={"weights", "square", "hidden"},
    range="tokens left per layer",
    misleads="What gets little attention counts as uninformative: a sink gets most of it and is kept.",
)
def mctf(
    capture: Capture,
    *,
    layers: tuple[int, ...] | None = None,
    merged: Count = 16,
    schedule: tuple[int, ...] = (),
    look: Look | None = None,
) -> TokenPlan:
    """Which tokens become one before a layer's attention when likeness, information and size decide together.

    Information is the attention that a token would get in this layer, looked up one step ahead; the layer then attends by
    that same map, its columns added up and its rows averaged like the tokens. Merged tokens weigh as much as what is in them.
    """

    def choose(tokens: Tokens, layer: int, count: float) -> Step:
        ahead, sizes = tokens.attention(layer), tokens.sizes
        received = ahead.mean((0, 1))
        groups = matched_both_ways(multi_criteria(tokens.states(layer), received, sizes), tokens.protected, int(count))
        weights = received * sizes
        member = (groups == np.arange(groups.max() + 1)[:, None]).astype(np.float64)
        mean = member * weights / (member @ weights)[:, None]
        return Step(layer, groups, weights, entry=True, attention=mean @ ahead @ member.T)

    said = f"Training is left out. {ORDER}"
    return planned(capture, layers or later(capture, 1 / 12), merged, schedule, choose, look, said, proportional=True)


@method(
    title="Random tokens",
    kind="tokens",
    needs={"weights", "square"},
    range="tokens left per layer",
    misleads="One draw is one draw: repeat it with other seeds.",
)
def random_tokens(
    capture: Capture,
    *,
    layers: tuple[int, ...] | None = None,
    keep: Rate = 0.7,
    schedule: tuple[float, ...] = (),
    seed: int = 0,
    look: Look | None = None,
) -> TokenPlan:
    """The baseline for every other method: patches that chance drops."""
    rng = np.random.default_rng(seed)

    def choose(tokens: Tokens, layer: int, rate: float) -> Step:
        return Step(layer, keep_top(rng.random(len(tokens.protected)), tokens.protected, rate), tokens.sizes)

    return planned(capture, layers or quarters(capture), keep, schedule, choose, look, "")


@method(
    title="Tokens evenly spread over the image",
    kind="tokens",
    needs={"weights", "square", "grid"},
    range="tokens left per layer",
    misleads="A strong baseline where objects are large, a poor one where they are small.",
)
def even_tokens(
    capture: Capture,
    *,
    layers: tuple[int, ...] | None = None,
    keep: Rate = 0.7,
    schedule: tuple[float, ...] = (),
    look: Look | None = None,
) -> TokenPlan:
    """The baseline that knows nothing but the places: patches that lie as far from each other as can be."""
    rows = rows_of_plan(capture)

    def choose(tokens: Tokens, layer: int, rate: float) -> Step:
        return Step(layer, evenly_spread(tokens.centres(rows), tokens.protected, rate), tokens.sizes)

    return planned(capture, layers or quarters(capture), keep, schedule, choose, look, "")


def _from_class(tokens: Tokens, layer: int) -> np.ndarray:
    """[T]: what the class token (the first one) gives each token, mean over heads."""
    if not tokens.protected[0]:
        raise ValueError("a class token is needed; this model has none.")
    return tokens.attention(layer)[:, 0].mean(0)
