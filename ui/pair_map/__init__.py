"""Two maps and, between them, their difference: whatever is under the mouse in one is shown in all three."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui.tensors import publish, url

if TYPE_CHECKING:
    from ui.map_payload import MapView
    from ui.recording import Layer, View

_HERE = Path(__file__).parent
_VIEWER = _HERE.parent / "viewer"
_SHARED = ("scales.js", "packing.js", "geometry.js", "rows.js", "elements.js", "stage.js")
"""What the viewer and this picture have in common."""
_component = st.components.v2.component(
    "headlight_pair",
    css="\n".join(path.read_text(encoding="utf-8") for path in (_VIEWER / "viewer.css", _HERE / "pair.css")),
    js="\n".join(
        path.read_text(encoding="utf-8")
        for path in (*(_VIEWER / name for name in _SHARED), _HERE / "sides.js", _HERE / "pair.js", _HERE / "entry.js")
    ),
)
_NAMED = ("class", "distillation", "register", "bos")
"""Roles of rows without a place that can be asked."""


@dataclass(frozen=True, eq=False)
class Column:
    """One of the two."""

    title: str
    shown: View | MapView
    layer: int = 0
    """Position of the layer, where attention is shown."""
    head: int | None = None
    """All heads on average where it is None."""


@dataclass(frozen=True)
class Start:
    """Something without a place on the picture that can be asked in both columns."""

    label: str
    rows: tuple[int | None, int | None]
    """The row in each; None is the mean of all patches."""


def starts(first: Layer, second: Layer, last: str = "") -> list[Start]:
    """What can be asked in both layers beside patches.

    Args:
        first: the layer on the left.
        second: the layer on the right.
        last: what the last row is called, where it has a place in no picture and is worth asking.
    """
    found = []
    for role in _NAMED:
        own = [[n for n, (r, placed) in enumerate(zip(side.queries.roles, side.queries.placed, strict=True))
                if r == role and not placed] for side in (first, second)]  # fmt: skip
        for number, rows in enumerate(zip(*own, strict=False)):
            found.append(Start(role if min(map(len, own)) == 1 else f"{role} {number}", rows))
    ends = len(first.queries) - 1, len(second.queries) - 1
    if last and not first.queries.placed[-1] and not second.queries.placed[-1]:
        found.insert(0, Start(last, ends))
    return [*found, Start("mean of all patches", (None, None))]


def pair_map(
    first: Column,
    second: Column,
    *,
    key: str,
    difference: MapView | None = None,
    asked: Sequence[Start] = (),
    query: str = "",
    bare: bool = False,
    own_scales: bool = False,
    height: int = 420,
    on_change: Callable[[], None] = lambda: None,
) -> None:
    """Show both and their difference, right minus left.

    Args:
        first: on the left.
        second: on the right.
        key: of the component; `st.session_state[key].query` holds what was clicked: "mean" or a row of the left.
        difference: of two maps; of attention it is made in the browser, for whatever is under the mouse.
        asked: what can be asked beside patches, where attention is shown.
        query: what is shown before anything is hovered: "class", "mean" or a row; the first of `asked` by default.
        bare: the difference lies on no picture, because the two are of different ones.
        own_scales: each side has its own scale of colours, because their units differ.
        height: pixels that a picture may take.
        on_change: called when something was clicked.
    """
    data: dict[str, Any] = {
        "sides": [_sent(side, f"{key}/{place}") for place, side in (("first", first), ("second", second))],
        "difference": None if difference is None else _address(difference, f"{key}/difference"),
        "starts": [{"label": start.label, "rows": list(start.rows)} for start in asked],
        "query": query, "bare": bare, "ownScales": own_scales, "height": height,
    }  # fmt: skip
    _component(key=key, data=[data], default={"query": query}, on_query_change=on_change)


def _sent(side: Column, place: str) -> dict[str, Any]:
    shown = side.shown
    return {
        "title": side.title, "url": _address(shown, place), "map": not hasattr(shown, "layers"), "layer": side.layer,
        "head": side.head, "width": shown.picture.width, "height": shown.picture.height,
    }  # fmt: skip


def _address(shown: View | MapView, place: str) -> str:
    visit = st.session_state.setdefault("viewer visit", secrets.token_hex(8))
    folder = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return (f"/{folder}" if folder else "") + url(publish(shown, f"{visit}/{place}"))
