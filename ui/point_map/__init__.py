"""A map of points in the browser: heads drawn as their patterns, queries and keys as dots beside the pictures they come from.

Plain JavaScript on two canvases, joined in the order of `SCRIPTS` into one module. Whatever follows the mouse happens in
the browser; a click and a drawn loop come back to Python. Everything travels as one packed array of bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from ui.point_map.points import Gallery, Group, Marks, PointMap, Tokens, pattern_bytes

SCRIPTS = ("pieces.js", "space.js", "marks.js", "pictures.js", "map.js", "drawing.js", "listening.js", "entry.js")
_FOLDER = Path(__file__).parent
_SHARED = (_FOLDER.parent / "viewer" / "packing.js", _FOLDER.parent / "viewer" / "scales.js")
"""How bytes are unpacked, and the colours of attention, are the viewer's."""


def _module() -> str:
    files = (*_SHARED, *(_FOLDER / name for name in SCRIPTS))
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


_component = st.components.v2.component(
    "headlight_point_map", css=(_FOLDER / "point_map.css").read_text(encoding="utf-8"), js=_module()
)


@dataclass(frozen=True)
class Answer:
    """What a person did on the map."""

    picked: tuple[int, ...] = ()
    """The points inside the drawn loop."""


def point_map(
    shown: PointMap,
    *,
    key: str,
    chosen: int = -1,
    marked: np.ndarray | None = None,
    picked: Sequence[int] = (),
    height: int = 520,
    on_choose: Callable[[int], None] | None = None,
) -> Answer:
    """Draw a map, and say what is gathered on it.

    Args:
        shown: the points; the same ones keep their zoom and their loop.
        key: the map's name on the page.
        chosen: the point that is outlined.
        marked: [P] bool, the points that are not drawn faintly.
        picked: points that are gathered when the map is first shown.
        height: pixels of the map, without its legend.
        on_choose: called with the number of the point that was clicked, before the page runs again.
    """

    def clicked() -> None:
        found = _of_map(st.session_state.get(key), "chosen", shown)
        if on_choose is not None and isinstance(found, int) and 0 <= found < len(shown.points):
            on_choose(found)

    state = _component(
        key=key,
        data=shown.packed(chosen=chosen, marked=marked, picked=picked, height=height),
        default={"picked": {"id": shown.id, "items": list(picked)}},
        on_chosen_change=clicked,
        on_picked_change=_nothing,
    )
    items = _of_map(state, "picked", shown) or ()
    return Answer(tuple(int(i) for i in items if 0 <= int(i) < len(shown.points)))


def _of_map(state: Any, name: str, shown: PointMap) -> Any:
    """What the browser said of this very map; nothing of one that was shown before."""
    told = None if state is None else state.get(name)
    if not isinstance(told, Mapping) or told.get("id") != shown.id:
        return None
    return told.get("item", told.get("items"))


def _nothing() -> None:
    pass


__all__ = ["Answer", "Gallery", "Group", "Marks", "PointMap", "Tokens", "pattern_bytes", "point_map"]
