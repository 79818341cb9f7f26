"""An answer as a line of words: each can be clicked, underlined by doubt, marked, and has a ribbon of whom it listened to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from ui.colours import category

MARKS = ("", "true", "false", "changed")
FOLDER = Path(__file__).parent
GROUPS = 4
SCRIPT = FOLDER / "words.js"
"""The line itself, which the viewer draws as well."""
_ELEMENTS = FOLDER.parent / "viewer" / "elements.js"


def _module() -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in (_ELEMENTS, SCRIPT, FOLDER / "entry.js"))


def style() -> str:
    """The look of the line; groups have the colours that they have in figures."""
    groups = "".join(f".group-{n} {{ background: {category(n)}; }}\n" for n in range(GROUPS))
    return (FOLDER / "words.css").read_text(encoding="utf-8") + groups


_component = st.components.v2.component("headlight_words_line", css=style(), js=_module())


@dataclass(frozen=True)
class WordChip:
    """One word of the line."""

    text: str
    doubt: float = 0.0
    """0 to 1: how strong its underline is."""
    mark: str = ""
    """One of `MARKS`: right, wrong, or not what was said before."""
    shares: tuple[float, ...] = ()
    """Of its attention: system, image, question, answer; empty for no ribbon."""
    tooltip: str = ""
    gap: bool = True
    """Whether a space stands before it."""

    def __post_init__(self) -> None:
        if self.mark not in MARKS:
            raise ValueError(f"mark must be one of {MARKS}. Got {self.mark!r} instead.")


def words_line(
    chips: Sequence[WordChip], *, key: str, chosen: int | None = None, on_choose: Callable[[int], None] | None = None
) -> int | None:
    """Draw the line; the word that was clicked since the last run, if one was.

    Args:
        chips: the words in their order.
        key: of the line on its page.
        chosen: the word that is outlined.
        on_choose: called with the number of the clicked word, before the page runs again.
    """

    def clicked() -> None:
        number = _number(st.session_state.get(key), len(chips))
        if on_choose is not None and number is not None:
            on_choose(number)

    state = _component(key=key, data=sent(chips, chosen), on_word_change=clicked)
    return _number(state, len(chips))


def sent(chips: Sequence[WordChip], chosen: int | None) -> list[dict[str, Any]]:
    """What the browser is told. In a list Streamlit does not look for data frames: it would import pandas for that."""
    return [{"chips": [asdict(chip) for chip in chips], "chosen": chosen}]


def _number(state: Any, count: int) -> int | None:
    found = None if state is None else state.get("word")
    return int(found) if found is not None and 0 <= int(found) < count else None


__all__ = ["MARKS", "WordChip", "words_line"]
