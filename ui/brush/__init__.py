"""A brush on a picture: paint, erase, draw rectangles with the mouse, a finger or the keys; what is painted is a mask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from ui.inline_picture import inlined
from ui.results.whatif_steps import Mask, grid_of

if TYPE_CHECKING:
    from PIL import Image

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "headlight_brush",
    css=(_HERE / "brush.css").read_text(encoding="utf-8"),
    js=(_HERE / "brush.js").read_text(encoding="utf-8"),
)
_LONGEST = 640
"""Pixels of the longer side of the picture that is sent."""


def brush(
    image: Image.Image, *, key: str, serial: int = 0, height: int = 400, on_change: Callable[[], None] = lambda: None
) -> Mask | None:
    """Show the picture and return what is painted on it; None while nothing is.

    Args:
        image: what is painted on.
        key: of the component; `st.session_state[key].mask` holds what is painted.
        serial: another number begins with a clean picture.
        height: pixels that the picture may take.
        on_change: called when something was painted.
    """
    across, down = grid_of(*image.size)
    picture = inlined(image, _LONGEST)
    data = {"picture": picture, "size": list(image.size), "grid": [across, down], "serial": serial, "height": height}
    result = _component(data=data, key=key, default={"mask": ""}, on_mask_change=on_change)
    return read(result.mask, serial, (across, down))


def read(text: str | None, serial: int, grid: tuple[int, int]) -> Mask | None:
    """What the browser tells: "3|96x96.k2.6", for this serial and grid; what was painted before is not meant."""
    said, _, mask = (text or "").partition("|")
    if said != str(serial) or not mask:
        return None
    found = Mask.read(mask)
    return found if found.share and (found.width, found.height) == grid else None
