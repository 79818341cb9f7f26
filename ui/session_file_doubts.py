"""How far the words of an answer were doubted, for a session file: what they were held against, and what is known of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from analysis.signals import SignalTable
    from world.signal_reference import Reference

VERDICTS = ("", "true", "false")


@dataclass(frozen=True)
class WordDoubt:
    """One word, among words whose truth is known."""

    doubt: float | None = None
    """0 to 1; None where it has no number."""
    verdict: str = ""
    """Of `VERDICTS`; nothing where nobody knows."""
    among: Mapping[str, float] = field(default_factory=dict)
    """Title of a signal -> the share of true words that it doubts less."""


@dataclass(frozen=True)
class Doubts:
    """The words of one answer, as the page Truth showed them."""

    by: str
    """What doubts them: "Combined score", or one signal."""
    held: str
    """What they were held against; empty where there was nothing."""
    words: Mapping[int, WordDoubt]
    signals: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """Title -> number, higher is more doubtful; a session keeps them with its words."""

    def moved(self, places: Mapping[int, int]) -> Doubts:
        """The same under other numbers."""
        return Doubts(
            self.by, self.held, {places[n]: word for n, word in self.words.items() if n in places},
            {places[n]: values for n, values in self.signals.items() if n in places},
        )  # fmt: skip


def doubts_of(
    table: SignalTable,
    titles: Mapping[str, str],
    doubt: np.ndarray,
    by: str,
    reference: Reference | None,
    verdicts: Mapping[int, str],
) -> Doubts:
    """What is known of every word of an answer, by its number among words and marks.

    Args:
        table: the signals.
        titles: of the signals.
        doubt: [W] 0 to 1.
        by: what doubts.
        reference: words whose truth is known.
        verdicts: which words are right or wrong, by their number.
    """
    words, signals = {}, {}
    for row, word in enumerate(table.words):
        values = dict(zip(table.names, map(float, table.values[row]), strict=True))
        known = {name: value for name, value in values.items() if math.isfinite(value)}
        among = {} if reference is None else _among(known, reference)
        told = float(doubt[row]) if math.isfinite(doubt[row]) else None
        named = {titles[name]: share for name, share in among.items()}
        words[word.index] = WordDoubt(told, verdicts.get(word.index, ""), named)
        signals[word.index] = {titles[name]: value for name, value in known.items()}
    held_against = "" if reference is None else f"{len(reference.words)} words of {reference.model}: {reference.about}"
    return Doubts(by, held_against, words, signals)


def _among(known: Mapping[str, float], reference: Reference) -> dict[str, float]:
    shares = {name: reference.shares(name, value, False)[0] for name, value in known.items() if name in reference.names}
    return {name: share for name, share in shares.items() if math.isfinite(share)}


def doubts_header(doubts: Doubts | None) -> dict[str, Any] | None:
    """For the header; the signals stand with the words."""
    if doubts is None:
        return None
    words = [[n, each.doubt, each.verdict, dict(each.among)] for n, each in doubts.words.items()]
    return {"by": doubts.by, "held": doubts.held, "words": words}


def doubts_from(header: Mapping[str, Any] | None, count: int) -> Doubts | None:
    """From the header of an answer with so many words; files made before there were any have none."""
    if header is None:
        return None
    words = {}
    for number, doubt, verdict, among in header["words"]:
        if type(number) is not int or not 0 <= number < count or verdict not in VERDICTS:
            raise ValueError("This session file is damaged: it doubts a word that its answer does not have.")
        shares = {str(name): _share(value) for name, value in among.items()}
        words[number] = WordDoubt(None if doubt is None else _share(doubt), verdict, shares)
    return Doubts(str(header["by"]), str(header["held"]), words)


def _share(value: Any) -> float:
    number = float(value)
    if not 0 <= number <= 1:
        raise ValueError(f"This session file is damaged: {number} is no share of words.")
    return number
