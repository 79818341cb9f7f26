"""Outcomes of steps for the page What if, each made once in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui import session
from ui.jobs import Progress

if TYPE_CHECKING:
    from ui.asking import Question
    from ui.results.answering import Answered
    from ui.results.whatif import Outcome
    from ui.results.whatif_steps import Step


def outcome(question: Question, answered: Answered, steps: tuple[Step, ...]) -> Outcome | None:
    """What comes of the steps; while it is being made the page shows so, and goes on."""
    from ui.results.whatif import what_if

    def make(progress: Progress) -> Outcome:
        return what_if(answered, steps, question.longest, progress)

    label = "Asking again" if steps else "Reading the answer again"
    return session.part(_key(question, steps), make, label=label, estimate="One answer, and one pass over the answer as it was.")


def known(question: Question, steps: tuple[Step, ...]) -> Outcome | None:
    """The outcome where it is there already."""
    job = session.jobs().find(_key(question, steps))
    if job is None or not job.future.done() or job.future.exception() is not None:
        return None
    return job.future.result()


def _key(question: Question, steps: tuple[Step, ...]) -> tuple:
    return ("what if", question, steps)
