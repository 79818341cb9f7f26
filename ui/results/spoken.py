"""The answer that a model begins, word by word, for what is about one word of it: which heads a word depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ui.jobs import Progress

if TYPE_CHECKING:
    from analysis.words import Word
    from model_adapters import Subject

LONGEST = 32
"""Tokens of the answer at most."""


@dataclass(frozen=True)
class Spoken:
    """What a model answers, greedily."""

    words: tuple[Word, ...] = ()
    """Words and marks in their order."""
    ids: tuple[int, ...] = ()
    """[A] the tokens."""
    probabilities: tuple[float, ...] = ()
    """[A] of each token."""
    reason: str = ""
    """Why there are no words to choose from."""

    def before(self, word: int) -> tuple[int, ...]:
        """The tokens in front of a word."""
        return self.ids[: self.words[word].steps[0]]

    def token(self, word: int) -> int:
        """The first token of a word: what was chosen there."""
        return self.ids[self.words[word].steps[0]]

    def title(self, word: int) -> str:
        """Which word it is, and how likely it was."""
        from ui.sentences import probability

        return f"{word + 1} · {self.words[word].text} ({probability(self.probabilities[self.words[word].steps[0]])})"


def spoken(subject: Subject, progress: Progress) -> Spoken:
    """Let a model answer; one that cannot go on behind its prompt says why."""
    import model_adapters as ma
    from analysis.words.spelling import spelled
    from analysis.words.words import words_of
    from model_adapters import AdapterError
    from model_adapters.site import NOTHING

    model = subject.model

    def told(ids: list[int]) -> None:
        progress.step(len(ids) / LONGEST)

    try:
        found = ma.generate(model, subject.inputs, max_new_tokens=LONGEST, keep=NOTHING, on_token=told)
        ids = tuple(token.id for token in found.tokens)
        subject.after(ids[:1])
        text, spans = spelled(ids, ma.spelling(model))
    except (AdapterError, ValueError) as error:
        return Spoken(reason=str(error))
    words = tuple(word for word in words_of(text, spans) if word.steps)
    return Spoken(words, ids, tuple(token.probability for token in found.tokens))
