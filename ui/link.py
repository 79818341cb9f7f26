"""Widgets whose values stand in the link: read from it at the first visit, written to it ever after.

Streamlit's own binding writes the label that people see; a link that holds names survives a change of words and of language.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st


def begin(name: str, start: Any, read: Callable[[str], Any | None], allowed: Callable[[Any], bool] = lambda value: True) -> None:
    """Give a widget its value before it is drawn: the one it has, what the link says, or where it starts.

    Args:
        name: key of the widget and name in the link.
        start: its value where nothing else is said.
        read: text of the link to a value; None for what makes no sense.
        allowed: whether a value can be shown now.
    """
    if name not in st.session_state:
        given = st.query_params.get(name)
        found = None if given is None else read(given)
        st.session_state[name] = start if found is None else found
    if not allowed(st.session_state[name]):
        st.session_state[name] = start


def keep(name: str, value: Any, start: Any) -> None:
    """Write a value into the link; where a widget starts is left out."""
    text = as_text(value)
    if value is None or text == as_text(start):
        if name in st.query_params:
            del st.query_params[name]
    elif st.query_params.get(name) != text:
        st.query_params[name] = text


def as_text(value: Any) -> str:
    """A value for the link."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def one_of(options: Sequence[Any]) -> Callable[[str], Any | None]:
    """Reads one of these."""
    return lambda text: next((option for option in options if as_text(option) == text), None)


def several_of(options: Sequence[Any], most: int | None = None) -> Callable[[str], list[Any] | None]:
    """Reads some of these; words that are none of them are left out."""
    read = one_of(options)
    return lambda text: [o for part in text.split(",") if (o := read(part)) is not None][:most]


def number(low: float | None, high: float | None, whole: bool) -> Callable[[str], Any | None]:
    """Reads a number within two ends."""

    def read(text: str) -> Any | None:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            return None
        inside = (low is None or value >= low) and (high is None or value <= high)
        return value if inside else None

    return read
