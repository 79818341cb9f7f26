"""LOOK-M: the prompt is read whole, then the cache keeps its last tokens and those that were attended to most, words first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from analysis.registry import Range, method
from analysis.visual_tokens.choosing import best
from analysis.visual_tokens.reading import Reading
from model_adapters import Capture, Rows, Where
from model_adapters.edits import Block, Edit


@dataclass(frozen=True, eq=False)
class CachePlan:
    """Which tokens of a prompt each decoder layer's cache holds while the answer is written."""

    kept: tuple[np.ndarray, ...]
    """[depth] of the numbers of the rows that stay, as many in each layer."""
    rows: Rows
    """[T] the rows of the prompt."""
    image: np.ndarray
    """[N] the numbers of the visual tokens among them."""
    left_out: str

    @property
    def share(self) -> float:
        """How much of the cache is left."""
        return len(self.kept[0]) / len(self.rows)

    @property
    def counts(self) -> np.ndarray:
        """[depth] how many visual tokens each layer remembers."""
        return np.array([np.isin(one, self.image).sum() for one in self.kept])


@method(
    title="LOOK-M: a cache that forgets the image before the words",
    kind="visual tokens",
    cites=("wan2024lookm",),
    needs={"weights", "text"},
    range="tokens of the prompt that each layer remembers, while the answer is written",
    misleads="The prompt costs what it did: only the cache and later tokens are cheaper. Many words leave the image no room.",
)
def look_m(
    capture: Capture,
    *,
    recent: Annotated[float, Range(0, 1, 0.05)] = 0.1,
    heavy: Annotated[float, Range(0, 1, 0.05)] = 0.1,
    first: Literal["image", "least attended"] = "image",
) -> CachePlan:
    """Which keys and values stay when the last tokens do and, of the others, those that all rows together attended to most.

    `model_adapters.shrunk_cache.generate_from_less(model, inputs, plan.kept)` answers so, and merges what is forgotten into
    the nearest kept key; `forgetting(plan)` only hides the same tokens from new ones.

    Args:
        capture: with all rows of the decoder's weights.
        recent: the share of the prompt's last tokens that stay.
        heavy: the share of the others that stay.
        first: what is forgotten first: all of the image (text prior), or what got least attention, whatever it is.
    """
    read = Reading(capture)
    length = len(read.rows)
    if not 0 < recent + heavy:
        raise ValueError(f"some of the prompt must stay: recent and heavy are {recent:g} and {heavy:g}.")
    last = np.arange(length) >= length - max(1, round(recent * length))
    count = min(int(last.sum()) + round(heavy * length), length)
    kept = []
    for layer in range(read.depth):
        received = read.attention(layer).sum(1).mean(0)
        if first == "image":
            received[read.image] -= 1 + received.max()
        kept.append(np.flatnonzero(last | best(np.where(last, -np.inf, received), count - int(last.sum()))))
    said = "Attention is added up over all heads, so that the heads of a layer remember the same tokens."
    return CachePlan(tuple(kept), read.rows, read.image, said)


def forgetting(plan: CachePlan) -> tuple[Edit, ...]:
    """The same tokens hidden from every new one, in a cache that still holds them."""
    found = []
    for layer, kept in enumerate(plan.kept):
        gone = np.setdiff1d(np.arange(len(plan.rows)), kept)
        if len(gone):
            found.append(Block(Where(tower="decoder", layers=(layer,), keys=tuple(int(i) for i in gone), phase="new")))
    return tuple(found)
