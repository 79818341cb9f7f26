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


@dataclass(frozen=True)
class Paid:
    """What an answer costs, and what the plain one costs, measured one right after the other."""

    own: AnswerCost
    plain: AnswerCost


def cost(question: Question, plain: Answered, chosen: Fix | None) -> Paid | None:
    """Passes and seconds of an answer; None while they are measured."""
    from model_adapters.answer_cost import answer_costs

    def measure(progress: Progress) -> Paid:
        ways: list[Any] = [{"decoding": question.decoding}, *([chosen.keywords(question.decoding)] if chosen else [])]
        found = answer_costs(plain.model, plain.inputs, ways, max_new_tokens=question.longest)
        return Paid(found[-1], found[0])

    # One at a time: two that are measured together slow each other down.
    return session.part(
        ("fix-cost", question, chosen), measure, label=f"Timing: {chosen.title if chosen else 'as it is'}",
        estimate="Answers again a few times, keeping nothing.", lane="long",
    )  # fmt: skip


def show_cost(found: Paid) -> None:
    """Passes and measured time of one more token, and what came before the first."""
    paid, plain = found.own, found.plain
    if paid.token_passes != paid.token_passes:
        st.markdown(f"**{_time(paid.first_seconds)}** for one token · {_passes(paid.first_passes)}")
        return
    times = f" ({paid.token_seconds / plain.token_seconds:.1f} ×)" if plain is not paid and plain.token_seconds > 0 else ""
    st.markdown(
        f"**{_time(paid.token_seconds)}** / token{times} · {_passes(paid.token_passes)}",
        help=f"Measured here on this prompt, from the shortest of several runs. {_passes(paid.token_passes)} of the model per "
        f"token; the first token is there after {_passes(paid.first_passes)} and {_time(paid.first_seconds)}.",
    )


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
