"""The typical pictures of the page Passport: scenes on which the head is most itself, and what it looks at there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import head_choice, overlays, page, pictures, session
from ui.jobs import Progress

if TYPE_CHECKING:
    from PIL import Image

    from analysis.results import TokenMap
    from ui.passport_parts import Papers
    from ui.results.passport import Typical


def typical(known: Papers) -> None:
    """Five drawn scenes on which the head is most itself, and what it looks at there."""
    from ui.results import passport

    found = passport.typical(known.portraits, known.site, known.head) if known.portraits is not None else None
    if found is None:
        return
    asked, site, head = known.asked, known.site, known.head
    st.markdown("**Typical pictures**")

    def make(progress: Progress) -> list[Any]:
        drawn = []
        for number, id in enumerate(found.ids):
            progress.step(number / len(found.ids))
            map = passport.received(asked.model, id, asked.text, site, head)
            drawn.append((map, overlays.overlay(pictures.picture(id).array, map)))
        return drawn

    key = ("typical", *asked.names, asked.text, site, head, found.ids)
    drawn = session.part(key, make, label="Looking at its typical pictures")
    if drawn is None:
        return
    maps, images = zip(*drawn, strict=True)
    names = [f"{pictures.title(id)}: {value:.2f}" for id, value in zip(found.ids, found.values, strict=True)]
    for column, name, image in zip(st.columns(len(images)), names, images, strict=True):
        with column:
            st.image(image, caption=name, width="stretch")
    st.caption(f"{found.reason} Colour: the weight that each patch receives from the other patches, from none to the most.")
    _away(known, found, maps, images, names)


def _away(
    known: Papers, found: Typical, maps: tuple[TokenMap, ...], images: tuple[Image.Image, ...], names: list[str]
) -> None:
    from ui.figures.head_pages import beside
    from ui.passport_snippets import typical as python_of
    from ui.take_away.tables import stacked, table

    each = zip(found.ids, found.values, maps, strict=True)
    parts = [({"picture": id, "chosen by": value}, table(map)) for id, value, map in each]
    title = f"Typical pictures of {head_choice.title(known.asked.model, known.asked.tower)}"
    page.take_away(stacked(parts), lambda: beside(images, names), key="away-typical", title=title, snippet=python_of(known))


__all__ = ["typical"]
