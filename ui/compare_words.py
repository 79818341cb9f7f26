"""Both answers on the page Compare, and a word that stands in the same place of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ui import controls, session
from ui.jobs import Progress
from ui.results import compare

if TYPE_CHECKING:
    from ui.compare_asked import Wish
    from ui.results.answering import Answered


def part(asked: Wish, number: int) -> Answered | None:
    """What one side answers; None while it is being said."""
    side = asked.sides[number]

    def answer(progress: Progress) -> Answered:
        return compare.answer_of_run(side.model, side.picture, side.text, side.edits, progress)

    return session.part(("compared speech", side.run), answer, label=f"Answering: {asked.titles[number]}")


def chosen(first: Answered, second: Answered) -> tuple[int, int] | None:
    """The number of the chosen word in both answers; None, with the reason, where one has nothing in its place."""
    pairs = compare.word_pairs(first, second)
    if not pairs:
        st.info("The two answers share no place, so no word stands in the same one.", icon=":material/block:")
        return None
    words = first.answer.words

    def told(number: int) -> str:
        left, right = words[number].text, second.answer.words[pairs[number]].text
        return left if left == right else f"{left} → {right}"

    with st.container(width=300):
        number = controls.pick(
            "compared-word", "Word, left → right", list(pairs), default=compare.first_pair(first, pairs), format=told
        )
    return number, pairs[number]
