"""Signals of made-up words in attention: how much went to the image, how it fell, how it was spread, what was trusted.

Every signal is higher the more a word is to be doubted, after the paper that it cites.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from analysis.registry import Range, method
from analysis.words.answer import Answer
from analysis.words.rows import Heads, chosen_heads, put_together, word_rows
from analysis.words.word_shares import image_mass
from analysis.words.words import Word

NEEDS = {"generation", "text"}
FLOOR = 1e-12


@method(
    title="Low attention to the image",
    kind="signal",
    cites=("liu2024pai",),
    needs=NEEDS,
    range="0 to 1; 1 is no attention to the image",
    misleads="The answer before a word takes attention away from the image, so later words look worse whatever they say.",
)
def low_image_attention(answer: Answer, word: Word | int | str = 0, *, among: Heads | None = None) -> float:
    """How little of a word's attention went to the image, mean over layers and heads.

    Args:
        answer: the answer.
        word: which word; its first token is read.
        among: only these heads, such as the visual ones.
    """
    step = answer.word(word).steps[0]
    mass = image_mass(answer, step)
    return 1.0 - float(np.mean([mass[place] for place in chosen_heads(answer, among=among)]))


@method(
    title="Fall of attention to the image",
    kind="signal",
    cites=("liu2024pai",),
    needs=NEEDS,
    range="below 1; 0 where the image gets what it got at the first token",
    misleads="It grows along every answer: compare words at the same place, or in answers of the same length.",
)
def falling_image_attention(answer: Answer, word: Word | int | str = 0) -> float:
    """How much of the first token's attention to the image is gone at a word: 1 - V(t) / V(0), our definition.

    Args:
        answer: the answer.
        word: which word; its first token is read.
    """
    first, now = (float(np.nanmean(image_mass(answer, step))) for step in (0, answer.word(word).steps[0]))
    return 1.0 - now / max(first, FLOOR)


@method(
    title="Spread of a word's image map",
    kind="signal",
    cites=("clark2019",),
    needs=NEEDS,
    range="0 to 1; 1 is even over the whole image",
    misleads="Large things, and words about the whole scene, are spread without being wrong; one sink makes any map look sharp.",
)
def spread_image_map(
    answer: Answer, word: Word | int | str = 0, *, among: Heads | None = None, sinks: np.ndarray | None = None
) -> float:
    """The entropy of the image map of a word, divided by that of an even one.

    Args:
        answer: the answer.
        word: which word; its first token is read.
        among: only these heads.
        sinks: [T] bool, tokens of the prompt that are left out.
    """
    seen = answer.image if sinks is None else answer.image & ~np.asarray(sinks, bool)
    values = put_together(word_rows(answer, word), chosen_heads(answer, among=among), "mean")[seen]
    if len(values) < 2:
        raise ValueError(f"a spread needs at least 2 image tokens. The prompt has {len(values)}.")
    total = values.sum()
    shares = values / total if total > 0 else np.full(len(values), 1 / len(values))
    return float(-(shares * np.log(np.maximum(shares, FLOOR))).sum() / np.log(len(values)))


@method(
    title="Over-trust in a word said before",
    kind="signal",
    cites=("huang2024",),
    needs=NEEDS,
    range="logarithm of the column product; NaN for the first token, which nothing was said before",
    misleads="Columns are products, so a column that is older by one row is larger by up to a factor of the scale.",
)
def over_trust(
    answer: Answer,
    word: Word | int | str = 0,
    *,
    scale: Annotated[float, Range(1, 1000)] = 50.0,
    window: Annotated[int, Range(1, 10_000)] = 10_000,
    early: Annotated[int, Range(0, 100)] = 0,
) -> float:
    """How strongly all tokens since then lean on one token that was said before: the largest column product, as in OPERA.

    The last layer's rows of the answer, the largest head each, brought to sum to 1; the weights on the answer times
    `scale`; c_j = 1e-7 times the product of column j over the rows from j on; the logarithm of the largest c_j.

    Args:
        answer: the answer.
        word: which word; the tokens before it are looked at.
        scale: what weights are multiplied with; 50 in the release.
        window: how many of the last rows are looked at; all by default.
        early: for so many first tokens the signal is minus the attention to the image instead (10 in the release, which
            then compares candidates of one step; 0 here, because words of different steps are compared).
    """
    step = answer.word(word).steps[0]
    if step < early:
        return -float(_last_row(answer, step)[: len(answer.prompt)][answer.image].sum())
    columns = column_products(answer, step, scale=scale, window=window)
    return float(columns.max()) if len(columns) else float("nan")


def column_products(answer: Answer, step: int, *, scale: float = 50.0, window: int = 10_000) -> np.ndarray:
    """[columns] logarithms of c_j, for the tokens of the answer before `step` that lie in the window, oldest first."""
    start, first = len(answer.prompt), max(0, step - window)
    lines = [_last_row(answer, row + 1) for row in range(first, step)]
    found = []
    for column in range(first, step):
        weights = np.array([line[start + column] for line in lines[column - first :]])
        found.append(np.log(1e-7) + np.log(np.maximum(weights * scale, FLOOR)).sum())
    return np.array(found)


def _last_row(answer: Answer, step: int) -> np.ndarray:
    """[T + step]: the last layer's row, the largest head of each key, brought to sum to 1."""
    row = answer.rows[step][-1].max(0).astype(np.float64)
    return row / row.sum()
