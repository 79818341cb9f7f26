"""An answer for a session file: its words with their numbers, and its rows of attention as a view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ui.recording import Chip, View
from ui.session_file_doubts import Doubts
from ui.session_file_parts import About, SavedAnswer, SavedWord

if TYPE_CHECKING:
    from analysis.words import Answer
    from ui.results.answering import Answered

ALTERNATIVES = 5


def answer_saved(
    about: About, question: str, answer: Answer, place: int | None, doubts: Doubts | None = None
) -> SavedAnswer:
    """The words of an answer, what stands between them, and the numbers of each.

    Args:
        about: what it is.
        question: as it was asked.
        answer: with its rows.
        place: which view of the session shows its rows; its rows are the tokens of the answer in their order.
        doubts: how far its words are doubted, by their number among words and marks.
    """
    words: list[SavedWord] = []
    places, end = {}, 0
    for word in answer.words:
        if word.start > end:
            words.append(SavedWord(answer.text[end : word.start]))
        places[word.index] = len(words)
        signals = doubts.signals.get(word.index, {}) if doubts is not None else {}
        words.append(_word(answer, word, place is not None, signals) if word.steps else SavedWord(word.text))
        end = word.end
    from analysis.words.answer import GROUPS

    moved = None if doubts is None else doubts.moved(places)
    return SavedAnswer(about, question, answer.text, tuple(words), GROUPS, place, moved)


def _word(answer: Answer, word: Any, shown: bool, signals: Mapping[str, float]) -> SavedWord:
    from analysis.words.word_confidence import word_confidence
    from analysis.words.word_shares import word_shares

    sure = word_confidence(answer, word, alternatives=min(ALTERNATIVES, answer.logits.shape[1]))
    shares = word_shares(answer, word).parts().values
    return SavedWord(
        word.text, word.steps[0] if shown else None, sure.probability, sure.log_probability, sure.alternatives,
        tuple(map(float, shares)), signals or {"Entropy of its first token (nats)": sure.entropy},
    )  # fmt: skip


def views_of(about: About, found: Answered) -> list[View]:
    """The rows of every token over each of the pictures; its words are chips that can be asked."""
    from ui.viewer.from_answer import view_of_answer

    answer, many = found.answer, len(found.pictures) > 1
    chips = tuple(Chip(word.text, row=word.steps[0]) for word in answer.words if word.steps)
    views = []
    for number, picture in enumerate(found.pictures):
        view = view_of_answer(
            answer, picture.image, size=answer.sizes[number], shown=answer.prompt.placed & (answer.prompt.image == number),
            title=f"{about.title}, picture {number + 1}" if many else about.title,
            meta={"model": found.model.name, "picture": picture.id},
        )  # fmt: skip
        views.append(replace(view, chips=chips))
    return views
