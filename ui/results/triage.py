"""The words of many answers, most doubtful first, each with what it takes to look at it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

import model_adapters as ma
from analysis.signals import CombinedScore, SignalTable, combined_score
from analysis.words import Word
from ui.jobs import Progress
from ui.results import truth
from ui.results.answering import answered
from ui.results.triage_sources import Source, Sources
from ui.results.truth import Signals
from world.signal_reference import Reference, auroc

if TYPE_CHECKING:
    from model_adapters.decoding import Decoding
    from ui.results.answering import Answered

UNKNOWN, RIGHT, WRONG = -1, 0, 1
TRUTHS = {UNKNOWN: "unknown", RIGHT: "right", WRONG: "wrong"}


@dataclass(frozen=True, eq=False)
class Told:
    """One answer of a triage."""

    source: Source
    text: str


@dataclass(frozen=True, eq=False)
class Triage:
    """The words of many answers with their signals."""

    model: str
    about: str
    told: tuple[Told, ...]
    answer: np.ndarray
    """[W] which of `told` each word is of."""
    thing: np.ndarray
    """[W] bool: whether it names a thing."""
    first: np.ndarray
    """[W] bool: whether it names a thing that its answer has not named before."""
    truth: np.ndarray
    """[W] of UNKNOWN, RIGHT, WRONG."""
    signals: Signals
    """Of all words, answer by answer."""
    notes: tuple[str, ...] = ()
    """What was left out."""

    @property
    def words(self) -> tuple[Word, ...]:
        """[W]."""
        return self.signals.table.words

    def doubt(self, by: str, score: CombinedScore | None, reference: Reference | None) -> np.ndarray:
        """[W] 0 to 1."""
        return truth.doubts(self.signals, by, score, reference)

    def chosen(self, doubt: np.ndarray, least: float, things: bool, wrong: bool) -> np.ndarray:
        """Rows that pass the filters, most doubtful first; words without a number come last.

        Args:
            doubt: [W].
            least: doubts below this are left out.
            things: only words that name things.
            wrong: only words that are known to be wrong.
        """
        passed = np.nan_to_num(doubt, nan=0.0) >= least
        passed &= self.thing if things else True
        passed &= (self.truth == WRONG) if wrong else True
        rows = np.flatnonzero(passed)
        return rows[np.argsort(-np.nan_to_num(doubt[rows], nan=-1.0), kind="stable")]

    def table(self, rows: np.ndarray, doubt: np.ndarray) -> TriageTable:
        """Some rows as plain columns."""
        told = [self.told[n] for n in self.answer[rows]]
        return TriageTable(
            np.array([each.source.id for each in told], str), np.array([each.text for each in told], str),
            np.array([self.words[row].text for row in rows], str), self.thing[rows],
            np.array([TRUTHS[value] for value in self.truth[rows]], str), doubt[rows], self.signals.names,
            self.signals.table.values[rows],
        )  # fmt: skip

    def caught(self, doubt: np.ndarray, least: float) -> Caught:
        """How many labelled words, right and wrong, are doubted at least so much."""
        rows = np.flatnonzero(self.labelled & np.isfinite(doubt))
        wrong, above = self.truth[rows] == WRONG, doubt[rows] >= least
        counts = (int(wrong.sum()), int((wrong & above).sum()), int((~wrong).sum()), int((~wrong & above).sum()))
        return Caught(*counts, auroc(wrong, doubt[rows]))

    @property
    def labelled(self) -> np.ndarray:
        """[W] bool: first mentions of things whose truth is known."""
        return self.first & (self.truth != UNKNOWN)

    def reference(self) -> Reference:
        """What one word can be held against: the labelled words; refused where right or wrong ones are missing."""
        rows = np.flatnonzero(self.labelled)
        made_up = self.truth[rows] == WRONG
        if not made_up.any() or made_up.all():
            raise ValueError(
                f"Words whose truth is known are needed of both kinds. Among {len(rows)} first mentions of things "
                f"{int(made_up.sum())} are made up. More pictures work, or annotations of things that the answers name."
            )
        values = self.signals.table.values[rows]
        words = tuple(self.words[row].text for row in rows)
        return Reference(self.model, self.signals.names, values, made_up, self.answer[rows], words, self.about)


@dataclass(frozen=True, eq=False)
class TriageTable:
    """Rows of a triage as plain columns."""

    picture: np.ndarray
    answer: np.ndarray
    word: np.ndarray
    thing: np.ndarray
    truth: np.ndarray
    """"right", "wrong" or "unknown"."""
    doubt: np.ndarray
    names: tuple[str, ...]
    values: np.ndarray
    """[rows, S]."""


@dataclass(frozen=True)
class Caught:
    """What a threshold does to words whose truth is known."""

    wrong: int
    wrong_above: int
    right: int
    right_above: int
    auroc: float


@dataclass(frozen=True, eq=False)
class _Word:
    """One word of one answer, while a triage runs."""

    answer: int
    word: Word
    thing: bool
    first: bool
    truth: int
    signals: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Gathered:
    """What a triage has gathered so far: a stopped one shows it, and goes on from there."""

    pictures: int = 0
    """How many were asked about."""
    told: tuple[Told, ...] = ()
    found: tuple[_Word, ...] = ()
    notes: tuple[str, ...] = ()

    def triage(self, model: str, about: str) -> Triage | None:
        """The words so far; None where none was said."""
        return _whole(model, about, self.told, self.found, self.notes) if self.found else None


def triage(
    model: ma.Model,
    sources: Sources,
    text: str,
    *,
    longest: int,
    decoding: Decoding,
    progress: Progress,
    begun: Gathered | None = None,
) -> Triage:
    """Ask the same of every picture, and measure every signal of every word.

    Args:
        model: an LVLM.
        sources: the pictures.
        text: what is asked.
        longest: tokens of an answer.
        decoding: how tokens are chosen.
        progress: told how far it is, and given what is gathered after every picture.
        begun: what an earlier run over the same pictures gathered before it was stopped.
    """
    so_far, count = begun or Gathered(notes=sources.notes), len(sources.each)
    first = so_far.pictures
    for number in range(first, count):
        source = sources.each[number]
        progress.step((number - first) / (count - first), f"{source.title}, {number + 1} of {count}")
        so_far = _asked(model, source, text, longest, decoding, progress, so_far)
        progress.kept = so_far
    whole = so_far.triage(model.name, sources.about)
    if whole is None:
        raise ValueError(f"None of the {count} answers holds a word. {' '.join(so_far.notes[:3])}".strip())
    return whole


def _asked(
    model: ma.Model, source: Source, text: str, longest: int, decoding: Decoding, progress: Progress, so_far: Gathered
) -> Gathered:
    """What was gathered, with one picture more."""
    told, found, notes = so_far.told, so_far.found, so_far.notes
    try:
        made = answered(model, (source.picture(),), text, longest=longest, decoding=decoding)
    except ValueError as error:
        return replace(so_far, pictures=so_far.pictures + 1, notes=(*notes, f"{source.title} was left out: {error}"))
    if made.answer.words:
        measured = truth.signals_of(made, progress.check)
        if not found:
            notes += tuple(f"{truth.titles()[name]}: {why}" for name, why in measured.table.refused.items())
        found += tuple(_words(len(told), source, made, measured))
    return Gathered(so_far.pictures + 1, (*told, Told(source, made.answer.text)), found, notes)


def _words(number: int, source: Source, made: Answered, measured: Signals) -> list[_Word]:
    verdicts = truth.truth_of(made.answer, made.text, source.known)
    mentions = truth.things_in(made.answer, source.known)
    things = truth.word_numbers(made.answer.words, source.known)
    new = {mention.steps[0] for mention in mentions if mention.occurrence == 0}
    table, found = measured.table, []
    for row, word in enumerate(table.words):
        known = {"true": RIGHT, "false": WRONG}.get(verdicts.get(word.index, ""), UNKNOWN)
        values = dict(zip(table.names, table.values[row].tolist(), strict=True))
        found.append(_Word(number, word, word.index in things, word.steps[0] in new, known, values))
    return found


def _whole(name: str, about: str, told: Sequence[Told], found: Sequence[_Word], notes: Sequence[str]) -> Triage:
    names = tuple(dict.fromkeys(signal for each in found for signal in each.signals))
    values = np.array([[each.signals.get(signal, np.nan) for signal in names] for each in found])
    table = SignalTable(names, values, tuple(each.word for each in found), {})
    return Triage(
        name, about, tuple(told), np.array([e.answer for e in found]), np.array([e.thing for e in found], bool),
        np.array([e.first for e in found], bool), np.array([e.truth for e in found]), Signals(table, 0.0), tuple(notes),
    )  # fmt: skip


def fitted(found: Reference) -> CombinedScore:
    """A combined score of labelled words, measured on pictures that were left out."""
    return combined_score(found.values, found.made_up, found.answers, found.names, model=found.model)
