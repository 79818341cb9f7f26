"""Heads that meet conditions: the line of conditions, the heads as cards, and the way on to the page that takes heads out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from ui import link, sentences, state
from ui.patterns_asked import Asked
from ui.patterns_pictures import pattern_image
from ui.results import patterns, patterns_query

if TYPE_CHECKING:
    from analysis.head_query import FoundHead, HeadTable
    from analysis.patterns import AlignedMaps

_PAGES = Path(__file__).resolve().parents[1] / "pages"
CARDS = 12
_WIDTH = 164
"""Pixels of a card."""
_UNITS = {"on object": " × its area", "distance": " px", "importance": " nats"}


def query(table: HeadTable) -> tuple[FoundHead, ...]:
    """The line of conditions, and the heads that meet them all."""
    offered = patterns_query.suggestions(table.names)
    first = "on object: top 10 %" if "on object: top 10 %" in offered else "distance: bottom 10 %"
    link.begin("find", [first], lambda text: [part for part in text.split(",") if part])
    texts = st.multiselect(
        "Conditions", list(dict.fromkeys([*offered, *st.session_state["find"]])), key="find", accept_new_options=True,
        label_visibility="collapsed", placeholder="local, importance: top 10 %, on object > 1.5 …", persist_state="session",
    )  # fmt: skip
    link.keep("find", texts, [first])
    st.caption(f"All of them must be met. Write your own: a type, a bound, a share. Numbers: {', '.join(table.names)}.")
    try:
        return patterns_query.found(table, texts) if texts else ()
    except ValueError as error:
        st.warning(str(error), icon=":material/help:")
        return ()


def cards(asked: Asked, maps: AlignedMaps, heads: tuple[FoundHead, ...]) -> None:
    """Found heads with their evidence; a click chooses one."""
    by_place = dict(zip(patterns.places_of(maps.heads, asked.sites), maps.values, strict=True))
    own = patterns.places_of([(head.site, head.head) for head in heads], asked.sites)
    with st.container(horizontal=True, gap="small"):
        for place, head in list(zip(own, heads, strict=True))[:CARDS]:
            with st.container(border=True, width=_WIDTH):
                _card(place, head, by_place.get(place))
    if len(heads) > CARDS:
        st.caption(f"And {len(heads) - CARDS} more; “Send to Prune” takes all of them.")


def _card(place: patterns.Place, head: FoundHead, pattern: np.ndarray | None) -> None:
    if pattern is not None:
        st.image(pattern_image(pattern, 120), width=96)
    evidence = [f"{name} {value:.2f}{_UNITS.get(name, '')}" for name, value in head.evidence] or [
        f"confidence {sentences.share(head.confidence)}"
    ]
    st.markdown("  \n".join([f"**{head.type}**", *evidence]))
    st.button(
        str(place).capitalize(), key=f"card-{place.row}-{place.head}", width="stretch",
        on_click=state.choose, kwargs={"layer": place.row, "head": place.head},
    )  # fmt: skip


def send(heads: list[patterns.Place], key: str, note: str) -> None:
    """A set of heads, and the way on to the page that takes them out."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(note)
        if st.button("Send to Prune", key=key, icon=":material/content_cut:", disabled=not heads):
            state.choose(heads=tuple((place.row, place.head) for place in heads))
            st.switch_page(_PAGES / "change" / "prune.py")
