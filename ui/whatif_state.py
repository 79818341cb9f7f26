"""The steps that were taken on the page What if: kept for the visit, undone and taken again, and in the link where short."""

from __future__ import annotations

import streamlit as st

from ui import link
from ui.asking import Question
from ui.results.whatif_steps import History, Step, as_text, steps_of

_KEY, _OWNER, NAME = "what-if", "what-if-owner", "steps"
LONGEST = 1500
"""Letters of steps that a link carries."""


def history(question: Question) -> History:
    """The steps for this model and these pictures; others begin anew. The first time they come from the link."""
    owner = (question.model, question.weights, question.keys)
    if _KEY not in st.session_state:
        st.session_state[_KEY] = _from_link()
    elif st.session_state.get(_OWNER) != owner:
        st.session_state[_KEY] = History()
    st.session_state[_OWNER] = owner
    found = st.session_state[_KEY]
    text = as_text(found.now)
    link.keep(NAME, text if len(text) <= LONGEST else "", "")
    return found


def in_link(found: History) -> bool:
    """Whether the link carries the steps that count now."""
    return len(as_text(found.now)) <= LONGEST


def take(step: Step) -> None:
    """One step more."""
    st.session_state[_KEY] = st.session_state[_KEY].take(step)


def back(to: int) -> None:
    """Go to where so many steps count."""
    st.session_state[_KEY] = st.session_state[_KEY].back(to)


def start_over() -> None:
    """Forget all steps."""
    st.session_state[_KEY] = History()


def _from_link() -> History:
    try:
        steps = steps_of(st.query_params.get(NAME, ""))
    except ValueError as error:
        st.warning(f"The steps of the link could not be read, so none are taken: {error}", icon=":material/link_off:")
        steps = ()
    return History(steps, len(steps))
