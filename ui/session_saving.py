"""Save what is open: the pictures, views and answers of this visit as one session file."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from ui import pictures, session
from ui.jobs import Progress
from ui.session_file import session_bytes
from ui.session_file_made import Chosen, session_of, titles
from ui.session_file_parts import About
from ui.take_away import seen
from ui.take_away.seen import Seen

NOTHING = (
    "Nothing to save yet: look at a picture on any page, and it can be kept here with its numbers, so that it opens again "
    "on a machine without the model."
)


def panel() -> None:
    """What can be kept, and the file."""
    results, views, answers = seen.results(), seen.views(), seen.answers()
    if not (results or views or answers):
        st.caption(NOTHING)
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.popover(f"{len(results) + len(views) + len(answers)} things", icon=":material/checklist:"):
            title = st.text_input("Title of the session", "My session", key="session-title", max_chars=120)
            kept_views = _ticked("Views of all heads", views, [view.title for view in views], "views")
            said = [f"{each.text} → {each.answer.text.strip()}" for each in answers]
            kept_answers = _ticked("Answers", answers, said, "answers")
            kept = _ticked("Pictures and their numbers", results, titles(results), "results")
        _file(title, kept, kept_views, kept_answers)


def _ticked(label: str, things: tuple, names: list[str], key: str) -> list[Any]:
    if not things:
        return []
    places = list(range(len(things)))
    chosen = st.multiselect(label, places, default=places, format_func=lambda n: names[n], key=f"keep-{key}-{len(things)}")
    return [things[place] for place in chosen]


def _file(title: str, results: list[Seen], views: list[Any], answers: list[Any]) -> None:
    if not (results or views or answers):
        st.caption("Nothing is ticked.")
        return
    told = [_told(each) for each in answers]
    link = _link([*(each.about for each in results), *(each[0] for each in told)])
    doubts = {n: found for n, each in enumerate(answers) if (found := seen.beside(each, "doubts")) is not None}
    chosen = Chosen(results, views, told, doubts)
    models = _models(results, answers)
    uploads = dict(st.session_state.get("uploads", {}))

    def make(progress: Progress) -> bytes:
        progress.step(0.1, "packing what was captured")
        return session_bytes(session_of(title, chosen, lambda id: pictures.picture(id, uploads).image, link=link, models=models))

    visit = st.session_state.setdefault("saving visit", secrets.token_hex(8))
    what = tuple(id(each) for each in [*results, *views, *answers])
    key = ("session file", visit, title, what, tuple(each.sentence for each in results), repr(doubts))
    estimate = "A few seconds; every head of each view is packed."
    data = session.asked(key, make, label="Making the session file", estimate=estimate, button="Save what is open")
    if data is not None:
        st.download_button(
            f"Download ({len(data) / 2**20:.1f} MB)", data, file_name="session.zip", mime="application/zip",
            icon=":material/download:", key="download-session", on_click="ignore", type="primary",
        )  # fmt: skip


def _link(kept: Sequence[About]) -> str:
    """Where the live pictures are; of views alone the viewer as it was left."""
    chosen = {name: value for name, value in st.query_params.to_dict().items() if name not in ("session", "part")}
    return next((about.link for about in kept if about.link), f"look-attention?{urlencode(chosen)}")


def _told(answered: Any) -> Any:
    """An answer with what is needed to make it again."""
    weights = answered.model.card.weights
    ids = ", ".join(picture.id for picture in answered.pictures)
    snippet, link = (seen.beside(answered, name) or "" for name in ("snippet", "link"))
    title = f"Answer of {answered.model.name}"
    about = About(title, snippet, link=seen.below(link), model=answered.model.name, weights=weights, picture=ids)
    return about, answered, seen.views_of(answered)


def _models(results: list[Seen], answers: list[Any]) -> dict[str, dict[str, str]]:
    """Which weights each model has, with their hash."""
    from ui.report import weights_of
    from ui.report_made import model_hash

    found = {each.about.model: {"weights": weights_of(each.about)} for each in results if each.about.model}
    for each in answers:
        found[each.model.name] = {"weights": f"{each.model.card.weights or 'its own'}, {model_hash(each.model)}"}
    return found
