"""From a model to a callable that gives an answer's scores under edits. What runs the model is given, not imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analysis.runs import as_pictures
from analysis.words.answer import Answer, groups_of, log_softmax
from analysis.words.words import Word
from model_adapters import Where
from model_adapters.edits import Block, Edit

AnswerRun = Callable[[tuple[Edit, ...]], np.ndarray]
"""Edits -> [A, V], the scores that the same tokens are chosen from when prompt and answer are read under them."""


def answer_runner(run: Callable[..., Any], model: Any, continued: Any, count: int) -> AnswerRun:
    """A callable over one answer.

    Args:
        run: `model_adapters.run`.
        model: the model.
        continued: prompt and answer as one prompt, from `model_adapters.continued`.
        count: how many tokens the answer has.
    """

    def scores(edits: tuple[Edit, ...] = ()) -> np.ndarray:
        logits = run(model, continued, edits).detach().float().cpu().numpy()
        logits = logits.reshape(-1, logits.shape[-1])
        return logits[len(logits) - 1 - count : len(logits) - 1]

    return scores


def word_scorer(
    run: Callable[..., Any], model: Any, prepare: Callable[[np.ndarray], Any], answer: Answer, word: Word | int | str = 0
) -> Callable[[np.ndarray], np.ndarray]:
    """Pictures [B, height, width, 3] of 0..255 -> log-probability [B] of a word when prompt and answer are read before each.

    What `painted_over` takes as `shown`, and `faithfulness` as `score`.

    Args:
        run: `model_adapters.run`.
        model: the model.
        prepare: a picture to prompt and answer as one prompt, such as
            `lambda picture: ma.continued(model, model.prepare(image=picture, text=question), answer.ids)`.
        answer: the answer.
        word: which word.
    """
    chosen = answer.word(word)

    def score(pictures: np.ndarray) -> np.ndarray:
        runs = (answer_runner(run, model, prepare(picture), len(answer)) for picture in as_pictures(pictures))
        return np.array([log_probability(answer, scores(()), chosen) for scores in runs])

    return score


def checked_run(answer: Answer, run: AnswerRun) -> np.ndarray:
    """[A, V] without edits; refused where the run is of another answer."""
    scores = run(())
    if scores.shape != answer.logits.shape:
        raise ValueError(f"the run gives scores {scores.shape}, the answer has {answer.logits.shape}: they are of two answers.")
    return scores


def log_probability(answer: Answer, scores: np.ndarray, word: Word) -> float:
    """The log-probability of a word under these scores [A, V], all its tokens together."""
    steps = list(word.steps)
    return float(log_softmax(scores[steps])[np.arange(len(steps)), answer.ids[steps]].sum())


def positions(answer: Answer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The places of the image's tokens in the sequence, and of all others, the answer's among them."""
    image = np.flatnonzero(answer.image)
    others = np.setdiff1d(np.arange(len(answer.prompt) + len(answer)), image)
    return tuple(image.tolist()), tuple(others.tolist())


def places_of(answer: Answer, group: str) -> tuple[int, ...]:
    """The places of one group of tokens in the sequence."""
    prompt = np.flatnonzero(groups_of(answer.prompt) == group)
    whole = np.arange(len(answer.prompt), len(answer.prompt) + len(answer)) if group == "answer" else prompt
    return tuple(int(i) for i in whole)


def hidden_image(answer: Answer) -> Block:
    """The edit that hides the image from all else, in all layers: for models that cannot be asked without an image."""
    image, others = positions(answer)
    return Block(where(answer, [site.layer for site in answer.sites], others, image))


def where(answer: Answer, layers: Sequence[int], queries: Sequence[int], keys: Sequence[int]) -> Where:
    """Edges of the decoder's own attention, in these layers; attention of another kind is left alone."""
    numbers = set(layers)
    sites = tuple(site.name for site in answer.sites if site.layer in numbers)
    return Where(tower="decoder", sites=sites, queries=tuple(queries), keys=tuple(keys))
