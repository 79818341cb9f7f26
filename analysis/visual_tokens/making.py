"""A plan in the making: what is still there, and what the attention of the model so far says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from analysis.visual_tokens.doing import dropping
from analysis.visual_tokens.plan import VisualPlan, VisualStep
from analysis.visual_tokens.reading import Reading
from model_adapters import Capture
from model_adapters.edits import Edit

Look = Callable[[tuple[Edit, ...]], Capture]
"""Edits -> a capture of the same prompt under them, with what the method reads."""
ONE_PASS = " Without `look`, later steps read the attention of the whole sequence."


class Making:
    """Steps are added from shallow to deep; with `look` the model runs again before each further one."""

    def __init__(self, capture: Capture, look: Look | None = None) -> None:
        self.first = Reading(capture)
        self.look = look
        self.steps: list[VisualStep] = []
        self.alive = np.ones(len(self.first.image), bool)
        self.rounds = np.zeros((self.first.depth, len(self.first.image)), bool)
        self._seen: tuple[tuple[int, int], _Reduced] | None = None

    @property
    def present(self) -> np.ndarray:
        """The rows of the prompt that are still there."""
        return self._rows(self.alive)

    def present_in(self, layer: int) -> np.ndarray:
        """The rows of the prompt that a layer reads: those that are there and do not go round it."""
        return self._rows(self.alive & ~self.rounds[layer])

    def _rows(self, there: np.ndarray) -> np.ndarray:
        rows = np.ones(len(self.first.rows), bool)
        rows[self.first.image] = there
        return np.flatnonzero(rows)

    def attention(self, layer: int, queries: Sequence[int] | np.ndarray) -> np.ndarray:
        """[H, len(queries), N] what some rows give each visual token in a layer; 0 for those that it does not read."""
        weights = self._weights(layer)
        there = self.alive & ~self.rounds[layer]
        present, image = self.present_in(layer), self.first.image
        if weights.shape[-1] == len(self.first.rows):
            found = weights[:, queries][:, :, image]
        elif weights.shape[-1] == len(present):
            found = np.zeros((len(weights), len(queries), len(image)))
            columns = np.searchsorted(present, image[there])
            found[:, :, there] = weights[:, np.searchsorted(present, queries)][:, :, columns]
        else:
            raise ValueError(f"layer {layer} has {weights.shape[-1]} keys, where {len(present)} tokens should be left.")
        return found * there

    def among(self, layer: int) -> np.ndarray:
        """[H, P, P] what the tokens that are still there give each other in a layer."""
        weights, present = self._weights(layer), self.present
        return weights if weights.shape[-1] == len(present) else weights[:, present[:, None], present]

    def _weights(self, layer: int) -> np.ndarray:
        if not 0 <= layer < self.first.depth:
            raise ValueError(
                f"tokens are chosen by the attention of the layer before, so from layer 1 to {self.first.depth - 1}. Got layer "
                f"{layer + 1}."
            )
        return self._now.attention(layer)

    def hidden(self, layer: int) -> np.ndarray:
        """[T, D] the input of a decoder layer; rows that are gone by then are zero."""
        states = self._now.hidden(layer)
        if len(states) == len(self.first.rows):
            return states
        found = np.zeros((len(self.first.rows), states.shape[1]))
        found[self.present] = states
        return found

    def keep(self, layer: int, chosen: np.ndarray) -> None:
        """Only the chosen tokens [N] go on from the entry of a layer; nothing happens where that is all of them."""
        self.merge(layer, np.where(chosen & self.alive, np.arange(len(self.alive)), -1))

    def merge(self, layer: int, into: np.ndarray, share: np.ndarray | None = None) -> None:
        """From the entry of a layer on, each token [N] is in the place of another one, or gone (-1)."""
        into = np.where(self.alive, into, -1)
        if (into == np.where(self.alive, np.arange(len(into)), -1)).all():
            return
        if not 0 <= layer < self.first.depth:
            raise ValueError(f"tokens can go at the entry of decoder layers 0 to {self.first.depth - 1}. Got layer {layer}.")
        leaders = np.unique(into[into >= 0])
        if not (into[leaders] == leaders).all():
            raise ValueError("tokens may go only into tokens that stay themselves.")
        self.steps.append(VisualStep(layer, into, np.ones(len(into)) if share is None else share))
        self.alive = into == np.arange(len(into))

    def send_round(self, layer: int, chosen: np.ndarray) -> None:
        """The chosen tokens [N] go round a layer and are there again behind it."""
        self.rounds[layer] = chosen & self.alive

    def plan(self, method: str, left_out: str = "", window: int = 0, forgotten: tuple[int, ...] = ()) -> VisualPlan:
        """What was decided so far."""
        first, rounds = self.first, self.rounds.copy() if self.rounds.any() else None
        said = left_out + ("" if self.look is not None or sum(self._made) < 2 else ONE_PASS)
        made = VisualPlan(method, tuple(self.steps), first.image, first.rows, first.depth, first.size, said, window)
        return replace(made, rounds=rounds, forgotten=forgotten)

    @property
    def _made(self) -> tuple[int, int]:
        """How many steps there are, and how many layers that tokens go round."""
        return len(self.steps), int(self.rounds.any(1).sum())

    @property
    def _now(self) -> Reading | _Reduced:
        if self.look is None or not any(self._made):
            return self.first
        if self._seen is None or self._seen[0] != self._made:
            self._seen = self._made, _Reduced(self.look(dropping(self.plan(""))), self.first)
        return self._seen[1]


class _Reduced:
    """A capture under edits, whose layouts are still those of the whole prompt: only numbers are read."""

    def __init__(self, capture: Capture, first: Reading) -> None:
        self.capture, self.sites = capture, first.sites

    def attention(self, layer: int) -> np.ndarray:
        """[H, Q, K] attention of a decoder layer, over what is left in it."""
        return np.asarray(self.capture.weights[self.sites[layer]], np.float64)

    def hidden(self, layer: int) -> np.ndarray:
        """[T, D] the input of a decoder layer, of what is left in it."""
        return np.asarray(self.capture.hidden["decoder", layer], np.float64)


def deep(depth: int, of: tuple[int, ...], layers: int) -> tuple[int, ...]:
    """Layers of a decoder of `layers` layers as those of one of `depth`: scaled, from 1 on, without doubles."""
    return tuple(sorted({min(max(round(layer * depth / layers), 1), depth - 1) for layer in of}))


def behind(depth: int, of: tuple[int, ...], layers: int) -> tuple[int, ...]:
    """The same for layers whose own attention decides what the next one reads: from 0 on, the last one left out."""
    return tuple(sorted({min(max(round(layer * depth / layers), 0), max(depth - 2, 0)) for layer in of}))
