"""Controls that are part of the link, and controls built from a method's signature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st

if TYPE_CHECKING:
    from analysis import Method
    from analysis.registry import Option

T = TypeVar("T")
_FEW = 4
"""Up to so many choices stand side by side."""


def pick(
    name: str,
    label: str,
    options: Sequence[T],
    *,
    default: T | None = None,
    format: Callable[[Any], str] = str,
    help: str | None = None,
) -> T:
    """One of several; side by side where they are few. `name` is its place in the link."""
    start = options[0] if default is None else default
    if len(options) <= _FEW:
        return st.segmented_control(
            label, options, default=start, key=name, bind="query-params", required=True, format_func=format, help=help
        )
    return st.selectbox(
        label, options, index=list(options).index(start), key=name, bind="query-params", format_func=format, help=help
    )


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
    return st.multiselect(label, options, list(default), key=name, bind="query-params", max_selections=most, format_func=format)


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
    return st.slider(label, low, high, default, step, key=name, bind="query-params", format=format, help=help)


def flag(name: str, label: str, *, default: bool = False, help: str | None = None) -> bool:
    """On or off."""
    return st.toggle(label, default, key=name, bind="query-params", help=help)


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
        return st.text_input(label, option.default, key=name, bind="query-params")
    whole = option.kind == "integer"
    if option.range is None:
        return st.number_input(label, value=option.default, step=1 if whole else None, key=name, bind="query-params")
    low, high = option.range.low, option.range.high
    if whole:
        return slide(name, label, int(low), int(high), int(option.default), step=1)
    return slide(name, label, float(low), float(high), float(option.default), step=option.range.step)
