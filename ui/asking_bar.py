"""The row above every page about words: the question, how long the answer may be, and how its tokens are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from ui import controls, picture_picker

if TYPE_CHECKING:
    from model_adapters.decoding import Decoding

DECODING = {"greedy": "Greedy", "sample": "Sample", "beam": "Beam"}
GIVEN = {"pictures": "Pictures", "video": "As a video", "nothing": "No picture"}
STARTS = {True: "what is in the picture?", False: "Describe the picture."}
"""What is asked first, of bundled models and of others."""
LONGEST = 256


@dataclass(frozen=True)
class Asked:
    """What the row says."""

    text: str
    longest: int
    way: str
    """One of `DECODING`."""
    options: tuple[tuple[str, float], ...]
    """Those of the way of decoding."""
    seeing: bool
    """Whether the pictures are given along."""
    film: bool

    @property
    def decoding(self) -> Decoding:
        """As the model is told; it needs the libraries."""
        from model_adapters import decoding

        return {"greedy": decoding.Greedy, "sample": decoding.Sample, "beam": decoding.Beam}[self.way](**dict(self.options))


def draw(name: str) -> Asked:
    """Draw the row for a model."""
    start = STARTS[name.startswith("bundled:")]
    if st.session_state.get("ask") in STARTS.values():
        st.session_state["ask"] = start
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        text = controls.write("ask", "Question", default=start)
        way = controls.pick("decoding", "Decoding", tuple(DECODING), format=lambda each: DECODING[each])
        with st.popover("Options", icon=":material/tune:"):
            longest = controls.slide("longest", "Longest answer, in tokens", 1, LONGEST, 32)
            options = _options(way)
            given = controls.pick("given", "The model sees", tuple(GIVEN), format=lambda each: GIVEN[each])
            if given != "nothing":
                picture_picker.draw_more(film=given == "video")
    return Asked(text.strip(), longest, way, options, given != "nothing", given == "video")


def _options(way: str) -> tuple[tuple[str, float], ...]:
    """The controls of a way of decoding, and what they say."""
    found: dict[str, float] = {}
    if way == "sample":
        warmth = "Higher is more surprising."
        found["temperature"] = controls.slide("temperature", "Temperature", 0.1, 2.0, 1.0, step=0.1, help=warmth)
        found["top_p"] = controls.slide("top-p", "Likeliest share drawn from", 0.1, 1.0, 1.0, step=0.05)
        found["seed"] = controls.slide("seed", "Seed", 0, 99, 0)
    if way == "beam":
        found["beams"] = controls.slide("beams", "Beams", 2, 8, 4)
    return tuple(found.items())


def other_model(chosen: str, used: str) -> None:
    """Say that another model answers, and offer it for all pages."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"`{chosen}` answers no questions, so `{used}` does here.", width="content")
        st.button("Use it on every page", key="use-language-model", type="tertiary", on_click=_use, args=(used,))


def _use(name: str) -> None:
    st.session_state["model"] = name


def plain(text: str) -> str:
    """A text that Markdown leaves alone."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()#+-.!$~:<>|" else letter for letter in text)
