"""Which tour runs, at which step, and what was passed: kept for the visit, and the place in the link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import streamlit as st

from ui import state

_TOUR, _STEP, _PASSED = "tour that runs", "tour step", "tour passed"
_CHOSEN = tuple(field.name for field in fields(state.Chosen))


def running() -> tuple[str, int] | None:
    """Name and step (from 0) of the tour that runs; None where none does."""
    if _TOUR not in st.session_state:
        step = st.query_params.get("step", "1")
        st.session_state[_TOUR] = st.query_params.get("tour", "")
        st.session_state[_STEP] = int(step) - 1 if step.isascii() and step.isdigit() and len(step) < 3 else 0
    name = st.session_state[_TOUR]
    if not name:
        return None  # without a tour nothing is loaded for it: the first picture of a visit does not wait
    from ui.lessons.all_tours import TOURS

    return (name, min(max(st.session_state[_STEP], 0), len(TOURS[name].steps) - 1)) if name in TOURS else None


def write_link() -> None:
    """Put the place into the address."""
    now = running()
    wanted = {} if now is None else {"tour": now[0], "step": str(now[1] + 1)}
    for name in ("tour", "step"):
        if name in wanted and st.query_params.get(name) != wanted[name]:
            st.query_params[name] = wanted[name]
        elif name not in wanted and name in st.query_params:
            del st.query_params[name]


def go(name: str, step: int = 0) -> None:
    """Go to a step of a tour; an empty name ends the tour."""
    st.session_state[_TOUR], st.session_state[_STEP] = name, step


def passed(name: str) -> set[int]:
    """The steps of a tour that were passed in this visit."""
    return st.session_state.setdefault(_PASSED, {}).setdefault(name, set())


def set_up(settings: Mapping[str, str]) -> None:
    """Choose what a step begins with; called before the sidebar is drawn."""
    found = {name: value for name, value in settings.items() if name in _CHOSEN}
    if found:
        state.choose(**{name: getattr(state.Chosen.from_query(found), name) for name in found})
    for name, value in settings.items():
        if name not in _CHOSEN:
            st.session_state[name] = value
