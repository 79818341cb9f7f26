"""How sure the model was of a word, and what else it could have said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from analysis.registry import Range, method
from analysis.words.answer import Answer, log_softmax
from analysis.words.words import Word


@dataclass(frozen=True, eq=False)
class WordConfidence:
    """The probabilities of one word."""

    word: str
    probability: float
    """Of all its tokens together."""
    log_probability: float
    token_probabilities: np.ndarray
    """[tokens of the word]."""
    entropy: float
    """In nats, of what its first token was chosen from."""
    margin: float
    """Between the two likeliest first tokens."""
    alternatives: tuple[tuple[str, float], ...]
    """The likeliest first tokens with their probabilities."""
    alternative_ids: tuple[int, ...]


@method(
    title="Confidence of a word",
    kind="word confidence",
    cites=("zhou2024",),
    needs={"generation", "text"},
    range="probabilities 0 to 1; entropy 0 to the logarithm of the vocabulary",
    misleads="Spelling, synonyms and ways to go on share the probability; a model can be sure of what is not there.",
)
def word_confidence(
    answer: Answer, word: Word | int | str = 0, *, alternatives: Annotated[int, Range(1, 50)] = 5
) -> WordConfidence:
    """How likely a word was to the model, how spread its choice, and which tokens it could have begun with instead.

    Args:
        answer: from `answer_of` or `answer_in`.
        word: which word.
        alternatives: how many of the likeliest first tokens are told.
    """
    chosen = answer.word(word)
    steps = list(chosen.steps)
    each = answer.log_probabilities[steps]
    logs = log_softmax(answer.logits[steps[0]])
    order = np.argsort(-logs, kind="stable")[:alternatives]
    told = tuple((answer.decode([int(i)]), float(np.exp(logs[i]))) for i in order)
    return WordConfidence(
        chosen.text, float(np.exp(each.sum())), float(each.sum()), np.exp(each), entropy(logs), margin(logs), told,
        tuple(int(i) for i in order),
    )  # fmt: skip


def entropy(logs: np.ndarray) -> float:
    """In nats, of log-probabilities [V]."""
    shares = np.exp(logs)
    return float(-(shares * np.where(shares > 0, logs, 0)).sum())


def margin(logs: np.ndarray) -> float:
    """The probability of the likeliest token less that of the second, of log-probabilities [V]."""
    second, first = np.exp(np.partition(logs, -2)[-2:]) if len(logs) > 1 else (0.0, np.exp(logs)[0])
    return float(first - second)
