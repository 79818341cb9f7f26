"""Which words of an answer are to be doubted: their signals, what they mean beside words whose truth is known, and the truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

import model_adapters as ma
from analysis.evaluation.names import names_of
from analysis.registry import METHODS
from analysis.signals import CombinedScore, SignalTable
from analysis.words import Answer, Word, mentions
from world.questions import existence_text
from world.signal_evidence import PASSES, evidence_of
from world.signal_reference import Reference
from world.vocabulary import CATEGORIES, COLOURS

if TYPE_CHECKING:
    from ui.pictures import Picture
    from ui.results.answering import Answered

COMBINED = "combined"
"""The way to doubt that puts all signals together."""
BEST_ALONE = "undecided"
"""Where nothing was fitted, this signal begins: of those that cost no further pass it told most in the small world."""

Truth = Literal["true", "false"]


@dataclass(frozen=True, eq=False)
class Signals:
    """All signals of the words of one answer."""

    table: SignalTable
    """Of every word (no marks)."""
    seconds: float
    """How long it took."""

    @property
    def names(self) -> tuple[str, ...]:
        """Those that could be measured."""
        return self.table.names

    def row(self, index: int) -> int | None:
        """The row of a word of the answer; None for marks."""
        return next((n for n, word in enumerate(self.table.words) if word.index == index), None)


@dataclass(frozen=True)
class Known:
    """What is known to be on a picture, and how it may be called."""

    there: frozenset[str]
    names: Mapping[str, str]
    """How things may be called -> the thing."""
    source: str
    """Who says so."""
    yes: frozenset[str] = frozenset()
    """Questions whose right answer is yes; of others of `asked` it is no."""
    asked: frozenset[str] = frozenset()


def titles() -> dict[str, str]:
    """What signals are called."""
    return {method.name: method.title for method in METHODS.values() if method.kind == "signal"}


def signals_of(answered: Answered, check: Callable[[], None] = lambda: None, *, film: bool = False) -> Signals:
    """Read the answer again in every way that the signals ask for.

    Args:
        answered: the answer.
        check: called between looks; may raise to stop.
        film: the pictures are the frames of one video.
    """
    start = time.perf_counter()
    arrays = [picture.array for picture in answered.pictures]
    gathered = evidence_of(answered.model, arrays, answered.text, answered.generation, film=film, check=check)
    return Signals(gathered.table(), time.perf_counter() - start)


def seconds_for(answered: Answered) -> float:
    """About how long the signals take: so many passes over prompt and answer."""
    longer = ma.continued(answered.model, answered.inputs, answered.answer.ids.tolist())
    took = []
    for _ in range(2):  # the first is slow
        start = time.perf_counter()
        ma.run(answered.model, longer)
        took.append(time.perf_counter() - start)
    return PASSES * min(took)


def known_of(picture: Picture, labelled: Mapping[str, Known] | None = None) -> Known | None:
    """What is on a drawn scene or on an annotated picture; None where nobody says.

    Args:
        picture: the picture.
        labelled: pictures of a folder with annotations, by their key.
    """
    if labelled and picture.key in labelled:
        return labelled[picture.key]
    scene = picture.scene
    if scene is None:
        return None
    there = {item.category for item in scene.objects} | {f"{item.colour} {item.category}" for item in scene.objects}
    things = [*CATEGORIES, *(f"{colour} {name}" for colour in COLOURS for name in CATEGORIES)]
    spelt = {thing: [existence_text(thing, n) for n in range(5)] for thing in things}
    return Known(
        frozenset(scene.categories), names_of(CATEGORIES), "the small world",
        frozenset(text for thing in there for text in spelt[thing]), frozenset(text for each in spelt.values() for text in each),
    )  # fmt: skip


def truth_of(answer: Answer, question: str, known: Known | None) -> dict[int, Truth]:
    """Which words are right or wrong, by their number: those that name things, and yes or no to whether a thing is there."""
    if known is None:
        return {}
    found: dict[int, Truth] = {}
    for mention in answer.mentions(known.names):
        verdict: Truth = "true" if mention.name in known.there else "false"
        found |= {word.index: verdict for word in answer.words if word.kind == "word" and set(word.steps) & set(mention.steps)}
    asked = " ".join(question.lower().split())
    if asked in known.asked and answer.words and answer.words[0].text.lower() in ("yes", "no"):
        said_yes = answer.words[0].text.lower() == "yes"
        found[0] = "true" if said_yes == (asked in known.yes) else "false"
    return found


def things_in(answer: Answer, known: Known | None) -> tuple[Word, ...]:
    """Where the answer names things; as long as nobody says how things are called, those of the small world."""
    return answer.mentions(names_of(CATEGORIES) if known is None else known.names)


def word_numbers(words: Sequence[Word], known: Known | None) -> frozenset[int]:
    """The numbers of those words of an answer that name things."""
    found = mentions(words, names_of(CATEGORIES) if known is None else known.names)
    steps = {step for mention in found for step in mention.steps}
    return frozenset(word.index for word in words if word.kind == "word" and steps & set(word.steps))


def usable(score: CombinedScore | None, names: Sequence[str]) -> bool:
    """Whether all signals of a score were measured."""
    return score is not None and set(score.names) <= set(names)


def doubts(found: Signals, by: str, score: CombinedScore | None, reference: Reference | None) -> np.ndarray:
    """[W] 0 to 1: how much each word is to be doubted.

    By the combined score it is the probability that the word is made up. By one signal it is the share of the true words of
    the reference that look better, and without a reference the place between the least and the most doubted word.
    """
    if by == COMBINED:
        if score is None or not usable(score, found.names):
            raise ValueError("The combined score needs signals that were not measured here. A single signal works.")
        return score(found.table.values[:, [found.names.index(name) for name in score.names]])
    column = found.table.column(by)
    if reference is not None and by in reference.names:
        return np.array([reference.shares(by, value, False)[0] for value in column])
    known = column[np.isfinite(column)]
    span = np.ptp(known) if len(known) else 0.0
    return (column - known.min()) / span if span > 0 else np.zeros(len(column))


@dataclass(frozen=True, eq=False)
class Places:
    """The signals of one word among those of true words and of words made up."""

    word: str
    names: tuple[str, ...]
    values: np.ndarray
    """[S]."""
    reference: Reference

    @property
    def among_true(self) -> list[tuple[float, float]]:
        """[S]: the shares of the true words that each signal doubts less, and more."""
        return [self.reference.shares(name, value, False) for name, value in zip(self.names, self.values, strict=True)]

    @property
    def among_made_up(self) -> list[tuple[float, float]]:
        """[S]: the same of the words made up."""
        return [self.reference.shares(name, value, True) for name, value in zip(self.names, self.values, strict=True)]


def places(found: Signals, index: int, reference: Reference) -> Places | None:
    """Where a word stands; those signals first that tell most. None for a mark."""
    row = found.row(index)
    if row is None:
        return None
    names = [name for name in reference.names if name in found.names and np.isfinite(found.table.column(name)[row])]
    names.sort(key=lambda name: -np.nan_to_num(reference.separation[name][0], nan=0.0))
    values = np.array([found.table.column(name)[row] for name in names])
    return Places(found.table.words[row].text, tuple(names), values, reference)
