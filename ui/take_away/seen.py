"""What was shown in this visit: pictures with their results, views and answers, so that they can be kept together.

Results are held as long as the visit lasts, and at most so many; views and answers only as long as the page's own caches
hold them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import streamlit as st

from ui.recording import View
from ui.session_file_parts import About

MOST = 32
"""Results of one visit; the one shown longest ago goes first."""
MOST_HELD = 4
"""Views and answers, each."""
_RESULTS, _VIEWS, _ANSWERS, _SHOWN = "seen results", "seen views", "seen answers", "seen views of answers"
_BESIDE = "seen beside answers"


@dataclass(frozen=True, eq=False)
class Seen:
    """One picture as a page showed it."""

    about: About
    result: Any
    figure: Any = None
    """The drawing, or what makes it; None where the picture draws itself."""
    sentence: str = ""
    """How faithful it is, where that was measured."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    """Key -> BibTeX, for a picture that comes out of a session file; others cite the bibliography."""
    recorded: str | None = None
    """What a session file says of the weights; None where the model itself can be asked."""

    def drawn(self) -> Any:
        """The figure."""
        return self.figure() if callable(self.figure) else self.figure


def note(key: str, seen: Seen) -> None:
    """Remember a picture; the same one again takes the place of the former."""
    held: dict[str, Seen] = st.session_state.setdefault(_RESULTS, {})
    place = f"{seen.about.link.partition('?')[0]} {key} {seen.about.model} {seen.about.picture} {seen.about.title}"
    before = held.pop(place, None)
    if before is not None and before.result is seen.result:
        seen = replace(seen, sentence=before.sentence, numbers=before.numbers)
    held[place] = seen
    while len(held) > MOST:
        del held[next(iter(held))]


def judged(result: Any, sentence: str, numbers: Mapping[str, float]) -> None:
    """What was measured about a picture that was noted."""
    held: dict[str, Seen] = st.session_state.get(_RESULTS, {})
    for place, seen in held.items():
        if seen.result is result:
            held[place] = replace(seen, sentence=sentence, numbers=dict(numbers))


def known(seen: Seen) -> Seen:
    """The same picture with what was measured about it since."""
    return next((each for each in results() if each.result is seen.result and each.about == seen.about), seen)


def results() -> tuple[Seen, ...]:
    """The pictures of this visit, the last one first."""
    return tuple(reversed(st.session_state.get(_RESULTS, {}).values()))


def note_view(view: View) -> None:
    """Remember a view; a recorded one is kept already."""
    if not view.recorded:
        _hold(_VIEWS, view)


def views() -> tuple[View, ...]:
    """The views of this visit that are still there, the last one first."""
    return tuple(_held(_VIEWS))


def note_answer(answered: Any, view: View | None = None) -> None:
    """Remember an answer, and one view that shows the rows of its words."""
    _hold(_ANSWERS, answered)
    if view is not None:
        shown = st.session_state.setdefault(_SHOWN, weakref.WeakKeyDictionary())
        shown[answered] = tuple(dict.fromkeys([*shown.get(answered, ()), view]))


def views_of(answered: Any) -> tuple[View, ...]:
    """The views in which the words of an answer were shown, the first one first."""
    return st.session_state.get(_SHOWN, {}).get(answered, ())


def note_beside(answered: Any, **facts: Callable[[], Any]) -> None:
    """Remember how what belongs to an answer is made: its link, its Python, how far its words are doubted."""
    held = st.session_state.setdefault(_BESIDE, weakref.WeakKeyDictionary())
    held[answered] = held.get(answered, {}) | facts


def beside(answered: Any, name: str) -> Any | None:
    """What belongs to an answer; None where no page has told."""
    make = st.session_state.get(_BESIDE, {}).get(answered, {}).get(name)
    return None if make is None else make()


def answers() -> tuple[Any, ...]:
    """The answers of this visit that are still there, the last one first."""
    return tuple(_held(_ANSWERS))


def about(title: str, snippet: str, link: str, cites: Iterable[str] = ()) -> About:
    """What a picture is: the page's own words, and the model and the picture that are chosen."""
    from ui import pickers, picture_picker

    return About(title, snippet, tuple(cites), below(link), pickers.model_name(), pickers.weights(), picture_picker.chosen_id())


def below(link: str) -> str:
    """The part of an address below the app."""
    parts = urlsplit(link)
    page = parts.path.rstrip("/").rpartition("/")[2]
    return page + (f"?{parts.query}" if parts.query else "")


def _hold(name: str, thing: Any) -> None:
    held: list[weakref.ref] = st.session_state.setdefault(name, [])
    held[:] = [each for each in held if each() is not None and each() is not thing][-MOST_HELD + 1 :] + [weakref.ref(thing)]


def _held(name: str) -> list[Any]:
    held: list[Callable[[], Any]] = st.session_state.get(name, [])
    return [thing for each in reversed(held) if (thing := each()) is not None]


__all__ = [
    "Seen", "about", "answers", "below", "beside", "judged", "known", "note", "note_answer", "note_beside", "note_view",
    "results", "views", "views_of",
]  # fmt: skip
