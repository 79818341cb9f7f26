"""Work over a set of scenes: begun at once where it is short, by a button where it is long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ui import session
from ui.jobs import Progress

SHORT = 30
"""Seconds that nobody is asked about."""


def begin(key: tuple, function: Callable[[Progress], Any], *, label: str, what: str, seconds: float, button: str) -> Any | None:
    """The result of a long job; None until it is there.

    Args:
        key: names the result.
        function: what makes it.
        label: what is being done.
        what: what it takes, in words, such as "24 scenes".
        seconds: about how long.
        button: what starts it where it is long.
    """
    told = f"{what}, about {span(seconds)}"
    if seconds <= SHORT:
        return session.part(key, function, label=label, estimate=told, lane="long")
    return session.asked(key, function, label=label, estimate=told, button=button, lane="long")


def span(seconds: float) -> str:
    """A duration for people."""
    if seconds < 1:
        return "a second"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
