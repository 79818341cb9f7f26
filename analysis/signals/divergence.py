"""Signals of made-up words from other looks: without the image, with a noised image, and from several views.

The model runs elsewhere; here come its scores [A, V] of the same answer under other conditions (`scores_of` a pass).
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from analysis.answer_changes import changes
from analysis.registry import Range, method
from analysis.words.answer import Answer, log_softmax
from analysis.words.word_confidence import margin
from analysis.words.words import Word
from model_adapters import Capture

NEEDS = {"generation", "text", "run"}
Distance = Literal["Jensen-Shannon", "Kullback-Leibler", "log ratio"]


@method(
    title="Little change without the image",
    kind="signal",
    cites=("liu2024pai",),
    needs=NEEDS,
    range="Jensen-Shannon: -1 to 0, 0 where the image changes nothing; the others up to 0 or of either sign, in nats",
    misleads="Words that grammar demands need no image either; only words that name things can be told apart so.",
)
def unmoved_without_image(
    answer: Answer, blind: np.ndarray, word: Word | int | str = 0, *, distance: Distance = "Jensen-Shannon"
) -> float:
    """Minus the distance between the choices of a word's first token with and without the image.

    Args:
        answer: the answer.
        blind: [A, V] the scores of the same tokens when the image was taken from the prompt (or cut off).
        word: which word.
        distance: between the two distributions, or the log-ratio of the word's own probability.
    """
    return -_distance(answer, blind, word, distance, "blind")


@method(
    title="Little change with a noised image",
    kind="signal",
    cites=("leng2024",),
    needs=NEEDS | {"pixels"},
    range="Jensen-Shannon: -1 to 0, 0 where the noise changes nothing; the others up to 0 or of either sign, in nats",
    misleads="How much noise is right depends on the model; noise is also unlike anything it was trained on.",
)
def unmoved_by_noise(
    answer: Answer, noised: np.ndarray, word: Word | int | str = 0, *, distance: Distance = "Jensen-Shannon"
) -> float:
    """Minus the distance between the choices of a word's first token before the image and before a noised one.

    Args:
        answer: the answer.
        noised: [A, V] the scores of the same tokens before the image after `diffused`.
        word: which word.
        distance: between the two distributions, or the log-ratio of the word's own probability.
    """
    return -_distance(answer, noised, word, distance, "noised")


@method(
    title="Outvoted by views",
    kind="signal",
    needs=NEEDS | {"pixels"},
    range="0 to 1; 0 where every view is certain of the word",
    misleads="A view that cuts the thing off votes against it: use views that keep most of the image.",
)
def outvoted(answer: Answer, views: np.ndarray, word: Word | int | str = 0) -> float:
    """One less the mean certainty of views of the image, such as its four corners, that would say the word here too.

    A view votes with the distance of its two likeliest tokens if the likeliest is the word's first, else with 0. This is ours;
    votes weighted by certainty are MVP's idea, whose views are captions (`analysis.words.path_vote`).

    Args:
        answer: the answer.
        views: [views, A, V] the scores of the same tokens before each view.
        word: which word.
    """
    views = np.asarray(views)
    if views.ndim != 3 or not len(views):
        raise ValueError(f"views must be [views, A, V] with at least one view. Got shape {views.shape} instead.")
    step = answer.word(word).steps[0]
    votes = []
    for scores in views:
        logs = log_softmax(_checked(answer, scores, "views")[step])
        votes.append(margin(logs) if logs.argmax() == answer.ids[step] else 0.0)
    return 1.0 - float(np.mean(votes))


def scores_of(capture: Capture, count: int) -> np.ndarray:
    """[count, V]: the scores that the last `count` tokens of a pass were chosen from."""
    return capture.logits[len(capture.logits) - 1 - count : len(capture.logits) - 1]


def diffused(pixels: np.ndarray, *, step: Annotated[int, Range(0, 999)] = 500, seed: int = 0) -> np.ndarray:
    """A prepared image with diffusion noise, as in visual contrastive decoding: sqrt(abar) x + sqrt(1 - abar) eps.

    Of 1,000 steps with beta = sigmoid(linspace(-6, 6)) (5e-3 - 1e-5) + 1e-5; at step 500 0.86 of the image's
    amplitude is left, at the last one 0.29.
    """
    if not 0 <= step < 1000:
        raise ValueError(f"step must be between 0 and 999. Got {step} instead.")
    beta = (5e-3 - 1e-5) / (1 + np.exp(-np.linspace(-6, 6, 1000))) + 1e-5
    left = np.cumprod(1 - beta)[step]
    noise = np.random.default_rng(seed).standard_normal(np.shape(pixels))
    return (np.sqrt(left) * np.asarray(pixels, np.float64) + np.sqrt(1 - left) * noise).astype(np.float32)


def picture_views(picture: np.ndarray, *, share: Annotated[float, Range(0.5, 0.99)] = 0.85) -> list[np.ndarray]:
    """Views of a picture [height, width, 3]: its four corners, each with `share` of both sides.

    None is mirrored: before a mirrored picture "left" is wrong where it was right.
    """
    height, width = picture.shape[:2]
    rows, columns = max(1, round(height * share)), max(1, round(width * share))
    down, right = height - rows, width - columns
    corners = ((0, 0), (0, right), (down, 0), (down, right))
    return [picture[y : y + rows, x : x + columns].copy() for y, x in corners]


def _distance(answer: Answer, scores: np.ndarray, word: Word | int | str, distance: Distance, name: str) -> float:
    step = answer.word(word).steps[0]
    one, other = answer.logits[step], _checked(answer, scores, name)[step]
    if distance == "Jensen-Shannon":
        return float(changes(one[None], other[None], None, "Jensen-Shannon distance")[0])
    was, now = log_softmax(one), log_softmax(other)
    if distance == "Kullback-Leibler":
        return float((np.exp(was) * (was - now)).sum())
    if distance == "log ratio":
        return float(was[answer.ids[step]] - now[answer.ids[step]])
    raise ValueError(f"distance must be 'Jensen-Shannon', 'Kullback-Leibler' or 'log ratio'. Got {distance!r} instead.")


def _checked(answer: Answer, scores: np.ndarray, name: str) -> np.ndarray:
    if np.shape(scores) != answer.logits.shape:
        raise ValueError(f"`{name}` must hold scores [A, V] = {answer.logits.shape} of the same answer. Got {np.shape(scores)}.")
    return np.asarray(scores)
