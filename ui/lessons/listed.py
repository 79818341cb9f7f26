"""The two pages of the section Lessons: the tours, and what a teacher can open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit, urlunsplit

import streamlit as st

from ui.frame_pages import SECTIONS
from ui.lessons import progress
from ui.lessons.all_tours import TOURS
from ui.lessons.teaching import MATERIAL, Shown

if TYPE_CHECKING:
    from ui.lessons.tour import Tour

_PAGES = Path(__file__).resolve().parents[2] / "pages"


def tours() -> None:
    """A card per tour, with what was passed in this visit."""
    st.markdown(
        "A tour stands at the right of every page while it runs. It tells what to look at and sets a task; you do it in the app, "
        "and the app checks what you have chosen against what the model really does. Leave the path whenever you like."
    )
    for row in (list(TOURS.values())[:3], list(TOURS.values())[3:]):
        for column, tour in zip(st.columns(3, gap="medium"), row, strict=False):
            with column, st.container(border=True):
                _card(tour)


def _card(tour: Tour) -> None:
    st.subheader(tour.title, anchor=False)
    st.markdown(tour.question)
    done = len(progress.passed(tour.name))
    st.caption(f"{len(tour.steps)} tasks · about {tour.minutes} minutes" + (f" · {done} passed" if done else ""))
    now = progress.running()
    step = now[1] if now is not None and now[0] == tour.name else 0
    label = "Go on" if step else "Start"
    if st.button(label, key=f"start-{tour.name}", icon=":material/school:", on_click=_begin, args=(tour, step)):
        first = tour.steps[step]
        st.switch_page(str(_PAGES / f"{first.page}.py"), query_params=dict(first.settings))


def _begin(tour: Tour, step: int) -> None:
    progress.go(tour.name, step)
    progress.set_up(tour.steps[step].settings)


def for_teachers() -> None:
    """Links with what they show, the tours as links, and what to know before a lesson."""
    st.markdown(
        "Each link opens the app in a given state: on your own screen, or for the class (put them on a sheet or a board). They "
        "hold everything that is chosen, so the picture is the same on every machine."
    )
    for topic in dict.fromkeys(each.topic for each in MATERIAL):
        st.subheader(topic, anchor=False)
        own = [each for each in MATERIAL if each.topic == topic]
        for number, column in enumerate(st.columns(2, gap="medium")):
            with column:
                for each in own[number::2]:
                    _material(each)
    st.subheader("Tours for the class", anchor=False)
    for tour in TOURS.values():
        address = _address(tour.steps[0].page, {**tour.steps[0].settings, "tour": tour.name, "step": "1"})
        st.markdown(f"[{tour.title}]({address}) — {tour.question} About {tour.minutes} minutes, {len(tour.steps)} tasks.")
    _before()


def _material(each: Shown) -> None:
    address = _address(each.page, each.settings)
    with st.container(border=True):
        st.markdown(f"**[{each.title}]({address})** · {each.minutes} min")
        st.markdown(each.shows)
        st.caption(f"Ask the class: {each.ask}")
        with st.popover("Link", icon=":material/link:"):
            st.code(address, language=None, wrap_lines=True)


def _before() -> None:
    st.subheader("Without a network", anchor=False)
    st.markdown(
        "- The bundled models and scenes come with the app: once it is installed, nothing is downloaded and nothing is sent.\n"
        "- One machine can serve a class: start the app there with `--server.address 0.0.0.0` and give out its address. Work is "
        "queued, and equal questions are answered once for all.\n"
        "- Own laptops are better for the longer tours: every bundled model runs on a processor alone.\n"
        "- Open one link per model before the lesson: a model is loaded and checked at its first use.\n"
        "- Progress is kept while the window is open. The link holds the place in a tour, not what was passed."
    )


def _address(page: str, settings: dict[str, str]) -> str:
    parts = urlsplit(st.context.url or "")
    folder = parts.path.rsplit("/", 1)[0]
    # Streamlit serves the first page at the root, and at no path of its own.
    first = next(iter(SECTIONS.values()))[0][0]
    path = "" if page == first else page.replace("/", "-")
    return urlunsplit((parts.scheme, parts.netloc, f"{folder}/{path}", urlencode(settings), ""))
