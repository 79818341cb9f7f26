"""Heads that are about the image: which look at it beside its sinks, and which are active over whole prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from analysis.attention_rows import weights_of
from analysis.registry import Range, method
from analysis.results import HeadMatrix
from analysis.words.answer import Answer, groups_of
from analysis.words.visual_heads import padded
from analysis.words.visual_sinks import VisualSinks
from analysis.words.words import Word
from model_adapters import Site


@dataclass(frozen=True, eq=False)
class ImageHeads:
    """The heads that look at the image, and not at its sinks, when a word is decided."""

    chosen: np.ndarray
    """[L, H] bool."""
    attention: HeadMatrix
    """V(q): the share of attention that goes to the image."""
    sink_share: HeadMatrix
    """What of that goes to sinks."""

    def heads(self) -> list[tuple[Site, int]]:
        """The chosen heads, most attention first: what maps take as `among`."""
        return [(site, head) for site, head in self.attention.ranking() if self.chosen[self._row(site), head]]

    def _row(self, site: Site) -> int:
        return self.attention.sites.index(site)


@method(
    title="Image-centric heads",
    kind="word head",
    cites=("kang2025",),
    needs={"generation", "text", "hidden"},
    range="a yes or no per head",
    misleads="Two thresholds decide, and they are of one model: look at both numbers beside the choice.",
)
def image_centric_heads(
    answer: Answer,
    sinks: VisualSinks,
    word: Word | int | str = 0,
    *,
    least: Annotated[float, Range(0, 1)] = 0.2,
    rho: Annotated[float, Range(0, 1)] = 0.5,
    rule: Literal["code", "paper"] = "code",
) -> ImageHeads:
    """Heads that give the image enough attention, and not too much of it to sinks.

    Args:
        answer: the answer.
        sinks: from `visual_sinks`.
        word: which word; its first token is read.
        least: V(q) must reach this; 0.2 in the release.
        rho: in the release (the default rule) the largest share of sinks; after the paper the smallest share of other tokens.
            At 0.5 they are the same.
        rule: which of the two.
    """
    step, image = answer.word(word).steps[0], answer.image
    mass, shares = [], []
    for layer, row in enumerate(answer.rows[step]):
        seen = row[:, : len(image)].astype(np.float64) * image
        mass.append(seen.sum(-1))
        shares.append((seen * sinks.visual[layer]).sum(-1) / (seen + 1e-6 * image).sum(-1))
    attention, share = padded(mass), padded(shares)
    enough = share <= rho if rule == "code" else 1 - share >= rho
    made = (
        HeadMatrix(attention, answer.sites, label="attention to the image"),
        HeadMatrix(share, answer.sites, label="sink share"),
    )
    return ImageHeads((attention >= least) & enough, *made)


@method(
    title="Visual activity of heads",
    kind="word head",
    cites=("zhang2024yopo",),
    needs={"generation", "text", "weights"},
    range="0 and above; 1 where the image gets as much as all else",
    misleads="Image tokens look at image tokens because little else stands before them: early rows push the ratio up.",
)
def visual_activity(answer: Answer) -> HeadMatrix:
    """How much attention of all tokens goes to the image, over what goes elsewhere.

    Args:
        answer: read again with all rows kept.
    """
    if answer.capture is None:
        raise ValueError("all rows of prompt and answer are needed: read the answer again with `reread`, keeping all rows.")
    image = np.concatenate([answer.image, np.zeros(len(answer), bool)])
    ratios = []
    for site in answer.sites:
        ratios.append(image_ratio(weights_of(answer.capture, site), image))
    return HeadMatrix(padded(ratios), answer.sites, label="visual activity")


def image_ratio(weights: np.ndarray, image: np.ndarray) -> np.ndarray:
    """[H]: of weights [H, Q, K], what goes to the image [K] over what goes elsewhere, over all rows."""
    received = weights.sum(1)
    return np.asarray(received[:, image].sum(-1) / np.maximum(received[:, ~image].sum(-1), 1e-12))


def active_heads(
    activities: Sequence[HeadMatrix], *, threshold: float = 0.2, share: Annotated[float, Range(0, 1)] = 0.4, always: int = 2
) -> np.ndarray:
    """[L, H] bool: heads whose activity is above the threshold in more than `share` of the prompts; the first layers always.

    The released masks of 13B models use thresholds of 0.2, 0.077 and 0.035, and 40 of 100 prompts.
    """
    if not activities:
        raise ValueError("the activity of at least one prompt is needed. Got none.")
    active = np.mean([matrix.values > threshold for matrix in activities], axis=0) > share
    active[:always] = True
    return active & np.isfinite(activities[0].values)


@dataclass(frozen=True, eq=False)
class AlignmentMatrix:
    """How the mean image token of one layer points along the text tokens of another."""

    values: np.ndarray
    """[S, S]: image layer down, text layer across; mean cosine, -1 to 1."""
    layers: tuple[int, ...]
    """[S] the layer whose input it is; the last is the output of the last one."""

    @property
    def score(self) -> np.ndarray:
        """[S]: the image as it enters against the text of every layer, the score of the released code."""
        return self.values[0]


@method(
    title="Alignment of image and text",
    kind="word alignment",
    cites=("shukor2024",),
    needs={"generation", "text", "hidden"},
    range="-1 to 1",
    misleads="Both lie in narrow cones of their own; a high cosine may be one shared dimension.",
)
def alignment_matrix(answer: Answer, *, text: Literal["tokens", "mean"] = "tokens") -> AlignmentMatrix:
    """The cosine of the mean image token of one layer with question and answer of another, for all pairs of layers.

    Args:
        answer: read again with want={"hidden"}.
        text: the mean over cosines with single tokens, or the cosine with their mean.
    """
    groups = np.concatenate([groups_of(answer.prompt), np.full(len(answer), "answer", dtype=object)])
    words = np.isin(groups, ("question", "answer"))
    image = np.concatenate([answer.image, np.zeros(len(answer), bool)])
    if not words.any():
        raise ValueError("there is no text behind the image to compare it with.")
    states = [answer.hidden(depth) for depth in answer.depths]
    seen = np.stack([_unit(state[image].mean(0)) for state in states])
    if text == "mean":
        read = np.stack([_unit(state[words].mean(0)) for state in states])
    else:
        read = np.stack([_unit(state[words]).mean(0) for state in states])
    return AlignmentMatrix(seen @ read.T, answer.depths)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
