"""Whom a word listened to: how its attention is shared between system prompt, image, question, and the answer so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.registry import method
from analysis.results import Parts
from analysis.words.answer import GROUPS, Answer
from analysis.words.rows import Tokens, steps_of
from analysis.words.words import Word
from model_adapters import Site


@dataclass(frozen=True, eq=False)
class WordShares:
    """The attention of one word, by what it went to."""

    values: np.ndarray
    """[L, H, G]; over groups they sum to 1. NaN where a layer has fewer heads."""
    counts: np.ndarray
    """[G] how many tokens each group has."""
    sites: tuple[Site, ...]
    word: str
    groups: tuple[str, ...] = GROUPS

    @property
    def efficiency(self) -> np.ndarray:
        """[L, H, G]: attention per token of the group, NaN for an empty one."""
        return np.divide(self.values, self.counts, out=np.full_like(self.values, np.nan), where=self.counts > 0)

    def parts(self) -> Parts:
        """The mean over layers and heads."""
        return Parts(self.groups, np.nanmean(self.values, (0, 1)), 1.0, f"attention of {self.word!r}")


@dataclass(frozen=True, eq=False)
class AnswerShares:
    """The attention of every token of an answer, by what it went to."""

    values: np.ndarray
    """[A, L, G]: mean over heads."""
    counts: np.ndarray
    """[A, G] how many tokens each group had."""
    sites: tuple[Site, ...]
    groups: tuple[str, ...] = GROUPS


@method(
    title="Shares of a word's attention",
    kind="word share",
    cites=("chen2024",),
    needs={"generation", "text"},
    range="0 to 1; the groups add up to 1",
    misleads="Begin tokens and sinks take most of the attention without giving much: a small share may be all that matters.",
)
def word_shares(answer: Answer, word: Word | int | str = 0, *, tokens: Tokens = "first") -> WordShares:
    """How the attention of a word is shared between system prompt, image, question and the answer before it.

    Args:
        answer: from `answer_of` or `answer_in`.
        word: which word.
        tokens: which tokens of the word speak for it.
    """
    chosen = answer.word(word)
    steps = steps_of(chosen, tokens)
    values = np.mean([_shares(answer, step) for step in steps], axis=0)
    counts = np.mean([_counts(answer, step) for step in steps], axis=0)
    return WordShares(values, counts, answer.sites, chosen.text)


@method(
    title="Shares of an answer's attention",
    kind="word share",
    cites=("chen2024",),
    needs={"generation", "text"},
    range="0 to 1; the groups add up to 1",
    misleads="The answer before a word grows with every token, so the share of the image falls even where nothing else changes.",
)
def answer_shares(answer: Answer) -> AnswerShares:
    """How the attention of every token of an answer is shared, layer by layer, from the first token to the last."""
    if not len(answer):
        raise ValueError("the answer is empty, so there is nothing to read.")
    values = np.stack([np.nanmean(_shares(answer, step), axis=1) for step in range(len(answer))])
    return AnswerShares(values, np.stack([_counts(answer, step) for step in range(len(answer))]), answer.sites)


def image_mass(answer: Answer, step: int) -> np.ndarray:
    """[L, H]: the share of the image in the attention of one token; NaN where a layer has fewer heads."""
    rows, seen = answer.rows[step], answer.image
    values = np.full((len(rows), max(map(len, rows))), np.nan)
    for layer, row in enumerate(rows):
        values[layer, : len(row)] = row[:, : len(seen)][:, seen].sum(-1, dtype=np.float64)
    return values


def _shares(answer: Answer, step: int) -> np.ndarray:
    members, rows = _members(answer, step).astype(np.float64), answer.rows[step]
    heads = max(len(row) for row in rows)
    values = np.full((len(rows), heads, len(GROUPS)), np.nan)
    for layer, row in enumerate(rows):
        values[layer, : len(row)] = row @ members
    return values


def _counts(answer: Answer, step: int) -> np.ndarray:
    return _members(answer, step).sum(0)


def _members(answer: Answer, step: int) -> np.ndarray:
    """[T + step, G] bool: which group each key of a token belongs to."""
    return answer.groups(step)[:, None] == np.array(GROUPS, object)
