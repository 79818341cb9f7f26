"""Heads by what they do with the image: how much they look at it, and how much their output needs it."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from analysis.registry import Range, method
from analysis.results import HeadMatrix
from analysis.words.answer import Answer
from analysis.words.word_shares import image_mass
from analysis.words.words import Word
from model_adapters import Site


@method(
    title="Vision-aware head divergence",
    kind="word head",
    cites=("he2025",),
    needs={"generation", "text", "heads", "run"},
    range="0 and above; 0 for every head where there is no image",
    misleads="Outputs before the projection have scales of their own: a head may move much and be hardly read.",
)
def vision_aware_divergence(answer: Answer, blind_answer: Answer, word: Word | int | str = 0) -> HeadMatrix:
    """How far each head's output moves when the image is taken from the prompt: || O(with) - O(without) ||_2.

    Outputs are those before the output projection, of the row that the word's first token was decided by.

    Args:
        answer: read again with want={"heads"}.
        blind_answer: the same tokens read again behind the prompt without the image, with want={"heads"} too.
        word: which word.
    """
    step = answer.word(word).steps[0]
    if not np.array_equal(answer.ids, blind_answer.ids):
        raise ValueError(f"the same answer is needed with and without the image. Got {answer.text!r} and {blind_answer.text!r}.")
    ours, theirs = head_rows(answer, step), head_rows(blind_answer, step)
    if [row.shape for row in ours] != [row.shape for row in theirs]:
        raise ValueError("the heads of the same layers must be kept in both passes.")
    values = [np.linalg.norm(one - other, axis=-1) for one, other in zip(ours, theirs, strict=True)]
    return HeadMatrix(padded(values), answer.sites, label="vision-aware divergence")


@method(
    title="Attention of every head to the image",
    kind="word head",
    cites=("kang2025",),
    needs={"generation", "text"},
    range="0 to 1",
    misleads="A head that gives everything to one sink in the image counts as visual too.",
)
def image_attention_of_heads(answer: Answer, word: Word | int | str = 0) -> HeadMatrix:
    """How much of each head's attention went to the image when a word was decided: V(q).

    Args:
        answer: the answer.
        word: which word; its first token is read.
    """
    return HeadMatrix(image_mass(answer, answer.word(word).steps[0]), answer.sites, label="attention to the image")


def total_divergence(matrix: HeadMatrix, share: Annotated[float, Range(0, 1)] = 0.25) -> float:
    """After T-VHD: the sum over layers of the most divergent heads of each. The paper's number of heads is not known to us.

    Args:
        matrix: from `vision_aware_divergence`.
        share: of a layer's heads; a quarter is our choice.
    """
    total = 0.0
    for row in matrix.values:
        there = np.sort(row[np.isfinite(row)])[::-1]
        total += float(there[: max(1, round(share * len(there)))].sum())
    return total


def head_rows(answer: Answer, step: int) -> list[np.ndarray]:
    """[L] arrays [H, D]: the head outputs of the row that a token was decided by."""
    outputs = {} if answer.capture is None else answer.capture.head_outputs
    missing: list[Site] = [site for site in answer.sites if site not in outputs]
    if missing:
        raise ValueError(f"the head outputs of {missing[0].name} are needed. Read the answer again with want={{'heads'}}.")
    row = len(answer.prompt) - 1 + step
    return [outputs[site][:, row].astype(np.float64) for site in answer.sites]


def padded(rows: list[np.ndarray]) -> np.ndarray:
    """[L, H] of rows [H] that may differ in length; NaN where a layer has fewer heads."""
    values = np.full((len(rows), max(map(len, rows))), np.nan)
    for line, row in zip(values, rows, strict=True):
        line[: len(row)] = row
    return values
