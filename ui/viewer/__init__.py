"""The attention viewer: a picture one can ask, and a plain map over a picture.

Plain JavaScript, joined in the order of `SCRIPTS` into one module. What follows the mouse runs in the browser; weights
come through the routes of `ui.tensors`, which the app must serve.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import streamlit as st

from ui.map_payload import MapView
from ui.recording import View, known_numbers
from ui.state import Fuse, Mode
from ui.tensors import publish, url
from ui.viewer.from_capture import map_of
from ui.viewer.memory import decided
from ui.words_line import SCRIPT as WORDS
from ui.words_line import WordChip, style

if TYPE_CHECKING:
    from PIL import Image

    from analysis.results import TokenMap

SCRIPTS = (
    "scales.js", "packing.js", "geometry.js", "rows.js", "elements.js", "export.js", "stage.js", "navigator.js",
    "panel.js", "viewer.js", "answer.js", "listening.js", "map.js", "entry.js",
)  # fmt: skip
_FOLDER = Path(__file__).parent
_MAPS: dict[bytes, MapView] = {}
_MAPS_KEPT = 64
_MAPS_LOCK = threading.Lock()


def _text(*names: str) -> str:
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in names)


def _script() -> str:
    after = SCRIPTS.index("elements.js") + 1
    return "\n".join((_text(*SCRIPTS[:after]), WORDS.read_text(encoding="utf-8"), _text(*SCRIPTS[after:])))


_component = st.components.v2.component("headlight_viewer", css=_text("viewer.css") + style(), js=_script())


@dataclass(frozen=True)
class Words:
    """An answer whose words are asked, in the place of patches."""

    chips: tuple[WordChip, ...]
    rows: tuple[int, ...]
    """The row of each word in the view."""
    chosen: int
    """The word that is shown before any is hovered."""

    def __post_init__(self) -> None:
        if len(self.chips) != len(self.rows):
            raise ValueError(f"each word needs a row. Got {len(self.chips)} words and {len(self.rows)} rows.")


@dataclass(frozen=True)
class ViewerState:
    """What is chosen in a viewer."""

    layer: int
    """Position among the view's layers."""
    head: int
    pins: tuple[int, ...] = ()
    """Pinned rows of the layer shown; two of them are compared."""
    fuse: Fuse = "mean"
    mode: Mode = "raw"
    sort: str = ""
    """The statistic by which the thumbnails are sorted, with a minus for low first; empty for layer by layer."""
    smooth: bool = False
    """Whether colours are blended between patches."""

    def heads_of(self, view: View) -> str:
        """Which heads are shown, in the viewer's words."""
        if self.fuse == "single":
            return f"head {self.head}"
        return f"{'maximum' if self.fuse == 'max' else 'mean'} of {view.layers[self.layer].heads} heads"


def viewer(
    view: View,
    *,
    key: str,
    layer: int | None = None,
    head: int | None = None,
    query: Literal["class", "mean"] | int | None = None,
    fuse: Fuse | None = None,
    mode: Mode | None = None,
    smooth: bool | None = None,
    sort: str | None = None,
    height: int = 640,
    words: Words | None = None,
    on_change: Callable[[], None] | None = None,
) -> ViewerState:
    """The picture with the attention of whatever is under the mouse, and all heads as small maps beside it.

    Args:
        view: what to show; the same object while it is the same picture.
        key: the viewer's name on the page; its choices outlive a change of the view.
        layer: position of the layer to show. A new value moves the viewer; the same value leaves people's choice alone.
        head: the head to choose.
        query: what is shown before anything is hovered: the class token, the mean of all patches, or a row.
        fuse: how heads are put together.
        mode: raw weights, without sinks, or relative to the mean row.
        smooth: blend colours between patches.
        sort: the statistic by which the small maps are sorted.
        height: pixels that the whole viewer may take.
        words: the words of an answer, of a view whose rows are its tokens. They stand beside the picture; hovering one paints
            it, hovering a patch lights those that looked there. The selection then holds the chosen one as "word".
        on_change: called before the page runs again because something was chosen.
    """
    given = {"layer": layer, "head": head, "fuse": fuse, "mode": mode, "smooth": smooth, "sort": sort}
    start = {
        "layer": len(view.layers) - 1 if layer is None else layer,
        "head": head or 0,
        "fuse": fuse or "mean",
        "mode": mode or "raw",
        "smooth": bool(smooth),
        "sort": sort or "",
    }
    first: dict[str, dict[str, Any]] = {"selection": start | {"pins": []}}
    memory = st.session_state.setdefault(f"viewer memory: {key}", {})
    chosen = decided(memory, given, st.session_state.get(key, first)["selection"])
    told = {"given": given | {"query": query}, "moved": memory.get("moved", {"serial": 0}), "words": _spelled(words)}
    _component(
        key=key,
        data=_sent(_header(view, height, key) | told),
        default=first,
        on_selection_change=on_change or _nothing,
    )
    return _state(view, chosen)


def map_view(image: Image.Image, token_map: TokenMap | MapView, *, key: str, height: int = 420, title: str | None = None) -> None:
    """A map over its picture, with its scale and the value under the mouse. Give the same `MapView` while it is the same map.

    Args:
        image: the picture that the map belongs to; left alone where `token_map` brings its own.
        token_map: an analysis' result, or what `map_of` made of one.
        key: the map's name on the page.
        height: pixels that the map may take.
        title: stands above it; the map's own title by default.
    """
    shown = token_map if isinstance(token_map, MapView) else _kept_map(token_map, image)
    data = _place(shown, height, key) | {"kind": "map", "title": shown.title if title is None else title}
    _component(key=key, data=_sent(data))


def _kept_map(token_map: TokenMap, image: Image.Image) -> MapView:
    """The same object for the same map, so that the browser is not sent it again by every run of the page."""
    content = hashlib.blake2b(image.tobytes(), digest_size=16)
    for part in (token_map.values, token_map.rows.boxes, token_map.label, token_map.unit, token_map.signed, image.size):
        content.update(np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    with _MAPS_LOCK:
        shown = _MAPS.pop(content.digest(), None) or map_of(token_map, image)
        _MAPS[content.digest()] = shown
        while len(_MAPS) > _MAPS_KEPT:
            del _MAPS[next(iter(_MAPS))]
        return shown


def _sent(header: dict[str, Any]) -> list[dict[str, Any]]:
    """In a list Streamlit does not look for data frames: it would import pandas for that, a second before the first picture."""
    return [header]


def _spelled(words: Words | None) -> dict[str, Any] | None:
    if words is None:
        return None
    return {"chips": [asdict(chip) for chip in words.chips], "rows": list(words.rows), "chosen": words.chosen}


def _nothing() -> None:
    pass


def _place(shown: View | MapView, height: int, key: str) -> dict[str, Any]:
    visit = st.session_state.setdefault("viewer visit", secrets.token_hex(8))
    folder = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return {
        "url": (f"/{folder}" if folder else "") + url(publish(shown, f"{visit}/{key}")),
        "width": shown.picture.width, "height_of_picture": shown.picture.height, "height": height,
    }  # fmt: skip


def _header(view: View, height: int, key: str) -> dict[str, Any]:
    return _place(view, height, key) | {
        "kind": "view",
        "title": view.title,
        "layers": [{"tower": record.tower, "number": record.number, "heads": record.heads} for record in view.layers],
        "statistics": known_numbers(view.statistics),
        "chips": [asdict(chip) for chip in view.chips],
    }


def _state(view: View, selection: Mapping[str, Any]) -> ViewerState:
    layer = min(int(selection["layer"]), len(view.layers) - 1)
    return ViewerState(
        layer=layer,
        head=min(int(selection["head"]), view.layers[layer].heads - 1),
        pins=tuple(int(row) for row in selection["pins"]),
        fuse=selection["fuse"],
        mode=selection["mode"],
        sort=selection["sort"],
        smooth=bool(selection["smooth"]),
    )


__all__ = ["Fuse", "MapView", "Mode", "View", "ViewerState", "Words", "map_of", "map_view", "viewer"]
