"""The report of this visit: pictures that were added from any page, in an order, each with a caption and notes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import Any

import streamlit as st

from ui import report_parts
from ui.report_made import bibtex, cited_in, model_hash, versions
from ui.report_parts import Report, ReportPicture
from ui.take_away.seen import Seen, known

_PICTURES, _COUNT = "report pictures", "report count"


def pictures() -> tuple[ReportPicture, ...]:
    """Those of this visit, in their order."""
    return st.session_state.get(_PICTURES, ())


def add(seen: Seen) -> ReportPicture:
    """Draw a picture for the report and put it at its end.

    Raises:
        ValueError: if the report is full.
    """
    held = pictures()
    if len(held) >= report_parts.MOST or sum(each.size for each in held) > report_parts.MOST_BYTES:
        raise ValueError(f"The report is full: it has {len(held)} pictures. Remove one on the page Report, then add this one.")
    number = st.session_state.get(_COUNT, 0) + 1
    seen = known(seen)
    about = seen.about
    if seen.recorded is None:
        about = replace(about, cites=about.cites or cited_in(about.snippet))
    weights = weights_of(about) if seen.recorded is None else seen.recorded
    sources = bibtex(about.cites) if seen.recorded is None else seen.references
    about = replace(about, cites=tuple(key for key in about.cites if key in sources))
    more = {"sentence": seen.sentence, "weights": weights, "references": sources}
    added = report_parts.picture_of(number, about, seen.drawn(), **more)
    st.session_state[_PICTURES], st.session_state[_COUNT] = (*held, added), number
    return added


def weights_of(about: Any) -> str:
    """Which weights a model has, with their hash, where it is loaded."""
    from ui import session

    model = session.loaded(about.model, about.weights) if about.model and about.weights else None
    if model is None:
        return about.weights
    return f"{model.card.weights or about.weights}, {model_hash(model)}"


def change(id: int, *, caption: str, notes: str) -> None:
    """Give a picture another caption or other notes."""
    _keep(replace(each, caption=caption, notes=notes) if each.id == id else each for each in pictures())


def remove(id: int) -> None:
    """Take a picture out."""
    _keep(each for each in pictures() if each.id != id)


def move(id: int, by: int) -> None:
    """Put a picture further up or down."""
    _keep(report_parts.moved(pictures(), id, by))


def clear() -> None:
    """Take all pictures out."""
    _keep(())


def whole(title: str, author: str) -> Report:
    """The report as it is now."""
    held = pictures()
    sources = {key: each.references[key] for each in held for key in each.about.cites}
    return Report(title or "Report", author, date.today().isoformat(), held, versions(), sources)


def _keep(found: Iterable[ReportPicture]) -> None:
    st.session_state[_PICTURES] = tuple(found)
