"""Direct logit attribution: a class score taken apart exactly into what the embedding, each head and each MLP wrote.

A residual stream is a sum, so the score, which reads the stream along one direction, is a sum too: over paths, over
heads, and over the tokens that heads read. The final norm is kept as it was on this input. Nothing here knows a module:
the constants that lead from the stream to the score come as a `Readout`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from analysis.attention_rows import on_image, tower_size, tower_weights
from analysis.registry import Range, method
from analysis.results import HeadMatrix, Parts, TokenMap
from model_adapters import Capture, Site

NEEDED = {"weights", "square", "values", "heads", "hidden", "module"}
MISLEADS = (
    "What a part writes directly is not what it causes: later layers may read it, cancel it, or do it instead if it is gone."
)
TOLERANCE = 1e-3
"""Largest error of the sum, relative to the size of what is summed."""


@dataclass(frozen=True, eq=False)
class Readout:
    """What leads from the heads to the stream and from the stream to one score, for blocks x + attention(..) + MLP(..).

    Scales of branches (LayerScale) are multiplied into the projections.
    """

    projections: tuple[np.ndarray, ...]
    """Per layer [H, d_h, d]: the output projection, split by head."""
    biases: tuple[np.ndarray, ...]
    """Per layer [d]."""
    gain: np.ndarray
    """[d] of the final norm; ones where there is none."""
    shift: np.ndarray
    """[d]."""
    direction: np.ndarray
    """[d]: the class's row of the classifier; [N, d] where tokens are read by classifiers of their own."""
    offset: float
    """The classifier's bias for the class."""
    pool: np.ndarray
    """[N]: how the tokens are put together, such as a 1 for the class token."""
    score: float
    """The model's own score, which the parts must add up to."""
    epsilon: float = 1e-6
    norm: str = "layer"
    """"layer", "rms" or "none"."""
    pool_first: bool = False
    """Tokens are put together before the norm."""
    tower: str = "vision"

    def __post_init__(self) -> None:
        if self.norm not in ("layer", "rms", "none"):
            raise ValueError(f"norm must be 'layer', 'rms' or 'none'. Got {self.norm!r} instead.")
        if len(self.projections) != len(self.biases):
            raise ValueError(f"each of {len(self.projections)} projections needs a bias. Got {len(self.biases)}.")
        if self.pool_first and self.direction.ndim > 1:
            raise ValueError("tokens that are put together before the norm are read along one direction. Got one per token.")


@dataclass(frozen=True, eq=False)
class _Reading:
    """One picture's stream as the score reads it."""

    sites: tuple[Site, ...]
    along: np.ndarray
    """[N, d]: the score's derivative along each token's final state, the norm's scale kept fixed."""
    constant: float
    hidden: list[np.ndarray]
    """Per layer [N, d], and the last layer's output."""
    readout: Readout

    def of(self, states: np.ndarray) -> float:
        """The score's share of [N, d] in the stream."""
        return float((states * self.along).sum())

    def heads(self, capture: Capture, layer: int) -> np.ndarray:
        """[H]: what each head of a layer adds."""
        outputs = capture.head_outputs[self.sites[layer]].astype(np.float64)
        return np.einsum("hnd,hde,ne->h", outputs, self.readout.projections[layer], self.along, optimize=True)

    def bias(self, layer: int) -> float:
        """What the projection's bias of a layer adds."""
        return self.of(np.broadcast_to(self.readout.biases[layer], self.along.shape))


@method(
    title="Direct logit attribution, by path",
    kind="attribution",
    cites=("chang2023", "elhage2021"),
    needs=NEEDED,
    range="signed; the parts add up to the score exactly",
    misleads=MISLEADS,
)
def path_contributions(capture: Capture, readout: Readout) -> Parts:
    """How much the embedding, each layer's attention and each layer's MLP write into the class score.

    After the view of transformers as ensembles of paths: the final state is the sum of all branches. An MLP is what its
    block adds beyond its attention.

    Args:
        capture: weights, values, head outputs and hidden states of all layers of one picture.
        readout: the model's constants for one class.
    """
    reading = _read(capture, readout)
    names, values = ["embedding"], [reading.of(reading.hidden[0])]
    for layer, site in enumerate(reading.sites):
        attention = float(reading.heads(capture, layer).sum()) + reading.bias(layer)
        whole = reading.of(reading.hidden[layer + 1]) - reading.of(reading.hidden[layer])
        names += [f"attention {site.layer}", f"MLP {site.layer}"]
        values += [attention, whole - attention]
    return Parts((*names, "constant"), np.array([*values, reading.constant]), readout.score, "class score by path")


@method(
    title="Direct logit attribution, by head",
    kind="head",
    cites=("elhage2021", "gandelsman2024"),
    needs=NEEDED,
    range="signed, in units of the score",
    misleads=MISLEADS,
)
def head_contributions(capture: Capture, readout: Readout) -> HeadMatrix:
    """How much each head writes into the class score; with MLPs, embedding and constants they add up to it.

    Args:
        capture: weights, values, head outputs and hidden states of all layers of one picture.
        readout: the model's constants for one class.
    """
    reading = _read(capture, readout)
    most = max(len(p) for p in readout.projections)
    values = np.full((len(reading.sites), most), np.nan)
    for layer in range(len(values)):
        found = reading.heads(capture, layer)
        values[layer, : len(found)] = found
    return HeadMatrix(values, reading.sites, signed=True, label="direct contribution", unit="score")


@method(
    title="Direct logit attribution, by patch",
    kind="map",
    cites=("gandelsman2024", "elhage2021"),
    needs=NEEDED | {"grid"},
    range="signed; over all tokens it adds up to what the heads write, without the projection's bias",
    misleads="A token of a late layer carries much of other places: its share is the token's, not that of the pixels under it.",
)
def patch_contributions(
    capture: Capture, readout: Readout, *, first_layer: Annotated[int, Range(0, 200, 1)] = 0, image: int = 0
) -> TokenMap:
    """How much of the class score the heads fetch from each patch token, over all layers.

    Args:
        capture: weights, values, head outputs and hidden states of all layers of one picture.
        readout: the model's constants for one class.
        first_layer: earlier layers are left out.
        image: which of several images.
    """
    layers, rows = tower_weights(capture, readout.tower)
    reading = _read(capture, readout)
    if not 0 <= first_layer < len(layers):
        raise ValueError(f"first_layer={first_layer} was asked for, but the tower has {len(layers)} layers.")
    total = np.zeros(len(rows))
    for layer in range(first_layer, len(layers)):
        total += _by_key(capture, reading, layer, layers[layer])
    size = tower_size(capture, readout.tower)
    return on_image(total, rows, size, image=image, signed=True, label="direct contribution by patch")


def _by_key(capture: Capture, reading: _Reading, layer: int, weights: np.ndarray) -> np.ndarray:
    """[N]: what a layer's heads fetch from each key."""
    values = capture.values[reading.sites[layer]].astype(np.float64)
    read = np.einsum("ne,hde->hnd", reading.along, reading.readout.projections[layer], optimize=True)
    found = np.einsum("hqk,hkd,hqd->hk", weights, values, read, optimize=True)
    _agree(
        found.sum(1), reading.heads(capture, layer), f"what {reading.sites[layer].name} fetches from its keys and what it writes"
    )
    return found.sum(0)


def _read(capture: Capture, readout: Readout) -> _Reading:
    tower = readout.tower
    sites = tuple(s for s in capture.sites if s.tower == tower)
    depths = sorted(n for name, n in capture.hidden if name == tower)
    if len(sites) != len(readout.projections) or len(depths) != len(sites) + 1:
        raise ValueError(
            f"a readout of {len(readout.projections)} layers needs as many attentions and one more hidden state. "
            f"The capture has {len(sites)} attentions and {len(depths)} hidden states of the tower {tower!r}."
        )
    hidden = [capture.hidden[tower, n].astype(np.float64) for n in depths]
    if hidden[0].shape != (len(readout.pool), len(readout.gain)):
        raise ValueError(f"hidden states must be {(len(readout.pool), len(readout.gain))}. Got shape {hidden[0].shape} instead.")
    along = _along(hidden[-1], readout)
    share = np.ones(1) if readout.pool_first else readout.pool
    constant = float((share * (readout.direction @ readout.shift)).sum()) + readout.offset
    _agree(np.array((hidden[-1] * along).sum() + constant), np.array(readout.score), "the parts and the model's score")
    return _Reading(sites, along, constant, hidden, readout)


def _along(final: np.ndarray, readout: Readout) -> np.ndarray:
    """[N, d]: pool x (centred, if the norm centres) gain x direction / scale of the norm."""
    normed = readout.pool[:, None].T @ final if readout.pool_first else final
    centred = normed - normed.mean(1, keepdims=True) if readout.norm == "layer" else normed
    scale = 1.0 if readout.norm == "none" else np.sqrt((centred**2).mean(1, keepdims=True) + readout.epsilon)
    direction = readout.gain * readout.direction
    direction = direction - direction.mean(-1, keepdims=True) if readout.norm == "layer" else direction
    return readout.pool[:, None] * direction / scale


def _agree(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    error = np.abs(found - expected).max()
    if error > TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise ValueError(
            f"{what} differ by {error:.3g}: the readout does not fit this model (another norm or pooling, or blocks that "
            "are not x + attention + MLP), or the capture was made under edits."
        )
