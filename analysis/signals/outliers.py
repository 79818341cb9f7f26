"""A signal of made-up words between encoder and decoder: do both stare at the same few tokens?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from analysis.registry import Range, method
from analysis.words.answer import Answer
from analysis.words.encoder_decoder import overlaps_of
from analysis.words.words import Word


@method(
    title="Outliers shared by encoder and decoder",
    kind="signal",
    cites=("gong2024",),
    needs={"generation", "text", "weights", "grid"},
    range="0 to 1; the chance level is the number of tokens looked at, divided by all",
    misleads="A large thing that fills the most attended tokens raises it without any error.",
)
def shared_outliers(
    answer: Answer, encoder: np.ndarray, word: Word | int | str = 0, *, top: Annotated[int, Range(1, 1000)] = 10
) -> float:
    """The share of the vision tower's most attended tokens that are a word's most attended ones too, mean over layers.

    After DAMRO, which saw more overlap of outliers where models make things up; 10 tokens, as for LLaVA there.

    Args:
        answer: the answer.
        encoder: [T] from `encoder_attention`.
        word: which word; its first token is read.
        top: how many tokens.
    """
    return float(overlaps_of(answer, encoder, word, top).mean())
