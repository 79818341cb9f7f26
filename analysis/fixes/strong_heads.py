"""Vision-aware head reinforcement: heads whose outputs change most without the image are made louder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from analysis.fixes.options import FixOptions, options
from analysis.registry import Range, method
from model_adapters import Capture, Keep
from model_adapters.edits import Edit, Gate
from model_adapters.where import Where

DECIDING = Keep(queries="last")


@dataclass(frozen=True)
class LouderHeads:
    """Heads are chosen once, at the first new token, from the shallowest layer to the deepest."""

    alpha: float = 2.0
    last: int = 14
    early: tuple[int, ...] = (2,)
    without: Literal["left out", "hidden"] = "left out"
    in_turn: bool = True

    def plan(self, glance: Any) -> tuple[Edit, ...]:
        """One gate per layer, decided at once or layer by layer while the prompt is read."""
        depth = glance.depth
        layers = sorted({n for n in self.early if n < depth} | set(range(max(0, depth - self.last), depth)))
        if self.in_turn:
            return (glance.beside_blind(self.without, layers, self._louder),)
        seen = glance.capture(keep=DECIDING, want={"heads"})
        less = glance.blind(self.without, keep=DECIDING, want={"heads"})
        edits = (self._louder(layer, _deciding(seen, layer), _deciding(less, layer)) for layer in layers)
        return tuple(edit for edit in edits if edit is not None)

    def _louder(self, layer: int, seen: np.ndarray, less: np.ndarray) -> Edit | None:
        heads = chosen_heads(seen, less)
        return Gate(Where(tower="decoder", layers=(layer,), heads=heads, queries="last"), self.alpha) if heads else None


def _deciding(capture: Capture, layer: int) -> np.ndarray:
    """[H, D]: what the heads of a layer say in the row that the next token is read off."""
    for site, outputs in capture.head_outputs.items():
        if site.tower == "decoder" and site.layer == layer:
            return np.asarray(outputs[:, -1], np.float64)
    raise ValueError(f"layer {layer} of the decoder has no attention whose heads can be compared.")


def chosen_heads(seen: np.ndarray, less: np.ndarray) -> tuple[int, ...]:
    """Heads [H, D] that differ more than the median one; those that are outliers by what they say without the image are out."""
    divergence = np.linalg.norm(seen - less, axis=-1)
    alone = (less**2).sum(-1)
    odd = (divergence > divergence.mean() + divergence.std()) & (alone > alone.mean() + alone.std())
    divergence = np.where(odd, 0, divergence)
    return tuple(int(h) for h in np.flatnonzero(divergence > np.median(divergence)))


@method(
    title="Vision-aware heads reinforced",
    kind="fix",
    cites=("he2025",),
    needs={"generation", "run", "heads"},
    range="keywords for `generate`; one pass for a token, and one over the prompt without the image",
    misleads="Half of each layer's heads are always reinforced, whether or not any of them answers to the image.",
)
def vision_heads_reinforced(
    *,
    alpha: Annotated[float, Range(0, 5)] = 2.0,
    last: Annotated[int, Range(1, 200)] = 14,
    in_turn: bool = True,
    without: Literal["left out", "hidden"] = "left out",
) -> FixOptions:
    """Outputs of heads that change most without the image are multiplied, in layer 2 and the last ones.

    Rows that tokens are read off are changed; the rest of the prompt is not. Layers count from 0, which the paper leaves open.

    Args:
        alpha: 2 in the paper; 1 changes nothing.
        last: how many of the last layers: 14 for LLaVA, 18 for InstructBLIP, of 32.
        in_turn: heads of a layer are chosen when shallower ones are reinforced already (the paper), or all at once.
        without: the image is left out of the prompt (the paper), or hidden, for models that need one.
    """
    return options(edits=(LouderHeads(alpha, last, (2,), without, in_turn),)) if alpha != 1 else options()
