"""Tokens grouped into words, and words into mentions of things."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

UNSPACED = (
    "CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO ", "KHMER", "MYANMAR", "TIBETAN", "BALINESE", "JAVANESE", "IDEOGRAPHIC",
)  # fmt: skip
"""Scripts written without spaces, by how their letters are named: there the tokenizer's pieces are the words."""
JOINERS = frozenset("'’-‐.,")
"""May stand inside a word, between letters (the last two between digits only)."""

Kind = Literal["word", "mark", "mention"]


@dataclass(frozen=True)
class Word:
    """One word of an answer, at one place: a word that is said twice is two words."""

    text: str
    start: int
    """Its first character in the answer."""
    end: int
    steps: tuple[int, ...]
    """The tokens of the answer that spell it."""
    index: int
    """Which word of the answer it is, marks counted."""
    occurrence: int = 0
    """How often the same (or, of a mention, the same thing) was said before."""
    kind: Kind = "word"
    name: str = ""
    """What is mentioned, for a mention."""


class Names(dict[str, str]):
    """How things may be called (lower case, plurals too, of one or several words) -> what they then are.

    `compounds` are pairs of words that count as what they name together, or as nothing (""); names win over them. `silent`
    are names that count as nothing where one of some other words stands in the text.
    """

    def __init__(
        self,
        names: Mapping[str, str],
        compounds: Mapping[str, str] | None = None,
        silent: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        super().__init__(names)
        self.compounds, self.silent = dict(compounds or {}), dict(silent or {})


def words_of(text: str, spans: np.ndarray) -> tuple[Word, ...]:
    """The words and marks of an answer in their order.

    Letters, digits and their marks make a word, with apostrophes, hyphens and decimal points inside it. In scripts that
    are written without spaces every token begins a word of its own.
    """
    starts = {int(a) for a, b in spans if b > a}
    found: list[Word] = []
    seen: Counter[str] = Counter()
    for start, end, kind in _pieces(text, starts):
        steps = tuple(int(i) for i in np.flatnonzero((spans[:, 0] < end) & (spans[:, 1] > start)))
        said = text[start:end]
        found.append(Word(said, start, end, steps, len(found), seen[said.lower()], kind))
        seen[said.lower()] += 1
    return tuple(found)


def mentions(words: Sequence[Word], names: Mapping[str, str]) -> tuple[Word, ...]:
    """Where things are named, each time anew; the longest name wins ("hot dog" before "dog").

    Args:
        words: of one answer.
        names: how a thing may be called (lower case, plurals too, of one or several words), and what it then is; `Names`
            also say which pairs of words name something else than their parts.
    """
    forms = _forms(words, names if isinstance(names, Names) else Names(names))
    longest = max((len(form) for form in forms), default=0)
    found: list[Word] = []
    seen: Counter[str] = Counter()
    index = 0
    while index < len(words):
        length, name = next(
            (
                (n, forms[key])
                for n in range(min(longest, len(words) - index), 0, -1)
                if (key := _key(" ".join(w.text for w in words[index : index + n]))) in forms
            ),
            (1, ""),
        )
        if name:
            found.append(_merged(words[index : index + length], name, seen[name]))
            seen[name] += 1
        index += length
    return tuple(found)


def _forms(words: Sequence[Word], names: Names) -> dict[tuple[str, ...], str]:
    """What counts as which thing in this text, by the words of the form; "" is nothing."""
    said = {part for word in words for part in _key(word.text)} if names.silent else set()
    silenced = dict.fromkeys((form for form, louder in names.silent.items() if louder & said), "")
    return {_key(form): name for form, name in {**names.compounds, **names, **silenced}.items()}


def _key(form: str) -> tuple[str, ...]:
    """A name word by word, without a genitive at its end: a baby's elephant is no baby elephant."""
    return tuple(re.split(r"[\s-]+", re.sub(r"['’]s$", "", form.lower())))


def _merged(parts: Sequence[Word], name: str, occurrence: int) -> Word:
    text = " ".join(part.text for part in parts)
    steps = tuple(sorted({step for part in parts for step in part.steps}))
    return replace(parts[0], text=text, end=parts[-1].end, steps=steps, kind="mention", name=name, occurrence=occurrence)


def _pieces(text: str, starts: set[int]) -> list[tuple[int, int, Kind]]:
    found: list[tuple[int, int, Kind]] = []
    for place, letter in enumerate(text):
        if letter.isspace():
            continue
        kind: Kind = "word" if _is_letter(letter) or _joins(text, place) else "mark"
        touches = bool(found) and found[-1][1:] == (place, kind)
        if touches and (kind == "mark" or _goes_on(text, place, starts)):
            found[-1] = (found[-1][0], place + 1, kind)
        else:
            found.append((place, place + 1, kind))
    return found


def _goes_on(text: str, place: int, starts: set[int]) -> bool:
    """Whether a letter belongs to the word that ends in front of it."""
    if unicodedata.category(text[place]).startswith("M"):
        return True
    before, here = _is_unspaced(text[place - 1]), _is_unspaced(text[place])
    return before == here and not (here and place in starts)


def _is_letter(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "LNM" or letter in "_\u200c\u200d"


def _is_unspaced(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(UNSPACED)


def _joins(text: str, place: int) -> bool:
    """An apostrophe or hyphen between letters, a point or comma between digits."""
    letter = text[place]
    if letter not in JOINERS or place in (0, len(text) - 1):
        return False
    before, after = text[place - 1], text[place + 1]
    if letter in ".,":
        return before.isdigit() and after.isdigit()
    return _is_letter(before) and _is_letter(after)
