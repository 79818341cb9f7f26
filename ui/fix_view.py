"""The parts of the page Fix: which fixes, a column for each answer with its cost, and the maps of one word under them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import controls, session
from ui.results import fix, fix_snippet
from ui.results.fix import Aligned, Fix

if TYPE_CHECKING:
    from analysis import Method
    from model_adapters.answer_cost import AnswerCost
    from ui.asking import Question
    from ui.jobs import Progress
    from ui.results.answering import Answered

FIRST = ("visual_contrastive_decoding", "vision_heads_reinforced", "random_heads_silenced")
MOST = 4
HEIGHT = 310
MAPS = {"word": "Its map", "change": "Change of its map"}


@dataclass(frozen=True, eq=False)
class Column:
    """One answer on the page."""

    number: int
    """0 is the model as it is."""
    fix: Fix | None
    answered: Answered
    words: Aligned

    @property
    def title(self) -> str:
        """Above the column."""
        return "As it is" if self.fix is None else self.fix.title


def pick() -> tuple[list[str], str]:
    """Which fixes stand side by side, and what the maps under them show."""
    import analysis

    titles = {method.name: method.title for method in analysis.methods("fix")}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = controls.pick_many("fixes", "Fixes", list(titles), default=FIRST, most=MOST, format=lambda m: titles[m])
        shown = controls.pick("fix-maps", "The word's attention", list(MAPS), format=lambda m: MAPS[m])
    return chosen, shown


def options(name: str, answered: Answered) -> Fix:
    """The controls of one fix, and what they say."""
    import analysis

    depth = 1 + max((site.layer for site in answered.answer.sites), default=0)
    method = fix.fitted(analysis.find(name), depth=depth, tokens=int((answered.asked.rows.roles == "image").sum()))
    with st.popover("", icon=":material/tune:", help="Options", key=f"options-{name}"):
        st.caption(method.summary)
        given = option_controls(method, "fix-")
    return Fix(name, tuple(given.items()))


def option_controls(method: Method, prefix: str) -> dict[str, Any]:
    """The controls of a method; what a model leaves no choice of has none."""
    fixed = {o.name: o.default for o in method.options if o.range is not None and o.range.low == o.range.high}
    return controls.for_method(method, prefix=prefix, without=tuple(fixed)) | fixed


def answer_under(question: Question, plain: Answered, chosen: Fix) -> Answered | str | None:
    """The answer under a fix; a sentence where the model lacks what it needs; None while it is made."""
    from model_adapters import AdapterError
    from ui.results.answering import answered

    def make(progress: Progress) -> Answered | str:
        try:
            keywords = chosen.keywords(question.decoding)
            return answered(
                plain.model, plain.pictures, plain.text, longest=question.longest, decoding=keywords["decoding"],
                edits=keywords["edits"], film=question.film, progress=progress,
            )  # fmt: skip
        except (AdapterError, ValueError) as error:
            return str(error)

    return session.part(("fixed", question, chosen), make, label=chosen.title)


def cost(question: Question, plain: Answered, chosen: Fix | None) -> AnswerCost | None:
    """Passes and seconds of an answer; None while they are measured."""
    from model_adapters.answer_cost import answer_cost

    def measure(progress: Progress) -> AnswerCost:
        way: Any = {"decoding": question.decoding} if chosen is None else chosen.keywords(question.decoding)
        return answer_cost(plain.model, plain.inputs, max_new_tokens=question.longest, **way)

    # One at a time: two that are measured together slow each other down.
    return session.part(
        ("fix-cost", question, chosen), measure, label=f"Timing: {chosen.title if chosen else 'as it is'}",
        estimate="Answers again a few times, keeping nothing.", lane="long",
    )  # fmt: skip


def show_cost(found: AnswerCost, plain: AnswerCost | None) -> None:
    """Passes and measured time of one more token, and what came before the first.

    Args:
        found: of the answer.
        plain: of the answer as it is, whose time is shown beside it; None where that is this answer, or is not known.
    """
    if found.token_passes != found.token_passes:
        st.markdown(f"**{_time(found.first_seconds)}** for one token · {_passes(found.first_passes)}")
        return
    st.markdown(
        f"**{_time(found.token_seconds)}** / token{_times(found, plain)} · {_passes(found.token_passes)}",
        help=f"Measured here on this prompt, from the shortest of several runs; the factor compares it with the time of the "
        f"answer as it is. {_passes(found.token_passes)} of the model per token; the first token is there after "
        f"{_passes(found.first_passes)} and {_time(found.first_seconds)}.",
    )


def _times(found: AnswerCost, plain: AnswerCost | None) -> str:
    """How many times the plain answer's time, of the times as they are shown."""
    if plain is None or not plain.token_seconds > 0:
        return ""
    own, other = (float(f"{1000 * each.token_seconds:.1f}") for each in (found, plain))
    return f" ({own / other:.1f} ×)" if other else ""


def _passes(count: float) -> str:
    return f"{count:.3g} pass{'' if count == 1 else 'es'}"


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def column_of(number: int, chosen: Fix | None, answered: Answered, plain: Answered) -> Column:
    """An answer with what became of the plain one's words."""
    said = fix.texts(answered.answer)
    return Column(number, chosen, answered, fix.aligned(fix.texts(plain.answer), said))


def asking_of(question: Question) -> fix_snippet.Asking:
    """The question as snippets need it."""
    return fix_snippet.Asking(
        question.model, question.weights, question.pictures, question.text, question.longest, question.decoding, question.film
    )
