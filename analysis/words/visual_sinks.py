"""Visual attention sinks of the decoder: found by their massive dimensions, and what they give against what they get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal

import numpy as np

from analysis.registry import Range, method
from analysis.results import TokenMap
from analysis.words.answer import Answer
from analysis.words.visual_heads import padded
from analysis.words.word_maps import on_image, value_lengths
from analysis.words.words import Word
from model_adapters import Site

KNOWN_DIMENSIONS: Mapping[str, tuple[int, ...]] = MappingProxyType({"LLaMA2-7B": (1415, 2533), "LLaMA2-13B": (2100, 4743)})
"""Sink dimensions as the release of the paper has them, by base model. Those of other models are to be found."""
TAU = 20.0


@dataclass(frozen=True, eq=False)
class VisualSinks:
    """The sinks among the tokens of a prompt, layer by layer."""

    score: np.ndarray
    """[L, T]: the largest sink dimension over the root mean square of the token's state."""
    is_sink: np.ndarray
    """[L, T] bool."""
    visual: np.ndarray
    """[L, T] bool: those of them that hold image."""
    dimensions: tuple[int, ...]
    tau: float
    sites: tuple[Site, ...]

    def share(self) -> np.ndarray:
        """[L]: the share of image tokens that are sinks."""
        return self.visual.mean(-1)


@dataclass(frozen=True, eq=False)
class SinkContribution:
    """What sinks get of a word's attention, and what they give to the heads' outputs."""

    weight: np.ndarray
    """[L, H]: the share of attention to the image that goes to its sinks; NaN where a layer has fewer heads."""
    contribution: np.ndarray
    """[L, H]: their share of the sum of |a x W_OV| over the image."""
    sites: tuple[Site, ...]


@method(
    title="Visual attention sinks",
    kind="word sink",
    cites=("kang2025", "sun2024"),
    needs={"generation", "text", "hidden"},
    range="score from 0 to the root of the width; a sink above the threshold",
    misleads="A model without massive dimensions has no sink by this sign, though some tokens may still attract every head.",
)
def visual_sinks(
    answer: Answer, dimensions: Sequence[int] | None = None, *, tau: Annotated[float, Range(0, 200)] | None = None
) -> VisualSinks:
    """Which tokens of the prompt carry the sink dimensions of the language model, at the input of every layer.

    phi(x) = max over sink dimensions of |x_d| / sqrt(mean(x^2) + 1e-6); a token with phi above tau is a sink.

    Args:
        answer: read again with want={"hidden"}.
        dimensions: the sink dimensions; found by `sink_dimensions` by default.
        tau: the threshold. 20 as published; states of width D reach at most the root of D, so in narrow models, where 20 is
            out of reach, half of that is the default.
    """
    limit = threshold_of(answer, tau)
    found = sink_dimensions(answer, tau=tau) if dimensions is None else tuple(int(d) for d in dimensions)
    length = len(answer.prompt)
    score = np.zeros((len(answer.sites), length))
    for layer, site in enumerate(answer.sites):
        states = np.abs(relative(answer.hidden(site.layer)[:length]))
        if any(not 0 <= d < states.shape[1] for d in found):
            raise ValueError(f"dimensions {found} were asked for, but states have {states.shape[1]}.")
        score[layer] = states[:, list(found)].max(-1) if found else 0
    sinks = score > limit
    return VisualSinks(score, sinks, sinks & answer.image, found, limit, answer.sites)


def sink_dimensions(
    answer: Answer, *, tau: float | None = None, share: Annotated[float, Range(0.01, 1)] = 0.5
) -> tuple[int, ...]:
    """Dimensions of the first token whose size over the root mean square is above tau in most of the middle layers.

    Our definition, for models of which no dimensions are published: the middle half of the layers, and `share` of them.
    """
    limit, layers = threshold_of(answer, tau), answer.depths[:-1] or answer.depths
    middle = layers[len(layers) // 4 : len(layers) - len(layers) // 4]
    first = int(np.argmax(answer.prompt.roles != "pad"))
    above = np.mean([np.abs(relative(answer.hidden(layer)[first])) > limit for layer in middle], axis=0)
    return tuple(int(d) for d in np.flatnonzero(above >= share))


@method(
    title="What sinks give against what they get",
    kind="word sink",
    cites=("kang2025", "kobayashi2020"),
    needs={"generation", "text", "values", "hidden"},
    range="0 to 1",
    misleads="Lengths of single contributions do not add up: many small ones may point the same way.",
)
def sink_contribution(
    answer: Answer,
    sinks: VisualSinks,
    word: Word | int | str = 0,
    *,
    projections: Mapping[Site, np.ndarray] | None = None,
) -> SinkContribution:
    """The share of visual sinks in a word's attention to the image, and in the sum of |a x W_OV|.

    Args:
        answer: read again with want={"values", "hidden"}.
        sinks: from `visual_sinks`.
        word: which word; its first token is read.
        projections: per site [H, out, D], the output projection head by head; without it lengths are those of |a v|.
    """
    step, image = answer.word(word).steps[0], answer.image
    weight, contribution = [], []
    for layer, lengths in enumerate(value_lengths(answer, projections)):
        row = answer.rows[step][layer][:, : len(image)].astype(np.float64)
        mine = sinks.visual[layer]
        weight.append(_share(row, mine, image))
        contribution.append(_share(row * lengths, mine, image))
    return SinkContribution(padded(weight), padded(contribution), answer.sites)


@method(
    title="Map of sinks",
    kind="word map",
    cites=("kang2025",),
    needs={"generation", "text", "hidden", "grid"},
    range="score from 0 to the root of the width",
    misleads="The score is that of the language model's own dimensions: what the vision tower marks may be another thing.",
)
def sink_map(answer: Answer, sinks: VisualSinks, *, layer: int = -1, image: int = 0) -> TokenMap:
    """How strongly each image token carries the sink dimensions, at the input of one layer.

    Args:
        answer: the answer.
        sinks: from `visual_sinks`.
        layer: which layer of those kept; the last by default.
        image: which of several images.
    """
    if not -len(sinks.score) <= layer < len(sinks.score):
        raise ValueError(f"layer {layer} was asked for, but there are {len(sinks.score)}.")
    return on_image(answer, sinks.score[layer], image, f"sink score, {sinks.sites[layer].label}")


def redistributed(
    row: np.ndarray,
    image: np.ndarray,
    sinks: np.ndarray,
    *,
    p: Annotated[float, Range(0, 1)] = 0.6,
    variant: Literal["paper", "code"] = "code",
) -> np.ndarray:
    """[H, T]: rows after visual attention redistribution; each row sums to what it did.

    "paper": visual sinks keep 1 - p, the rest is moved. "code" (the release, and the default): visual and text sinks keep p,
    and the rest of both is moved. What is moved goes to the other image tokens in proportion to theirs; a row without any
    such weight stays as it is.

    Args:
        row: [H, T] weights of the selected heads.
        image: [T] bool.
        sinks: [T] bool, text sinks included.
        p: as above.
        variant: which of the two.
    """
    given = sinks & image if variant == "paper" else sinks
    kept_share = 1 - p if variant == "paper" else p
    receives = row * (image & ~sinks)
    held = receives.sum(-1, keepdims=True)
    budget = (1 - kept_share) * (row * given).sum(-1, keepdims=True)
    moved = np.where(given, row * kept_share, row) + np.divide(receives * budget, held, out=np.zeros_like(row), where=held > 0)
    return np.where(held > 0, moved, row)


def relative(states: np.ndarray) -> np.ndarray:
    """States over their root mean square."""
    return states / np.sqrt((states**2).mean(-1, keepdims=True) + 1e-6)


def threshold_of(answer: Answer, tau: float | None) -> float:
    """The threshold asked for; 20 by default, or half of what states of this width can reach where that is less."""
    reach = float(np.sqrt(answer.hidden(answer.depths[0]).shape[-1]))
    if tau is None:
        return TAU if reach > TAU else reach / 2
    if tau >= reach:
        raise ValueError(f"tau={tau:g} is out of reach: states of width {reach**2:.0f} have scores up to {reach:.3g}.")
    return float(tau)


def _share(values: np.ndarray, mine: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """[H]: what `mine` has of `whole`; 0 where that is nothing."""
    total = (values * whole).sum(-1)
    return np.divide((values * mine).sum(-1), total, out=np.zeros_like(total), where=total > 0)
