"""A question to a language model that sees: one for all pages about words, with its answer and the chosen word of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import streamlit as st

from ui import asking_bar, page, pickers, picture_picker, session, state
from ui.jobs import Job, Progress
from ui.take_away import seen
from ui.words_line import WordChip

if TYPE_CHECKING:
    from model_adapters import Model
    from model_adapters.decoding import Decoding
    from ui.results.answering import Answered

START = "bundled:lvlm"
_BUNDLED = ("bundled:lvlm", "bundled:lvlm-tuned")
_BEFORE = "asked before"
_POLL = 0.2
"""Seconds between two looks at an answer that is being written."""


@dataclass(frozen=True)
class Question:
    """Everything that an answer depends on; it may stand in the key of a job."""

    model: str
    weights: str
    pictures: tuple[str, ...]
    """Ids of pictures, in the order in which they are given."""
    keys: tuple[str, ...]
    """What names their pixels."""
    text: str
    longest: int
    """Tokens of the answer at most."""
    decoding: Decoding
    film: bool = False
    """The pictures are the frames of one video."""


def language_model() -> tuple[str, str]:
    """Name and weights of the chosen model where it answers questions, else of the bundled one that does."""
    name, weights = pickers.model_name(), pickers.weights()
    if name in _BUNDLED or (not name.startswith("bundled:") and session.model(name, weights).kind == "lvlm"):
        return name, weights
    return START, "pretrained"


def bar() -> Question:
    """Question, length and decoding in one row, the same on every page about words."""
    name, weights = language_model()
    if name != pickers.model_name():
        asking_bar.other_model(pickers.model_name(), name)
    asked = asking_bar.draw(name)
    session.model(name, weights)  # the libraries come with it, and how tokens are chosen is theirs to say
    chosen = picture_picker.several() if asked.seeing else ()
    ids, keys = tuple(picture.id for picture in chosen), tuple(picture.key for picture in chosen)
    return Question(name, weights, ids, keys, asked.text, asked.longest, asked.decoding, asked.film)


def answered(question: Question) -> Answered:
    """The answer. While it is being written the page shows what is there of it, and goes no further."""
    model = session.model(question.model, question.weights)
    if _before() not in (None, question):
        state.choose(word=-1)
    st.session_state[_BEFORE] = question
    key = ("answer", question)

    def make(progress: Progress) -> Answered:
        return _answered(model, question, pictures, progress)

    pictures = picture_picker.of(question.pictures)
    job = session.jobs().start(key, make, label="Answering", lane=session.lane_of_runs())
    try:
        job.future.exception(timeout=session.PATIENCE)
    except TimeoutError:
        _being_written(job)
        st.stop()
    found = session.get(key, make, label="Answering")
    _note(question, found)
    return found


def _note(question: Question, found: Answered) -> None:
    """Remember the answer for sessions, with its address and its Python."""
    address = page.address()

    def snippet() -> str:
        from ui.ask_snippet import script

        return script(question, [], ["shown = answer.text"])

    seen.note_answer(found)
    seen.note_beside(found, link=lambda: address, snippet=snippet)


def word(answered: Answered) -> int:
    """The chosen word of the answer; before one is chosen, the first thing that is named."""
    number, words = state.chosen().word, answered.answer.words
    return number if 0 <= number < len(words) else _first(answered)


def choose_word(number: int) -> None:
    """Choose a word for all pages."""
    state.choose(word=number)


def chips(
    answered: Answered,
    *,
    doubts: Mapping[int, float] | None = None,
    marks: Mapping[int, str] | None = None,
    tooltips: Mapping[int, str] | None = None,
) -> list[WordChip]:
    """The words of an answer for `words_line`, with their ribbons.

    Args:
        answered: the answer.
        doubts: by number of the word, 0 to 1.
        marks: by number of the word, one of `ui.words_line.MARKS`.
        tooltips: by number of the word.
    """
    from ui.results.answering import shares_of, starts_with_space

    doubts, marks, tooltips = doubts or {}, marks or {}, tooltips or {}
    return [
        WordChip(
            each.text, doubts.get(each.index, 0.0), marks.get(each.index, ""), shares_of(answered.answer, each.index),
            tooltips.get(each.index, ""), starts_with_space(answered.answer, each.index),
        )
        for each in answered.answer.words
    ]  # fmt: skip


def _before() -> Question | None:
    return st.session_state.get(_BEFORE)


def _answered(model: Model, question: Question, pictures: Sequence, progress: Progress) -> Answered:
    from ui.results import answering

    return answering.answered(
        model, pictures, question.text, longest=question.longest, decoding=question.decoding, film=question.film,
        progress=progress,
    )  # fmt: skip


@lru_cache(maxsize=8)
def _first(answered: Answered) -> int:
    from ui.results.answering import first_word
    from world.vocabulary import CATEGORIES, plural

    names = [form for name in CATEGORIES for form in (name, plural(name))]
    return first_word(answered, names if answered.model.name in _BUNDLED else ())


def _done(job: Job) -> bool:
    try:
        job.future.exception(timeout=session.PATIENCE)
    except TimeoutError:
        return False
    return True


@st.fragment(run_every=_POLL)
def _being_written(job: Job) -> None:
    """The answer so far, how far it is, and what stops it."""
    if job.future.done():
        st.rerun()
    with st.container(border=True):
        if job.waiting:
            st.markdown(":gray[waiting until other work is done]")
        else:
            st.markdown(asking_bar.plain(job.progress.note or "getting ready") + " ▌")
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button("Stop", key=f"stop-{hash(job.key)}", icon=":material/stop:"):
                session.jobs().cancel(job.key)
                st.rerun()
            st.progress(job.progress.done)
