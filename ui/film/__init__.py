"""One map per layer over a picture, with a scrubber and a play button; everything moves in the browser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from ui.inline_picture import inlined

if TYPE_CHECKING:
    from PIL import Image

_HERE = Path(__file__).parent
_SCALES = _HERE.parent / "viewer" / "scales.js"
_component = st.components.v2.component(
    "headlight_film",
    css=(_HERE / "film.css").read_text(encoding="utf-8"),
    js="\n".join(path.read_text(encoding="utf-8") for path in (_SCALES, _HERE / "film.js")),
)
_LONGEST = 512
"""Pixels of the longer side of the picture that is sent."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One map of a film."""

    title: str
    values: np.ndarray
    """[N] one number per patch; NaN leaves it unpainted."""
    boxes: np.ndarray
    """[N, 4] in pixels of the picture."""
    marked: tuple[int, ...] = ()
    """The patches (of 0..N-1) that are outlined."""


def film(
    image: Image.Image,
    frames: Sequence[Frame],
    *,
    at: int,
    unit: str,
    key: str,
    shared_scale: bool = False,
    on_change: Callable[[], None] = lambda: None,
) -> int:
    """Show the maps and return the number of the one that was stopped at.

    Args:
        image: what lies under the maps.
        frames: one after the other.
        at: which one is shown first.
        unit: what the numbers are, for the legend.
        key: of the component; `st.session_state[key]` holds its state.
        shared_scale: all frames have one colour scale; each its own otherwise.
        on_change: called when another frame was stopped at.
    """
    data = {
        "picture": inlined(image, _LONGEST),
        "size": list(image.size),
        "frames": [_plain(frame) for frame in frames],
        "start": at,
        "unit": unit,
        "shared": shared_scale,
    }
    result = _component(data=data, key=key, default={"at": at}, on_at_change=on_change)
    return int(np.clip(result.at if result.at is not None else at, 0, len(frames) - 1))


def _plain(frame: Frame) -> dict[str, Any]:
    values = [None if np.isnan(v) else float(f"{v:.4g}") for v in frame.values]
    return {
        "title": frame.title,
        "values": values,
        "boxes": np.round(frame.boxes, 1).tolist(),
        "marked": list(frame.marked),
    }
