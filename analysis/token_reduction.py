"""Token reduction without training: which tokens a vision transformer could do without, by the rules of several papers.

Each method makes a `TokenPlan`, whose edits drop or merge tokens between attention and MLP. Without `look` all steps read
one capture of the whole sequence; with it the model is run again after each step, so that later steps read what the
reduced model attends to, as the originals do. A `schedule` gives each of the layers its own keep rate or number of merges;
without `layers` these are the originals', scaled to the depth: all for ToMe, all but the first for MCTF, the last three
quarters for ATS, and the quarters of the depth for methods that drop a share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np

from analysis.registry import Range, method
from analysis.token_plan import Look, Step, TokenPlan, Tokens
from analysis.token_rows import patches_of
from analysis.token_steps import (
    cosine,
    evenly_spread,
    keep_top,
    keep_top_and_fuse,
    matched,
    multi_criteria,
    numbered,
    sampled,
)
from model_adapters import Capture, Rows

Rate = Annotated[float, Range(0.05, 1, 0.05)]
Count = Annotated[int, Range(1, 256)]
Choose = Callable[[Tokens, int, float], tuple[np.ndarray, np.ndarray]]
"""(tokens, layer, keep rate or number of merges there) -> groups [T] and weights [T]."""
NEEDED = {"weights", "square", "class_token"}
ONE_PASS = " Without `look`, later steps read the attention of the whole sequence."
NO_SIZES = "Attention is not made proportional to the size of merged tokens."


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

    def choose(tokens: Tokens, layer: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
        scores = _from_class(tokens, layer)
        return keep_top_and_fuse(scores, tokens.protected, rate), scores

    said = "Training and the schedule of keep rates are left out; the fused token is a mean, where the original takes a sum."
    return _plan(capture, layers or quarters(capture), keep, schedule, choose, look, said)


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

    def choose(tokens: Tokens, layer: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
        return keep_top(_from_class(tokens, layer), tokens.protected, rate), tokens.sizes

    return _plan(capture, layers or quarters(capture), keep, schedule, choose, look, "EViT without its fused token.")


@method(
    title="ToMe: merge the likest tokens",
    kind="tokens",
    cites=("bolya2023",),
    needs={"weights", "square", "queries"},
    range="tokens left per layer",
    misleads="Merged tokens count once in attention here, so large even regions lose weight.",
)
def tome(
    capture: Capture,
    *,
    layers: tuple[int, ...] | None = None,
    merged: Count = 8,
    schedule: tuple[int, ...] = (),
    look: Look | None = None,
) -> TokenPlan:
    """Which tokens become one when those with the likest keys are merged in every layer."""

    def choose(tokens: Tokens, layer: int, count: float) -> tuple[np.ndarray, np.ndarray]:
        likeness = cosine(tokens.vectors(layer, "keys").mean(0))
        return matched(likeness, tokens.protected, int(count)), tokens.sizes

    return _plan(capture, layers, merged, schedule, choose, look, f"{NO_SIZES} The order of the tokens is kept.")


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

    def choose(tokens: Tokens, layer: int, count: float) -> tuple[np.ndarray, np.ndarray]:
        lengths = np.sqrt((tokens.vectors(layer, "values") ** 2).sum((0, 2)))
        return sampled(_from_class(tokens, layer) * lengths, tokens.protected, int(count)), tokens.sizes

    said = "Sampling at fixed evenly spaced points, by default in layers 3 to 11 of 12, scaled to the depth; nothing is trained."
    return _plan(capture, layers or later(capture, 3 / 12), samples, (), choose, look, said)


@method(
    title="MCTF: merge what is alike, uninformative and small",
    kind="tokens",
    cites=("lee2024",),
    needs={"weights", "square", "queries"},
    range="tokens left per layer",
    misleads="After the published description, without the attention of the next layer that the original looks ahead to.",
)
def mctf(
    capture: Capture,
    *,
    layers: tuple[int, ...] | None = None,
    merged: Count = 16,
    schedule: tuple[int, ...] = (),
    look: Look | None = None,
) -> TokenPlan:
    """Which tokens become one when similarity, information and size decide together."""

    def choose(tokens: Tokens, layer: int, count: float) -> tuple[np.ndarray, np.ndarray]:
        received = tokens.attention(layer).mean((0, 1))
        weights = received * tokens.sizes
        vectors, sizes = tokens.vectors(layer, "keys").mean(0), tokens.sizes
        now = int(count)
        there = matched(multi_criteria(vectors, received, sizes), tokens.protected, now // 2)
        half = tokens.after(there, weights)
        mean = np.zeros((there.max() + 1, len(there)))
        mean[there, np.arange(len(there))] = weights
        mean /= mean.sum(1, keepdims=True)
        likeness = multi_criteria(mean @ vectors, mean @ received, half.sizes)
        back = matched(likeness, half.protected, now - now // 2, odd_first=True)
        return numbered(back[there]), weights

    said = f"{NO_SIZES} One-step-ahead attention and training are left out; keys tell likeness."
    return _plan(capture, layers or later(capture, 1 / 12), merged, schedule, choose, look, said)


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

    def choose(tokens: Tokens, layer: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
        return keep_top(rng.random(len(tokens.protected)), tokens.protected, rate), tokens.sizes

    return _plan(capture, layers or quarters(capture), keep, schedule, choose, look, "")


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
    rows = _rows(capture)

    def choose(tokens: Tokens, layer: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
        return evenly_spread(tokens.centres(rows), tokens.protected, rate), tokens.sizes

    return _plan(capture, layers or quarters(capture), keep, schedule, choose, look, "")


def quarters(capture: Capture) -> tuple[int, ...]:
    """The layers after a quarter, half and three quarters of the tower: (3, 6, 9) of 12, as EViT has it."""
    known = _layers(capture)
    return tuple(sorted({known[len(known) * part // 4] for part in (1, 2, 3)}))


def later(capture: Capture, share: float) -> tuple[int, ...]:
    """All layers but the first ones, at least one of them: 3 to 11 of 12 for a quarter, as ATS has it."""
    known = _layers(capture)
    return tuple(known[min(max(1, round(share * len(known))), len(known) - 1) :])


def _layers(capture: Capture) -> list[int]:
    tower = capture.sites[0].tower
    return sorted({s.layer for s in capture.sites if s.tower == tower})


def _plan(
    capture: Capture,
    layers: tuple[int, ...] | None,
    amount: float,
    schedule: tuple[float, ...],
    choose: Choose,
    look: Look | None,
    left_out: str,
) -> TokenPlan:
    rows = _rows(capture)
    tower, known = capture.sites[0].tower, _layers(capture)
    amounts = _by_layer(sorted(layers or known), amount, schedule)
    if missing := sorted(set(layers or ()) - set(known)):
        raise ValueError(f"layers {missing} were asked for, but the capture has attention of layers {known}.")
    everything = len(rows)
    tokens = Tokens(capture, tower, np.arange(everything), np.ones(everything), ~patches_of(rows, everything))
    steps: list[Step] = []
    sources = [tokens.source]
    for layer, here in amounts.items():
        if look is not None and steps:
            done = tuple(e for e in (s.edit(tower) for s in steps) if e is not None)
            tokens = Tokens(look(done), tower, tokens.source, tokens.share, tokens.protected, fresh=True)
        groups, weights = choose(tokens, layer, here)
        steps.append(Step(layer, groups, weights))
        tokens = tokens.after(groups, weights)
        sources.append(tokens.source)
    return TokenPlan(tuple(steps), np.stack(sources), rows, tower, left_out + ("" if look is not None else ONE_PASS))


def _by_layer(layers: list[int], amount: float, schedule: tuple[float, ...]) -> dict[int, float]:
    """What each layer is given: its entry of the schedule, or the same amount everywhere."""
    if schedule and len(schedule) != len(layers):
        raise ValueError(f"a schedule needs one entry for each of {len(layers)} layers. Got {len(schedule)}.")
    return dict(zip(layers, schedule or (amount,) * len(layers), strict=True))


def _rows(capture: Capture) -> Rows:
    layout = capture.layouts[capture.sites[0]]
    if not layout.square:
        raise ValueError(
            f"tokens can be reduced where attention is square and global; {capture.sites[0].name} attends otherwise."
        )
    return layout.keys


def _from_class(tokens: Tokens, layer: int) -> np.ndarray:
    """[T]: what the class token (the first one) gives each token, mean over heads."""
    if not tokens.protected[0]:
        raise ValueError("a class token is needed; this model has none.")
    return tokens.attention(layer)[:, 0].mean(0)
