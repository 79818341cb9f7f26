"""Visual tokens dropped inside the decoder, by what the words attend to; some methods bring a few back as means."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from scipy.special import softmax

from analysis.registry import Range, method
from analysis.visual_tokens.before_decoder import Keep
from analysis.visual_tokens.choosing import best, falling, shifted_cosine
from analysis.visual_tokens.making import Look, Making, behind
from analysis.visual_tokens.plan import VisualPlan
from analysis.visual_tokens.recycling import recycled
from model_adapters import Capture

Readers = Literal["last", "question", "all"]


@method(
    title="FastV: keep what the last word attends to",
    kind="visual tokens",
    cites=("chen2024",),
    needs={"weights", "text"},
    range="visual tokens left from one decoder layer on",
    misleads="Attention of early decoder layers favours late positions: the lower rows of the image stay for their place alone.",
)
def fastv(capture: Capture, *, keep: Keep = 64, layer: Annotated[int, Range(1, 64)] = 2, read: Readers = "last") -> VisualPlan:
    """Which visual tokens stay from a decoder layer on when the attention of the layer before decides.

    Args:
        capture: with the weights of the decoder.
        keep: how many visual tokens stay.
        layer: at whose entry the others go.
        read: whose attention counts: the last row's, as in the published code; the question's; or that of all rows behind
            a token, as in the text of the paper.
    """
    making = Making(capture)
    making.keep(layer, best(asked_for(making, layer, read), keep))
    return making.plan("fastv")


@method(
    title="SparseVLM: keep what the words about the image attend to, recycle some of the rest",
    kind="visual tokens",
    cites=("zhang2024sparsevlm",),
    needs={"weights", "text", "hidden"},
    range="visual tokens left in the last decoder layer",
    misleads="Whether a word is about the image is told by its likeness to image tokens, which filler words may share.",
)
def sparse_vlm(
    capture: Capture, *, keep: Keep = 64, recycle: bool = True, layers: tuple[int, ...] = (), look: Look | None = None
) -> VisualPlan:
    """Which visual tokens stay at three depths when the words that resemble the image decide; dropped ones return as means.

    Args:
        capture: with the weights and hidden states of the decoder.
        keep: how many visual tokens the last layer reads, recycled ones among them.
        recycle: whether clusters of the best dropped tokens come back.
        layers: whose attention decides, and behind which tokens go; by default those of the release (2, 6, 15 of 32), scaled
            to the depth.
        look: edits to a capture under them, so that later steps read what is left.
    """
    making = Making(capture, look)
    first = making.first
    places = layers or behind(first.depth, (2, 6, 15), 32)
    raters = raters_of(first.hidden(0), first.image, first.text)
    for layer, count in zip(places, falling(len(first.image), keep, len(places)), strict=True):
        scores = np.where(making.alive, making.attention(layer, raters).mean((0, 1)), -np.inf)
        if recycle:
            making.merge(layer + 1, recycled(scores, making.hidden(layer + 1)[first.image], count))
        else:
            making.keep(layer + 1, best(scores, count))
    said = (
        "Numbers of tokens fall by an even factor, where the release has lists for four budgets. Tokens keep their positions, "
        "and a cluster takes its centre's, where the release numbers them anew with the clusters last."
    )
    return making.plan("sparse_vlm", said)


@method(
    title="Fewer tokens run through each layer, the others go round it (after p-MoD)",
    kind="visual tokens",
    cites=("zhang2024pmod", "chen2024"),
    needs={"weights", "text"},
    range="visual tokens that the last decoder layer reads",
    misleads="A schedule is the same for every image: it cannot tell a crowded picture from an empty one.",
)
def progressive(
    capture: Capture,
    *,
    keep: Keep = 64,
    shift: Annotated[float, Range(-0.5, 0.5, 0.05)] = 0.0,
    read: Readers = "last",
    look: Look | None = None,
) -> VisualPlan:
    """Which visual tokens run through each layer when fewer do with depth, along half a cosine; the others come back behind it.

    A token's rank in a layer is the attention that it would get there if all ran through it.

    Args:
        capture: with the weights of the decoder.
        keep: how many visual tokens the last layer reads.
        shift: how much later (above 0) or earlier they become few.
        read: whose attention counts.
        look: edits to a capture under them, so that later layers read what the reduced model attends to.
    """
    making = Making(capture, look)
    first = making.first
    counts = shifted_cosine(len(first.image), keep, first.depth - 1, shift)
    for layer, count in zip(range(1, first.depth), counts, strict=True):
        making.send_round(layer, ~best(asked_for(making, layer + 1, read), count))
    said = (
        "The release trains a router for each layer, whose number also scales what a token is given there; here the attention of "
        "the layer itself decides, and nothing is scaled."
    )
    return making.plan("progressive", said)


def asked_for(making: Making, layer: int, read: Readers) -> np.ndarray:
    """[N] the attention that each visual token gets in the layer before, mean over heads and readers."""
    first = making.first
    if read == "all":
        present = making.present_in(layer - 1)
        given = making.attention(layer - 1, present).mean(0)
        behind = (present[:, None] >= first.image).sum(0)
        return given.sum(0) / np.maximum(behind, 1)
    readers = [len(first.rows) - 1] if read == "last" else first.text
    return making.attention(layer - 1, readers).mean((0, 1))


def raters_of(hidden: np.ndarray, image: np.ndarray, text: np.ndarray) -> np.ndarray:
    """The rows of words that resemble the image more than words do on average (SparseVLM)."""
    likeness = softmax(hidden[image] @ hidden[text].T, axis=1).mean(0)
    return text[likeness > likeness.mean()] if (likeness > likeness.mean()).any() else text
