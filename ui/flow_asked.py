"""What the page Flow asks for: each result made once in the background, the costly ones after saying what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import controls, link, session, set_jobs
from ui.jobs import Progress

if TYPE_CHECKING:
    from analysis.words import Word
    from analysis.words.exit_curve import ExitCurve
    from ui.asking import Question
    from ui.results.answering import Answered
    from ui.results.flow import Bands, Reading, Spoken

DEPTH = "depth"
"""The layer that is looked at, in the link."""
WHO = {"word": "the chosen word", "question": "the question", "answer": "the answer"}


@dataclass(frozen=True, eq=False)
class Asked:
    """One answer, read again: what all parts of the page are about."""

    question: Question
    answered: Answered
    word: Word
    reading: Reading

    @property
    def key(self) -> tuple:
        """Names it in the keys of jobs."""
        return (self.question,)


def reading(question: Question, answered: Answered) -> Reading:
    """Prompt and answer in one pass; the page stops until it is there."""

    def make(progress: Progress) -> Reading:
        from ui.results import flow

        return flow.reading(answered, progress)

    key = ("flow", question)
    return session.get(key, make, label="Reading the answer again, all rows", estimate="one pass, means over heads")


def who() -> Any:
    """Whose attention the bands show."""
    return controls.pick("asks", "Who asks", tuple(WHO), format=lambda each: WHO[each])


def bands(asked: Asked, reader: Any) -> Bands:
    """Shares of attention, layer by layer."""
    from ui.results import flow

    return flow.bands(asked.reading, reader, asked.word)


def exits(asked: Asked) -> ExitCurve | None:
    """The exit curve: begun at once where it is short."""

    def make(progress: Progress) -> ExitCurve:
        from ui.results import flow

        return flow.exits(asked.answered, asked.reading, progress)

    passes = len(asked.reading.layers) + 1
    return set_jobs.begin(
        ("exit curve", *asked.key), make, label="Hiding the image from each layer on", what=f"{passes} passes",
        seconds=passes * asked.reading.seconds, button="Hide the image",
    )  # fmt: skip


def spoken(asked: Asked) -> Spoken | None:
    """What each layer would say; the rest of the page does not wait for it."""

    def make(progress: Progress) -> Spoken:
        from ui.results import flow

        return flow.spoken(asked.answered, asked.reading)

    return session.part(("flow lens", *asked.key), make, label="Reading every layer as words", estimate="one pass")


def depth(said: Spoken) -> int:
    """The layer that is looked at, or the middle one."""
    layers = said.reading.layers
    start = layers[len(layers) // 2]
    link.begin(DEPTH, start, link.number(layers[0], layers[-1], True), lambda value: value in layers)
    link.keep(DEPTH, st.session_state[DEPTH], start)
    return int(st.session_state[DEPTH])


def look_at(layer: int) -> None:
    """Choose a layer; from a callback."""
    st.session_state[DEPTH] = layer
