"""All signals of the words of an answer that the evidence at hand allows, and why the others are missing."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from analysis.registry import METHODS, Method, find
from analysis.words.answer import Answer
from analysis.words.logit_lens import Lens
from analysis.words.words import Word


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of one answer; the fields are the arguments that signals ask for by name."""

    answer: Answer
    blind: np.ndarray | None = None
    """[A, V] scores of the same tokens without the image."""
    noised: np.ndarray | None = None
    """[A, V] scores before a noised image."""
    views: np.ndarray | None = None
    """[views, A, V] scores before views of the image."""
    lens: Lens | None = None
    """The decoder's lens; the answer must then hold hidden states."""
    blind_answer: Answer | None = None
    """The same answer read again without the image, with head outputs."""
    encoder: np.ndarray | None = None
    """[T] how much the vision tower attends to what each token of the prompt shows; NaN where it shows nothing."""


@dataclass(frozen=True, eq=False)
class SignalTable:
    """Signals of words; each is higher the more a word is to be doubted."""

    names: tuple[str, ...]
    """[S] registered names."""
    values: np.ndarray
    """[W, S]; NaN where a signal says nothing of a word."""
    words: tuple[Word, ...]
    refused: dict[str, str]
    """Signals that are missing, and why."""

    def column(self, name: str) -> np.ndarray:
        """[W]: one signal."""
        if name not in self.names:
            raise ValueError(f"the signal {name!r} is missing: {self.refused.get(name, 'it was not asked for')}.")
        return self.values[:, self.names.index(name)]

    def of_answer(self) -> dict[str, tuple[float, float]]:
        """Per signal its mean and its largest value over the words; NaN for an answer without any."""
        return {name: _mean_and_largest(self.values[:, i]) for i, name in enumerate(self.names)}


def signals(evidence: Evidence, words: Sequence[Word] | None = None, names: Iterable[str] | None = None) -> SignalTable:
    """Every signal of every word.

    Args:
        evidence: what is known of the answer.
        words: which words, such as the mentions of things; all words (no marks) by default.
        names: which signals; all registered ones by default.
    """
    answer = evidence.answer
    chosen = tuple(w for w in answer.words if w.kind == "word") if words is None else tuple(words)
    made, columns, refused = [], [], {}
    for entry in _wanted(names):
        given = {field.name: getattr(evidence, field.name) for field in fields(evidence)}
        asked = [name for name in inspect.signature(entry.function).parameters if name in given]
        missing = [name for name in asked if given[name] is None]
        if missing:
            refused[entry.name] = f"it needs `{missing[0]}`, which the evidence does not hold"
            continue
        try:
            column = [entry.function(**{name: given[name] for name in asked}, word=word) for word in chosen]
        except ValueError as error:
            refused[entry.name] = str(error)
            continue
        made.append(entry.name)
        columns.append(column)
    values = np.array(columns, float).T if columns else np.zeros((len(chosen), 0))
    return SignalTable(tuple(made), values.reshape(len(chosen), len(made)), chosen, refused)


def _wanted(names: Iterable[str] | None) -> list[Method]:
    if names is None:
        return [entry for entry in METHODS.values() if entry.kind == "signal"]
    found = [find(name) for name in names]
    other = [entry.name for entry in found if entry.kind != "signal"]
    if other:
        raise ValueError(f"{other} are no signals. There are {[e.name for e in METHODS.values() if e.kind == 'signal']}.")
    return found


def _mean_and_largest(column: np.ndarray) -> tuple[float, float]:
    there = column[np.isfinite(column)]
    return (float(there.mean()), float(there.max())) if len(there) else (float("nan"), float("nan"))
