"""Signals of made-up words in the model's own distribution: how unlikely, how undecided, how close a rival was."""

from __future__ import annotations

from typing import Literal

import numpy as np

from analysis.registry import method
from analysis.words.answer import Answer, log_softmax
from analysis.words.word_confidence import entropy, margin
from analysis.words.words import Word

NEEDS = {"generation", "text"}


@method(
    title="Unlikely word",
    kind="signal",
    cites=("zhou2024",),
    needs=NEEDS,
    range="0 and above, in nats",
    misleads="Rare words are unlikely without being wrong, and what training scenes imply is likely without being there.",
)
def unlikely_word(answer: Answer, word: Word | int | str = 0, *, of: Literal["first", "all", "mean"] = "first") -> float:
    """Minus the log-probability of a word.

    Args:
        answer: the answer.
        word: which word.
        of: its first token, all of its tokens together, or their mean.
    """
    each = -answer.log_probabilities[list(answer.word(word).steps)]
    return float({"first": each[0], "all": each.sum(), "mean": each.mean()}[of])


@method(
    title="Entropy of the choice",
    kind="signal",
    cites=("zhou2024",),
    needs=NEEDS,
    range="0 to the logarithm of the vocabulary, in nats",
    misleads="Where several true things could be said next, a good model is undecided.",
)
def undecided(answer: Answer, word: Word | int | str = 0) -> float:
    """The entropy of what the first token of a word was chosen from.

    Args:
        answer: the answer.
        word: which word.
    """
    return entropy(_logs(answer, word))


@method(
    title="Small margin of the choice",
    kind="signal",
    cites=("qu2024",),
    needs=NEEDS,
    range="0 to 1; 1 where two tokens are equally likely",
    misleads="The rival may be a synonym, or another thing that is there as well.",
)
def small_margin(answer: Answer, word: Word | int | str = 0) -> float:
    """One less the distance of the two likeliest first tokens (the certainty of multi-path decoding).

    Args:
        answer: the answer.
        word: which word.
    """
    return 1.0 - margin(_logs(answer, word))


def _logs(answer: Answer, word: Word | int | str) -> np.ndarray:
    return log_softmax(answer.logits[answer.word(word).steps[0]])
