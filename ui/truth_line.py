"""The answer as a line of words: plain, or with doubt as a line below each word that grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ui import asking, truth_sentences
from ui.words_line import words_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ui.results.answering import Answered
    from ui.results.truth import Known, Signals, Truth
    from ui.truth_asked import Judge


def plain(answered: Answered, chosen: int, key: str) -> None:
    """Words with the ribbons of their attention."""
    words_line(asking.chips(answered), key=key, chosen=chosen, on_choose=asking.choose_word)


def doubted(
    answered: Answered, found: Signals, judged: Judge, known: Known | None, verdicts: Mapping[int, Truth], chosen: int
) -> None:  # fmt: skip
    """Words underlined by doubt; right and wrong are marked where they are known."""
    numbers = _underlined(found, judged, known)
    told = judged.doubts(found)
    doubts, tooltips = {}, {}
    for row, word in enumerate(found.table.words):
        if word.index in numbers and np.isfinite(told[row]):
            doubts[word.index] = float(np.clip(told[row], 0, 1))
            tooltips[word.index] = truth_sentences.underline(float(told[row]), judged.by, judged.reference is not None)
    marks = {number: str(verdict) for number, verdict in verdicts.items()}
    words_line(
        asking.chips(answered, doubts=doubts, marks=marks, tooltips=tooltips), key="truth-words", chosen=chosen,
        on_choose=asking.choose_word,
    )  # fmt: skip


def _underlined(found: Signals, judged: Judge, known: Known | None) -> frozenset[int]:
    """The numbers of the words whose doubt is shown."""
    from ui.results.truth import word_numbers

    if judged.wide:
        return frozenset(word.index for word in found.table.words)
    return word_numbers(found.table.words, known)
