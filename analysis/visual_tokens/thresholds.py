"""Visual tokens that go by thresholds: MustDrop's two, and one that every image sets for itself."""

from __future__ import annotations

from math import ceil
from typing import Annotated

import numpy as np

from analysis.registry import Range, method
from analysis.token_steps import cosine
from analysis.visual_tokens.before_decoder import CLASS, Keep
from analysis.visual_tokens.choosing import best, falling
from analysis.visual_tokens.making import Look, Making, behind, deep
from analysis.visual_tokens.plain import cells_of, spread
from analysis.visual_tokens.plan import VisualPlan
from analysis.visual_tokens.reading import Reading
from model_adapters import Capture

KEY_SHARE = 0.08
BLOCK = 3


@method(
    title="MustDrop: merge even windows, then drop what no word attends to",
    kind="visual tokens",
    cites=("liu2024mustdrop",),
    needs={*CLASS, "text", "hidden"},
    range="visual tokens left in the last decoder layer",
    misleads="Tokens that the class token attends to can never go, even where the question is about something else.",
)
def must_drop(
    capture: Capture,
    *,
    keep: Keep = 64,
    alike: Annotated[float, Range(-1, 1, 0.05)] = 0.8,
    balance: Annotated[float, Range(0.1, 100)] = 1.0,
    layers: tuple[int, ...] = (),
    look: Look | None = None,
) -> VisualPlan:
    """Which visual tokens stay when like neighbours merge first and two thresholds on the words' attention fall together.

    While the answer is written, new words see in no layer from the first threshold on what the last one has dropped.

    Args:
        capture: with weights of vision tower and decoder, and hidden states of the decoder.
        keep: how many visual tokens the last layer reads; the thresholds are set so that it is met.
        alike: the mean cosine from which on a window of three by three becomes one token.
        balance: the threshold on the share of all words' attention, as a multiple of that on the strongest word's.
        layers: whose attention decides, and behind which tokens go; by default those of the release (2, 6, 10, 14 of 32),
            scaled to the depth.
        look: edits to a capture under them, so that later steps read what is left.
    """
    making = Making(capture, look)
    first = making.first
    keys = best(first.from_class(-1), ceil(KEY_SHARE * len(first.image)))
    places = layers or behind(first.depth, (2, 6, 10, 14), 32)
    counts = falling(len(first.image), keep, len(places) + 1)
    making.merge(0, even_windows(first, alike, len(first.image) - counts[0], keys))
    for layer, count in zip(places, counts[1:], strict=True):
        given = making.attention(layer, first.text).mean(0)
        rank = np.maximum(given.sum(0) / max(given.sum(), 1e-12) / balance, given.max(0))
        making.keep(layer + 1, best(np.where(making.alive, np.where(keys, 1e6 + rank, rank), -np.inf), count))
    said = (
        "Windows are merged before the decoder, by their projected features, where the release merges behind the first vision "
        "layer; both thresholds are scaled to meet the budget. What new words no longer see still lies in the caches."
    )
    return making.plan("must_drop", said, forgotten=tuple(range(places[0], places[-1] + 1)))


@method(
    title="A threshold that each image sets in each layer (after ATP-LLaVA)",
    kind="visual tokens",
    cites=("ye2024atp",),
    needs={"weights", "text", "grid"},
    range="visual tokens left in the last decoder layer, at most the budget",
    misleads="The original learns its thresholds; here a share of all importance stands in for them, which is our own rule.",
)
def instance_threshold(
    capture: Capture,
    *,
    keep: Keep = 64,
    mass: Annotated[float, Range(0.05, 1, 0.05)] = 0.8,
    spatial: Annotated[float, Range(0, 1, 0.05)] = 0.25,
    layers: tuple[int, ...] = (),
    look: Look | None = None,
) -> VisualPlan:
    """Which visual tokens stay when each layer keeps the fewest that hold a share of all importance, some evenly spread.

    Importance is the attention that a token gets from visual tokens plus what it gets from words, each as a share.

    Args:
        capture: with the weights of the decoder.
        keep: how many visual tokens the last layer reads at most; earlier layers are allowed more.
        mass: the share of importance that is to be held; 1 keeps as many as `keep` allows.
        spatial: the share of the tokens that is spread evenly over the image instead.
        layers: at whose entry the others go; by default after a quarter, half and three quarters of the decoder.
        look: edits to a capture under them, so that later layers read what is left.
    """
    making = Making(capture, look)
    first = making.first
    places = layers or deep(first.depth, (1, 2, 3), 4)
    for layer, most in zip(places, falling(len(first.image), keep, len(places)), strict=True):
        scores = _importance(making, layer - 1)
        held = np.cumsum(-np.sort(-scores)) / max(scores.sum(), 1e-12)
        enough = len(scores) if mass >= 1 else 1 + int(np.searchsorted(held, mass - 1e-12))
        count = min(enough, most, int(making.alive.sum()))
        left = np.flatnonzero(making.alive)
        even = np.zeros(len(scores), bool)
        even[left[spread(first.places[left], round(spatial * count))]] = True
        rest = np.where(making.alive & ~even, scores, -np.inf)
        making.keep(layer, even | best(rest, count - int(even.sum())))
    said = "Learned thresholds and their training are left out, the layers are ours, and the paper's equations were not read."
    return making.plan("instance_threshold", said)


def _importance(making: Making, layer: int) -> np.ndarray:
    """[N] what a visual token gets from visual tokens and what it gets from words, each as a share of all."""
    first = making.first
    given = making.attention(layer, first.image[making.alive]).mean(0)
    own = given.sum(0) / np.maximum((given > 0).sum(0), 1)
    cross = making.attention(layer, first.text).mean((0, 1))
    return own / max(own.sum(), 1e-12) + cross / max(cross.sum(), 1e-12)


def even_windows(first: Reading, alike: float, most: int, protected: np.ndarray) -> np.ndarray:
    """[N] into which token each goes: windows alike enough become their first token, likest first, at most `most` fewer."""
    into = np.arange(len(first.image))
    windows = windows_of(first)
    found = []
    for number in np.unique(windows):
        members = np.flatnonzero((windows == number) & ~protected)
        if len(members) > 1:
            likeness = cosine(first.features[members])
            mean = (likeness.sum() - len(members)) / (len(members) * (len(members) - 1))
            found.append((mean, members))
    for mean, members in sorted(found, key=lambda f: -f[0]):
        if mean < alike:
            break
        if len(members) - 1 <= most:
            into[members] = members[0]
            most -= len(members) - 1
    return into


def windows_of(first: Reading) -> np.ndarray:
    """[N] the number of the window of 3 x 3 tokens that each lies in."""
    numbers = np.zeros((len(first.image), 3), np.int64)
    for tile in np.unique(first.tile):
        mine = first.tile == tile
        cells = np.stack(cells_of(first.places[mine]), 1)
        numbers[mine] = np.concatenate([np.full((len(cells), 1), tile), cells // BLOCK], 1)
    return np.unique(numbers, axis=0, return_inverse=True)[1].reshape(-1)
