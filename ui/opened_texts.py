"""Texts that come out of a session file, and the choice of one of several things in it."""

from __future__ import annotations

from ui import controls
from ui.asking_bar import plain
from ui.session_file_parts import About


def line(about: About) -> str:
    """What something is, in one line."""
    return " · ".join(filter(None, (f"recorded · {plain(about.title)}", plain(about.model), plain(about.picture))))


def one_of(name: str, titles: list[str]) -> int:
    """Which of several; nothing to choose where there is one."""
    if len(titles) == 1:
        return 0
    places = list(range(len(titles)))
    return controls.pick(f"kept-{name}", name.capitalize(), places, format=lambda n: f"{n + 1}. {label(titles[n])}")


def label(text: str) -> str:
    """For the label of a choice, where some widgets read mark-up and others do not: without brackets none can be written."""
    return " ".join(text.translate(str.maketrans("[]<>`", "()()'")).split())


__all__ = ["label", "line", "one_of", "plain"]
