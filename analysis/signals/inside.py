"""Signals of made-up words inside the decoder: do the image's tokens carry the word, does the image move the heads?"""

from __future__ import annotations

from typing import Annotated, Literal
from weakref import WeakKeyDictionary

import numpy as np

from analysis.registry import Range, method
from analysis.words.answer import Answer
from analysis.words.logit_lens import Lens
from analysis.words.visual_heads import total_divergence, vision_aware_divergence
from analysis.words.words import Word

CHUNK = 256
"""Image tokens that are read at a time: scores of a large vocabulary need memory."""
_KEPT: WeakKeyDictionary[Answer, dict[tuple, np.ndarray]] = WeakKeyDictionary()
"""What all words of an answer share."""


@method(
    title="Word that no image token predicts",
    kind="signal",
    cites=("jiang2025",),
    needs={"generation", "text", "hidden"},
    range="0 and above, in nats",
    misleads="The lens reads early layers in a language that they do not speak yet; only the largest probability is kept.",
)
def unseen_by_lens(
    answer: Answer, lens: Lens, word: Word | int | str = 0, *, layers: Literal["all", "later half"] = "all"
) -> float:
    """How little the lens reads a word's first token at the image: minus the logarithm of its internal confidence.

    That is the largest probability which the lens gives to the token at any image token in any layer.

    Args:
        answer: read again with want={"hidden"}.
        lens: the decoder's lens.
        word: which word.
        layers: which layers are read.
    """
    depths = answer.depths if layers == "all" else answer.depths[len(answer.depths) // 2 :]
    return -float(most_at_image(answer, lens, depths)[answer.ids[answer.word(word).steps[0]]])


@method(
    title="Low alignment of image and word",
    kind="signal",
    cites=("shukor2024",),
    needs={"generation", "text", "hidden"},
    range="-1 to 1; -1 where the states point the same way",
    misleads="States of one layer lie in a narrow cone, so most cosines are alike; differences are small.",
)
def low_alignment(answer: Answer, word: Word | int | str = 0, *, image_layer: Literal["first", "same"] = "first") -> float:
    """Minus the cosine of the mean image token and the state that a word was decided from, mean over layers.

    After the implicit alignment score (IMA), which is one number for a model, the mean over the text tokens of many prompts;
    this is the cosine of a single word. "first" takes the image as it enters the decoder, as the code of IMA does; "same" takes
    it from the layer of the word.

    Args:
        answer: read again with want={"hidden"}.
        word: which word; the row that its first token was decided by.
        image_layer: where the image tokens are taken from.
    """
    row = len(answer.prompt) - 1 + answer.word(word).steps[0]
    found = []
    for depth in answer.depths[1:] or answer.depths:
        image = _mean_image(answer, depth if image_layer == "same" else answer.depths[0])
        found.append(cosine(image, answer.hidden(depth, slice(row, row + 1))[0]))
    return -float(np.mean(found))


@method(
    title="Low total divergence of heads",
    kind="signal",
    cites=("he2025",),
    needs={"generation", "text", "heads", "run"},
    range="up to 0; 0 where the image moves no head",
    misleads="Sums of lengths grow with the width of a model and with depth: compare words of one model only.",
)
def low_vision_divergence(
    answer: Answer, blind_answer: Answer, word: Word | int | str = 0, *, share: Annotated[float, Range(0.01, 1)] = 0.25
) -> float:
    """The divergence of each layer's most vision-aware heads, added up over layers, with a minus: after T-VHD.

    T-VHD takes a fixed number of heads per layer that is not known to us; here it is a share of them.

    Args:
        answer: read again with want={"heads"}.
        blind_answer: the same tokens read again behind the prompt without the image.
        word: which word.
        share: of a layer's heads; a quarter is our choice.
    """
    return -total_divergence(vision_aware_divergence(answer, blind_answer, word), share)


def most_at_image(answer: Answer, lens: Lens, depths: tuple[int, ...]) -> np.ndarray:
    """[V]: the largest log-probability of each token at any image token in any of these layers; kept for other words."""
    kept = _KEPT.setdefault(answer, {})
    key = ("most", id(lens), depths)
    if key not in kept:
        seen, most = np.flatnonzero(answer.image), []
        for depth in depths:
            states = answer.hidden(depth, seen)
            most += [_most(lens(states[at : at + CHUNK])) for at in range(0, len(states), CHUNK)]
        kept[key] = np.max(most, axis=0)
    return kept[key]


def _mean_image(answer: Answer, depth: int) -> np.ndarray:
    """[D]: the mean state of the image's tokens at the entry of a layer; kept for other words."""
    kept = _KEPT.setdefault(answer, {})
    key = ("mean", depth)
    if key not in kept:
        kept[key] = answer.hidden(depth, np.flatnonzero(answer.image)).mean(0)
    return kept[key]


def _most(scores: np.ndarray) -> np.ndarray:
    """[V]: the largest log-probability of each token over rows of scores [N, V], in the precision of the scores."""
    highest = scores.max(-1, keepdims=True)
    total = np.exp(scores - highest).sum(-1, dtype=np.float64)
    return (scores - highest - np.log(total)[:, None].astype(scores.dtype)).max(0).astype(np.float64)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Of two vectors; 0 where one of them is none."""
    length = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / length) if length > 0 else 0.0
