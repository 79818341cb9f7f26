"""The page Fix from top to bottom: one column for the answer as it is, and one for each fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import asking, controls, fix_columns, fix_view
from ui.fix_view import Column
from ui.results.fix import Fix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.results import TokenMap
    from model_adapters.answer_cost import AnswerCost
    from ui.asking import Question
    from ui.results.answering import Answered

Costs = dict[Fix | None, "AnswerCost | None"]


def show(question: Question, plain: Answered, names: Sequence[str], maps: str) -> tuple[list[Fix], Costs]:
    """Draw all columns; the fixes that answered, and what each costs."""
    heads, slots, lines, pictures = (
        st.columns(1 + len(names), gap="small", vertical_alignment="bottom" if row == 0 else "top") for row in range(4)
    )
    fixes: list[Fix | None] = [None]
    for cell, name in zip(heads, (None, *names), strict=True):
        with cell:
            _head(name, plain, fixes)
    columns = _columns(question, plain, fixes, lines)
    _words(question, plain, columns, lines)
    image = _image(plain)
    _maps(question, plain, columns, pictures, image, maps == "change")
    _said(question, columns, pictures)
    costs = _costs(question, plain, columns, slots)
    _logs(question, columns)
    return [column.fix for column in columns if column.fix is not None], costs


def _head(name: str | None, plain: Answered, fixes: list[Fix | None]) -> None:
    """Title and options."""
    import analysis

    if name is None:
        st.markdown("**As it is**")
        return
    left, right = st.columns([3, 1], gap=None, vertical_alignment="bottom")
    left.markdown(f"**{analysis.find(name).title}**")
    with right:
        fixes.append(fix_view.options(name, plain))


def _columns(question: Question, plain: Answered, fixes: Sequence[Fix | None], lines: Sequence[Any]) -> list[Column]:
    """Those whose answer is there; the others say why not, or that it is being made."""
    found = []
    for number, (chosen, cell) in enumerate(zip(fixes, lines, strict=True)):
        with cell:
            said = plain if chosen is None else fix_view.answer_under(question, plain, chosen)
            if isinstance(said, str):
                st.info(said, icon=":material/block:")
            elif said is not None:
                found.append(fix_view.column_of(number, chosen, said, plain))
    return found


def _words(question: Question, plain: Answered, columns: Sequence[Column], lines: Sequence[Any]) -> None:
    for column in columns:
        with lines[column.number]:
            read = fix_columns.logs(question, column)
            fix_columns.show_words(column, _word(plain, column, columns), read)


def _word(plain: Answered, column: Column, columns: Sequence[Column]) -> int | None:
    """The word that is looked at, in one column."""
    return fix_columns.chosen_in(column, asking.word(plain), columns) if plain.answer.words else None


def _image(plain: Answered) -> int:
    """Which of several pictures the maps lie on."""
    count = len(plain.pictures)
    if count < 2:
        return 0
    return int(controls.pick("fix-on", "Maps on picture", list(range(count)), format=lambda n: plain.pictures[n].title))


def _maps(
    question: Question, plain: Answered, columns: Sequence[Column], cells: Sequence[Any], image: int, change: bool
) -> None:
    if not plain.pictures:
        st.info("There is no picture in this question, so there are no maps.", icon=":material/info:")
        return
    first: tuple[TokenMap, int] | None = None
    for column in columns:
        word = _word(plain, column, columns)
        with cells[column.number]:
            own = fix_columns.show_map(question, column, word, first, image, change)
        if column.number == 0 and own is not None and word is not None:
            first = own, word


def _said(question: Question, columns: Sequence[Column], cells: Sequence[Any]) -> None:
    """What became of the answer, below the map."""
    for column in columns:
        with cells[column.number]:
            if told := fix_columns.made_up(column):
                st.markdown(told)
            st.caption(fix_columns.summary(column, columns[0], fix_columns.logs(question, column)))


def _costs(question: Question, plain: Answered, columns: Sequence[Column], slots: Sequence[Any]) -> Costs:
    costs: Costs = {}
    for column in columns:
        # Here, below the maps, what waits does not push them down.
        paid = fix_view.cost(question, plain, column.fix)
        costs[column.fix] = paid
        with slots[column.number]:
            if paid is None:
                st.caption("not timed yet")
            else:
                fix_view.show_cost(paid, costs.get(None) if column.fix is not None else None)
    return costs


def _logs(question: Question, columns: Sequence[Column]) -> None:
    """Word by word, in a fold below the maps."""
    with st.expander("How likely each word is", icon=":material/bar_chart:"):
        st.caption(
            "Filled: under the fix, in the model's own distribution, before two looks are mixed. Grey: to the model as it is, "
            "reading the same words. Orange words are not in the plain answer. Log-probabilities are at most 0."
        )
        for column, cell in zip(columns, st.columns(max(1, len(columns)), gap="small"), strict=False):
            with cell:
                st.markdown(f"**{column.title}**")
                fix_columns.show_logs(question, column, fix_columns.logs(question, column))
