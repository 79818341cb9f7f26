"""Controls that are part of the link, and controls built from a method's signature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st

from ui import link

if TYPE_CHECKING:
    from analysis import Method
    from analysis.registry import Option

T = TypeVar("T")
_FEW = 5
"""Up to so many choices stand side by side."""


def pick(
    name: str,
    label: str,
    options: Sequence[T],
    *,
    default: T | None = None,
    format: Callable[[Any], str] = str,
    help: str | None = None,
    listed: bool = False,
) -> T:
    """One of several; side by side where they are few, unless `listed`. `name` is its place in the link."""
    start = options[0] if default is None else default
    link.begin(name, start, link.one_of(options), lambda value: value in options)
    shared: dict[str, Any] = {"key": name, "format_func": format, "help": help, "persist_state": "session"}
    if len(options) <= _FEW and not listed:
        value = st.segmented_control(label, options, required=True, **shared)
    else:
        value = st.selectbox(label, options, **shared)
    link.keep(name, value, start)
    return value


def pick_many(
    name: str,
    label: str,
    options: Sequence[T],
    *,
    default: Sequence[T] = (),
    most: int | None = None,
    format: Callable[[Any], str] = str,
) -> list[T]:
    """Several of several."""
    start = list(default)
    link.begin(name, start, link.several_of(options, most), lambda value: set(value) <= set(options))
    value = st.multiselect(label, options, key=name, max_selections=most, format_func=format, persist_state="session")
    link.keep(name, value, start)
    return value


def slide(
    name: str,
    label: str,
    low: float,
    high: float,
    default: float,
    *,
    step: float | None = None,
    format: str | None = None,
    help: str | None = None,
) -> Any:
    """A number between two ends; whole where all of them are."""
    whole = isinstance(default, int)
    link.begin(name, default, link.number(low, high, whole), lambda value: low <= value <= high)
    value = st.slider(label, low, high, step=step, key=name, format=format, help=help, persist_state="session")
    link.keep(name, value, default)
    return value


def flag(name: str, label: str, *, default: bool = False, help: str | None = None) -> bool:
    """On or off."""
    link.begin(name, default, link.one_of((True, False)))
    value = st.toggle(label, key=name, help=help, persist_state="session")
    link.keep(name, value, default)
    return value


def write(name: str, label: str, *, default: str = "", long: bool = False, help: str | None = None) -> str:
    """A text."""
    link.begin(name, default, str)
    draw = st.text_area if long else st.text_input
    value = draw(label, key=name, help=help, persist_state="session") or ""
    link.keep(name, value, default)
    return value


def for_method(method: Method, *, prefix: str = "", without: Sequence[str] = ()) -> dict[str, Any]:
    """Controls for the options of a method, and what they say: ready to be passed on as keywords.

    Args:
        method: as registered.
        prefix: sets apart the controls of two methods on one page, in the link too.
        without: options that the page sets itself.
    """
    return {o.name: _control(o, f"{prefix}{method.name}-{o.name}") for o in method.options if o.name not in without}


def _control(option: Option, name: str) -> Any:
    label = option.name.replace("_", " ").capitalize()
    if option.kind == "choice":
        return pick(name, label, option.choices, default=option.default)
    if option.kind == "flag":
        return flag(name, label, default=option.default)
    if option.kind == "text":
        return write(name, label, default=option.default)
    whole = option.kind == "integer"
    if option.range is None:
        return _number(name, label, option.default, whole)
    low, high = option.range.low, option.range.high
    if whole:
        return slide(name, label, int(low), int(high), int(option.default), step=1)
    return slide(name, label, float(low), float(high), float(option.default), step=option.range.step)


def _number(name: str, label: str, default: Any, whole: bool) -> Any:
    link.begin(name, default, link.number(None, None, whole))
    value = st.number_input(label, step=1 if whole else None, key=name, persist_state="session")
    link.keep(name, value, default)
    return value
