"""Fixes as data, the answers under them, and what changed: word by word, in log-probability, and on the picture."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import analysis
import model_adapters as ma
from analysis.evaluation.names import names_of
from analysis.registry import Option, Range
from analysis.results import TokenMap
from analysis.words.answer import Answer, log_softmax
from analysis.words.word_maps import word_map
from model_adapters.decoding import Contrast, Decoding, Greedy, Sample

if TYPE_CHECKING:
    from analysis.fixes import FixOptions
    from analysis.registry import Method

PLAIN = "plain"


@dataclass(frozen=True)
class Fix:
    """One registered fix with its options: hashable, so that it can name a result."""

    method: str
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def title(self) -> str:
        """As registered."""
        return analysis.find(self.method).title

    @property
    def words(self) -> str:
        """Its options for people: "alpha 1.0, beta 0.1"."""
        return ", ".join(f"{name.replace('_', ' ')} {said(value)}" for name, value in self.options)

    def keywords(self, decoding: Decoding) -> FixOptions:
        """Keywords for `generate`.

        Args:
            decoding: how tokens are chosen otherwise. A fix that compares two looks follows it too, where it can; one that
                is a way of decoding itself takes its place.
        """
        found = analysis.find(self.method).function(**dict(self.options))
        own = found.get("decoding", decoding)
        if isinstance(own, Contrast) and isinstance(decoding, Greedy | Sample):
            own = replace(own, then=decoding)
        return {"edits": found.get("edits", ()), "decoding": own}


def said(value: Any) -> str:
    """An option as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def fitted(method: Method, *, depth: int, tokens: int) -> Method:
    """The method with ranges that make sense for one model: no more layers or image tokens than there are."""
    ends = {"first_layer": (0, depth), "last": (1, depth), "count": (1, max(tokens, 1))}

    def fit(option: Option) -> Option:
        if option.name not in ends:
            return option
        low, high = ends[option.name]
        return replace(option, range=Range(low, high), default=min(max(option.default, low), high))

    return replace(method, options=tuple(fit(option) for option in method.options))


@dataclass(frozen=True, eq=False)
class Aligned:
    """Which words of an answer stand where those of the plain answer stand."""

    partner: tuple[int | None, ...]
    """For each word the plain one in its place; None for one that was put in."""
    same: tuple[bool, ...]
    """For each word whether the plain answer says it too, there or elsewhere."""

    def of_plain(self, word: int) -> int | None:
        """The word in the place of a plain one; None where it is gone."""
        return self.partner.index(word) if word in self.partner else None


def aligned(plain: Sequence[str], other: Sequence[str]) -> Aligned:
    """The longest common runs of words are the same.

    Of the words between them, those that only moved find each other; the rest takes each other's place in order.
    """
    one, two = [word.lower() for word in plain], [word.lower() for word in other]
    partner: dict[int, int] = {}
    gaps = []
    for kind, a, a_end, b, b_end in difflib.SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        if kind == "equal":
            partner |= zip(range(b, b_end), range(a, a_end), strict=True)
        else:
            gaps.append((range(a, a_end), range(b, b_end)))
    left = [a for gap, _ in gaps for a in gap]
    for b in (b for _, gap in gaps for b in gap):
        moved = next((a for a in left if one[a] == two[b]), None)
        if moved is not None:
            partner[b] = moved
            left.remove(moved)
    same = set(partner)
    for gone, put in gaps:
        partner |= zip([b for b in put if b not in same], [a for a in gone if a in left], strict=False)
    return Aligned(tuple(partner.get(b) for b in range(len(two))), tuple(b in same for b in range(len(two))))


def texts(answer: Answer) -> list[str]:
    """The words and marks of an answer."""
    return [word.text for word in answer.words]


@dataclass(frozen=True, eq=False)
class WordLogs:
    """How likely each word of an answer is, to the model under a fix and to the model as it is, reading the same answer."""

    words: tuple[str, ...]
    own: np.ndarray
    """[W] log-probability under the fix, in the model's own distribution: before two looks are mixed."""
    plain: np.ndarray
    """[W] log-probability of the same words, to the model without the fix."""
    same: np.ndarray
    """[W] bool: said by the plain answer too."""
    fix: str = ""


def word_logs(model: ma.Model, inputs: ma.Inputs, answer: Answer, same: Sequence[bool], fix: str = "") -> WordLogs:
    """Log-probabilities word by word; one pass without the fix over prompt and answer."""
    own, plain = answer.log_probabilities, plain_reading(model, inputs, answer.ids)

    def by_word(each: np.ndarray) -> np.ndarray:
        return np.array([each[list(word.steps)].sum() for word in answer.words], float)

    return WordLogs(tuple(texts(answer)), by_word(own), by_word(plain), np.array(same, bool), fix)


def plain_reading(model: ma.Model, inputs: ma.Inputs, ids: np.ndarray) -> np.ndarray:
    """[A] the log-probability of each token of an answer to the model as it is."""
    if not len(ids):
        return np.zeros(0)
    scores = ma.reread(model, inputs, [int(i) for i in ids], keep=ma.Keep(sites="none")).logits
    deciding = log_softmax(scores[-len(ids) - 1 : -1])
    return deciding[np.arange(len(ids)), ids]


def map_of_word(answer: Answer, word: int, image: int = 0) -> TokenMap:
    """Where on one picture the attention lay when a word was decided."""
    return word_map(answer, answer.words[word], image=image)


def change_of_map(plain: TokenMap, other: TokenMap) -> TokenMap:
    """What a fix adds to a map and takes from it."""
    if plain.values.shape != other.values.shape:
        raise ValueError(
            f"maps of one prompt can be compared. Got {plain.values.shape[0]} and {other.values.shape[0]} image tokens."
        )
    return TokenMap(other.values - plain.values, plain.rows, plain.size, True, "change of attention")


def named(answer: Answer, categories: Sequence[str]) -> list[str]:
    """The things that an answer names, each once, in its order."""
    return list(dict.fromkeys(word.name for word in answer.mentions(names_of(categories))))
