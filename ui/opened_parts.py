"""The pieces of the page Sessions: what is open is shown from its file alone, so no model and no torch is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import numpy as np
import streamlit as st

from ui import controls, link, opened, opened_answer, state
from ui.opened_texts import label, line, one_of, plain
from ui.recording import View
from ui.session_file import Session
from ui.session_file_parts import About, SavedMap, SavedResult
from ui.take_away import menu
from ui.take_away.seen import Seen

if TYPE_CHECKING:
    from ui.viewer import Words

NOTE = (
    "A session file is one zip of texts, arrays and pictures: views of all heads, answers word by word, maps with how faithful "
    "they were, other results as table and figure. It is opened without the model, without torch and without a GPU, and "
    "nothing in it is run.\n\n"
    "**What it cannot say**: what was not looked at is not in it, so nothing can be changed and asked anew; “Open the live "
    "page” does that where the model is. Weights of attention are kept in one byte each: a weight is off by less than 0.4 % of "
    "the largest weight of its row.\n\n"
    "**Range**: at most 64 MB; four files stay open for the visit."
)
HEIGHT = 520
PARTS = ("answers", "views", "maps", "results")
BARE = {"displayModeBar": False}


def choose_new(id: str) -> None:
    """Show a session that was just opened, from its beginning."""
    session = opened.sessions()[id]
    st.session_state["session"] = id
    st.session_state["part"] = next(name for name in PARTS if getattr(session, name))


def choose() -> tuple[str, Session, str]:
    """Which of the open sessions is shown, which part of it, and the button that closes it."""
    held = opened.sessions()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        with st.container(width=330):
            id = _pick(held)
        if opened.is_own(id):
            st.button("Close", icon=":material/close:", on_click=opened.close, args=(id,), key="close-session")
        there = [name for name in PARTS if getattr(held[id], name)]
        names = {name: f"{name.capitalize()} · {len(getattr(held[id], name))}" for name in there} | {"made": "How it was made"}
        part = controls.pick("part", "Shown", [*there, "made"], format=lambda each: names[each])
        st.badge("recorded", icon=":material/play_circle:", color="blue", help="Read from the file: no model runs.")
    return id, held[id], part


def _pick(held: Mapping[str, Session]) -> str:
    """A list: titles of sessions are long."""
    ids, names = list(held), {id: _name(id, session) for id, session in held.items()}
    link.begin("session", ids[0], link.one_of(ids), lambda value: value in ids)
    id = st.selectbox("Open session", ids, key="session", format_func=names.__getitem__, persist_state="session")
    link.keep("session", id, ids[0])
    return id


def _name(id: str, session: Session) -> str:
    return f"{label(session.title)}{'' if opened.is_own(id) else ' · shipped'}"


def show(id: str, session: Session, part: str) -> None:
    """The chosen part of a session."""
    shown: Mapping[str, Callable[[str, Session], None]] = {
        "answers": opened_answer.show, "views": _views, "maps": _maps, "results": _results, "made": _made,
    }  # fmt: skip
    shown[part](id, session)


def _views(id: str, session: Session) -> None:
    place = one_of("view", [view.title for view in session.views])
    show_view(f"{id}-{place}", session.views[place], session)


def show_view(
    id: str, view: View, session: Session, *, words: Words | None = None, on_change: Callable[[], None] | None = None
) -> None:
    """A recorded view in the same viewer as a live one.

    Args:
        id: of what is shown; also the key of a viewer of words.
        view: what to show.
        session: where it is from.
        words: of an answer, whose rows the view holds.
        on_change: called when something was chosen in it.
    """
    from ui.viewer import viewer

    asked = None if words is None else words.rows[words.chosen]
    as_left: dict[str, Any] = {} if words is not None else _as_left(session, view)
    key = f"recorded-{id}" if words is None else id
    shown = viewer(view, key=key, query=asked, height=HEIGHT, words=words, on_change=on_change, **as_left)
    layer = view.layers[shown.layer]
    row = shown.pins[0] if shown.pins else asked
    order = sorted(range(len(view.labels)), key=lambda n: -view.probabilities[n])[:3]
    answer = " · ".join(f"{plain(view.labels[n])} {view.probabilities[n]:.2f}" for n in order)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"recorded · {plain(layer.name)}, {shown.heads_of(view)}" + (f" — answer: {answer}" if answer else ""))
        take_away_view(id, view, session, shown.layer, shown.head, row)


def _as_left(session: Session, view: View) -> dict[str, Any]:
    """Layer, heads and weights as they were shown when the session was saved; its link holds them."""
    then = state.Chosen.from_query(dict(parse_qsl(session.link.partition("?")[2])))
    return {
        "layer": then.layer % len(view.layers), "head": then.head, "fuse": then.fuse, "mode": then.weighing, "smooth": then.smooth
    }


def take_away_view(id: str, view: View, session: Session, layer: int, head: int, row: int | None) -> None:
    """The menu of what a recorded viewer shows."""
    from ui.figures.recorded import view_figure

    record = view.layers[layer]
    who = f"row {row}" if row is not None else "all patches"
    title = f"{view.title}: {record.name}, head {head}, {who}"
    about = About(title, link=session.link, model=str(view.meta.get("model", "")), picture=str(view.meta.get("picture", "")))
    boxes = {f"{name} [px]": record.keys.boxes[:, n] for n, name in enumerate(("x0", "y0", "x1", "y1"))}
    weights = view.weights(layer)[head]
    columns = {"row": np.repeat(np.arange(len(weights)), weights.shape[1]), "attention": weights.ravel()}
    if record.windows == 1:
        tokens = {"token": np.arange(len(record.keys)), "role": np.array(record.keys.roles, object), **boxes}
        columns |= {name: np.tile(values, len(weights)) for name, values in tokens.items()}
    figure = partial(view_figure, view, layer, head, row if row is not None and row < len(record.queries) else None)
    shown = Seen(about, columns, figure, recorded=_weights(session, about.model))
    menu(columns, figure, key=f"view-{id}", title=title, shown=shown)


def _maps(id: str, session: Session) -> None:
    for start in range(0, len(session.maps), 3):
        for column, number in zip(st.columns(3), range(start, len(session.maps)), strict=False):
            with column:
                _map(f"{id}-map-{number}", session.maps[number], session)


def _map(key: str, saved: SavedMap, session: Session) -> None:
    from ui.viewer import map_view

    st.markdown(f"**{plain(saved.result.about.title)}**")
    map_view(None, saved.shown, key=key, height=300, title="")  # type: ignore[arg-type]
    if saved.sentence:
        better = saved.numbers.get("random orders beaten", 0) > 0.95
        st.markdown(f":{'green' if better else 'orange'}-badge[{plain(saved.sentence)}]")
    _menu(key, saved.result, session, saved.sentence, saved.numbers)


def _results(id: str, session: Session) -> None:
    place = one_of("result", [each.about.title for each in session.results])
    saved, key = session.results[place], f"{id}-result-{place}"
    st.caption(line(saved.about))
    if saved.figure is not None:
        from ui.figures.recorded import figure_of

        st.plotly_chart(figure_of(saved.figure), key=key, width="stretch", config=BARE)
    else:
        st.dataframe({name: column.tolist() for name, column in saved.columns.items()}, width="stretch")
    _menu(key, saved, session)


def _menu(
    key: str, saved: SavedResult, session: Session, sentence: str = "", numbers: Mapping[str, float] | None = None
) -> None:
    from ui.figures.recorded import figure_of

    figure = None if saved.figure is None else partial(figure_of, saved.figure)
    about = saved.about
    shown = Seen(about, saved.columns, figure, sentence, numbers or {}, session.references, _weights(session, about.model))
    menu(dict(saved.columns), figure, key=key, title=saved.about.title, snippet=saved.about.snippet, shown=shown)


def _made(id: str, session: Session) -> None:
    st.markdown(f"**{plain(session.title)}**")
    made = session.made
    if day := made.get("day"):
        st.caption(f"Kept on {plain(str(day))}")
    for name, told in _pairs(made.get("models")):
        st.markdown(f"**{plain(name)}**")
        st.caption(" · ".join(f"{plain(key)}: {plain(str(value))}" for key, value in _pairs(told)) or "no more is known")
    if versions := _pairs(made.get("versions")):
        st.caption(" · ".join(f"{plain(name)} {plain(str(version))}" for name, version in versions))
    if session.link:
        st.link_button("Open the live page in this state", f"./{session.link}", icon=":material/open_in_new:")
    if session.references:
        st.caption("Sources")
        st.code("\n\n".join(session.references.values()), language="bibtex", wrap_lines=True)


def _weights(session: Session, model: str) -> str:
    """What the file says of a model's weights."""
    return str(dict(_pairs(dict(_pairs(session.made.get("models"))).get(model))).get("weights", ""))


def _pairs(found: Any) -> list[tuple[str, Any]]:
    return [(str(name), value) for name, value in found.items()] if isinstance(found, Mapping) else []
