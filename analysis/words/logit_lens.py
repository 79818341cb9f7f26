"""Reading hidden states as words: what each layer would say, what each patch says, and where the answer is decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from analysis.registry import Range, method
from analysis.results import Curve, TokenMap
from analysis.words.answer import Answer, log_softmax
from analysis.words.word_maps import on_image
from analysis.words.words import Word

Lens = Callable[[np.ndarray], np.ndarray]
"""States [N, D] of any layer of the decoder -> scores [N, V], as `model_adapters.lens` gives it."""
LENS_MISLEADS = "Early layers do not speak the language of the last one yet: what the lens reads there may mean nothing."


@dataclass(frozen=True, eq=False)
class LensReading:
    """What every layer would have said at every token of an answer."""

    layers: tuple[int, ...]
    """[S] the layer whose input is read; the last is the output of the last layer."""
    log_probabilities: np.ndarray
    """[S, A] of the tokens that were said."""
    ranks: np.ndarray
    """[S, A] how many tokens are likelier than the one that was said; 0 for the likeliest."""
    entropies: np.ndarray
    """[S, A] in nats."""
    best: np.ndarray
    """[S, A, top] ids of the likeliest tokens."""
    best_texts: tuple[tuple[tuple[str, ...], ...], ...]
    """[S][A][top] their texts."""

    def decided(self) -> np.ndarray:
        """[A]: the first layer from whose input on the token that was said stays the likeliest; -1 if it never is."""
        stays = np.logical_and.accumulate((self.ranks == 0)[::-1])[::-1]
        return np.where(stays.any(0), np.array(self.layers)[stays.argmax(0)], -1)

    def of_word(self, word: Word) -> Curve:
        """The log-probability of the first token of a word, layer by layer."""
        values = self.log_probabilities[:, word.steps[0]]
        return Curve(np.array(self.layers), values, label=f"log-probability of {word.text!r}", step_label="layer")


@dataclass(frozen=True, eq=False)
class PatchWords:
    """Which token each patch predicts in one layer."""

    map: TokenMap
    """How likely the likeliest token of each patch is."""
    ids: np.ndarray
    """[N, top]."""
    texts: tuple[tuple[str, ...], ...]
    """[N][top]."""
    probabilities: np.ndarray
    """[N, top]."""


@method(
    title="Logit lens over an answer",
    kind="word lens",
    cites=("nostalgebraist2020",),
    needs={"generation", "text", "hidden"},
    range="probabilities 0 to 1; ranks from 0",
    misleads=LENS_MISLEADS,
)
def answer_lens(answer: Answer, lens: Lens, *, top: Annotated[int, Range(1, 50)] = 5) -> LensReading:
    """What each layer would say next, at the rows that the tokens of the answer were decided by.

    Args:
        answer: read again with want={"hidden"}.
        lens: the decoder's final norm and unembedding, from `model_adapters.lens`.
        top: how many of the likeliest tokens are told.
    """
    if not len(answer):
        raise ValueError("the answer is empty, so there is nothing to read.")
    rows = slice(len(answer.prompt) - 1, len(answer.prompt) - 1 + len(answer))
    said = np.arange(len(answer))
    logs, ranks, entropies, best = [], [], [], []
    for depth in answer.depths:
        made = log_softmax(lens(answer.hidden(depth)[rows]))
        own = made[said, answer.ids]
        logs.append(own)
        ranks.append((made > own[:, None]).sum(-1))
        entropies.append(-(np.exp(made) * np.where(np.isfinite(made), made, 0)).sum(-1))
        best.append(np.argsort(-made, axis=-1, kind="stable")[:, :top])
    texts = tuple(tuple(_texts(answer, row) for row in layer) for layer in best)
    return LensReading(answer.depths, np.stack(logs), np.stack(ranks), np.stack(entropies), np.stack(best), texts)


@method(
    title="Logit lens on the image",
    kind="word lens",
    cites=("nostalgebraist2020", "jiang2025"),
    needs={"generation", "text", "hidden", "grid"},
    range="probabilities 0 to 1",
    misleads=LENS_MISLEADS,
)
def patch_words(
    answer: Answer, lens: Lens, *, layer: int = -2, top: Annotated[int, Range(1, 50)] = 3, image: int = 0
) -> PatchWords:
    """Which token each patch would be followed by if the model read it out at a layer.

    Args:
        answer: read again with want={"hidden"}.
        lens: the decoder's lens.
        layer: the layer whose input is read; negative numbers count from the output of the last one (-1).
        top: how many tokens are told per patch.
        image: which of several images.
    """
    logs = _at_image(answer, lens, _depth(answer, layer))
    order = np.argsort(-logs, axis=-1, kind="stable")[:, :top]
    best = np.exp(np.take_along_axis(logs, order, -1))
    values = np.zeros(len(answer.prompt))
    values[answer.image] = best[:, 0]
    shown = on_image(answer, values, image, f"likeliest token, input of layer {_depth(answer, layer)}")
    here = (answer.prompt.placed & np.isin(answer.prompt.image, (image, -1)))[answer.image]
    return PatchWords(shown, order[here], tuple(_texts(answer, row) for row in order[here]), best[here])


@method(
    title="Where the lens reads a word",
    kind="word map",
    cites=("jiang2025",),
    needs={"generation", "text", "hidden", "grid"},
    range="0 to 1 per token",
    misleads=LENS_MISLEADS,
)
def lens_word_map(
    answer: Answer, lens: Lens, word: Word | int | str = 0, *, layer: int | None = None, image: int = 0
) -> TokenMap:
    """The probability of a word's first token at every patch, in one layer or the largest over layers.

    Args:
        answer: read again with want={"hidden"}.
        lens: the decoder's lens.
        word: which word.
        layer: the layer whose input is read; the largest over all layers by default.
        image: which of several images.
    """
    chosen = answer.word(word)
    token = int(answer.ids[chosen.steps[0]])
    depths = answer.depths if layer is None else (_depth(answer, layer),)
    values = np.zeros(len(answer.prompt))
    values[answer.image] = np.max([np.exp(_at_image(answer, lens, depth)[:, token]) for depth in depths], axis=0)
    return on_image(answer, values, image, f"probability of {chosen.text!r} at each patch")


def _at_image(answer: Answer, lens: Lens, depth: int) -> np.ndarray:
    """[image tokens, V] log-probabilities."""
    return log_softmax(lens(answer.hidden(depth)[: len(answer.prompt)][answer.image]))


def _depth(answer: Answer, layer: int) -> int:
    depths = answer.depths
    if layer >= 0 and layer in depths:
        return layer
    if layer < 0 and -layer <= len(depths):
        return depths[layer]
    raise ValueError(f"layer {layer} was asked for, but hidden states of {depths} were kept.")


def _texts(answer: Answer, ids: np.ndarray) -> tuple[str, ...]:
    return tuple(answer.decode([int(i)]) for i in ids)
