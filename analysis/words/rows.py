"""The rows of attention that speak for a word, put together as asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from analysis.words.answer import Answer
from analysis.words.words import Word
from model_adapters import Site

Tokens = Literal["first", "mean", "last"]
"""Which tokens of a word speak for it: the first decides what word it will be, the others mostly spell it out."""
Fuse = Literal["mean", "max"]
Heads = Sequence[tuple[Site, int]]


def steps_of(word: Word, tokens: Tokens) -> tuple[int, ...]:
    """The steps whose rows speak for a word."""
    if not word.steps:
        raise ValueError(f"no token of the answer spells {word.text!r}.")
    return {"first": word.steps[:1], "last": word.steps[-1:], "mean": word.steps}[tokens]


def word_rows(answer: Answer, word: Word | int | str, tokens: Tokens = "first") -> list[np.ndarray]:
    """[L] arrays [H, T] float64: what a word's rows give to the tokens of the prompt."""
    steps = steps_of(answer.word(word), tokens)
    length = len(answer.prompt)
    return [
        np.stack([answer.rows[step][layer][:, :length] for step in steps]).mean(0, dtype=np.float64)
        for layer in range(len(answer.sites))
    ]


def chosen_heads(
    answer: Answer, layer: int | None = None, head: int | None = None, among: Heads | None = None
) -> list[tuple[int, int]]:
    """(place of the layer, head) of the heads meant: all, of one layer, one number in every layer, or a list of them."""
    counts = [rows.shape[0] for rows in answer.rows[0]] if answer.rows else []
    if among is not None:
        places = {site: i for i, site in enumerate(answer.sites)}
        unknown = [site.name for site, _ in among if site not in places]
        if unknown or not len(among):
            raise ValueError(f"heads of this answer's decoder are needed. Got {unknown[:3] or 'none'}.")
        return [(places[site], int(number)) for site, number in among]
    numbers = [site.layer for site in answer.sites]
    if layer is not None and layer not in numbers:
        raise ValueError(f"layer {layer} was asked for, but rows of the decoder layers {numbers} were kept.")
    found = [
        (place, number)
        for place, count in enumerate(counts)
        for number in range(count)
        if layer in (None, numbers[place]) and head in (None, number)
    ]
    if not found:
        raise ValueError(f"head {head} was asked for, but the layers have {sorted(set(counts))} heads.")
    return found


def put_together(values: Sequence[np.ndarray], heads: Sequence[tuple[int, int]], fuse: Fuse) -> np.ndarray:
    """[T]: chosen rows of [L] arrays [H, T] as one."""
    rows = np.stack([values[layer][head] for layer, head in heads])
    return rows.mean(0) if fuse == "mean" else rows.max(0)
