"""The surviving patches at any budget: the slider moves them in the browser, Python is told where it was let go."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from ui.inline_picture import inlined

if TYPE_CHECKING:
    from PIL import Image

    from ui.results.fewer import Survival

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "headlight_survivors",
    css=(_HERE / "survivors.css").read_text(encoding="utf-8"),
    js=(_HERE / "survivors.js").read_text(encoding="utf-8"),
)
_LONGEST = 512
"""Pixels of the longer side of the picture that is sent."""
_APART = 0.01
"""Tiles that share less than this part of the smaller one lie beside each other."""


@dataclass(frozen=True)
class Panel:
    """Tokens that lie beside each other on one picture."""

    title: str
    picture: int
    tokens: tuple[int, ...]


def survivors(
    pictures: Sequence[Image.Image],
    found: Survival,
    *,
    amount: int,
    key: str,
    height: int = 400,
    on_change: Callable[[], None] = lambda: None,
) -> int:
    """Show what is left at each budget and return the one that was chosen.

    Args:
        pictures: those of the question.
        found: the plans of all budgets.
        amount: the budget that is shown first; a new value moves the slider.
        key: of the component; `st.session_state[key].amount` holds the budget.
        height: pixels that a picture may take.
        on_change: called when the slider was let go.
    """
    amount = found.nearest(amount)
    panels = panels_of(found)
    data: dict[str, Any] = {
        "name": repr(found.pruner), "pictures": [inlined(picture, _LONGEST) for picture in pictures],
        "sizes": [list(picture.size) for picture in pictures],
        "panels": [{"title": p.title, "picture": p.picture, "tokens": list(p.tokens)} for p in panels],
        "boxes": [[round(float(v), 1) for v in box] if np.isfinite(box).all() else None for box in _boxes(found)],
        "depth": found.depth, "amounts": list(found.amounts), "own": _packed(found.own), "lasts": _packed(found.lasts),
        "reads": "" if found.reads is None else _bits(found.reads),
        "counts": found.counts.tolist(), "start": found.amounts.index(amount), "height": height,
        "said": [found.pruner.said(each, len(found.plan)) for each in found.amounts],
    }  # fmt: skip
    result = _component(data=data, key=key, default={"amount": amount}, on_amount_change=on_change)
    return found.nearest(int(result.amount if result.amount is not None else amount))


def panels_of(found: Survival) -> list[Panel]:
    """Tiles that lie on each other, such as the whole picture and its crops, are shown side by side."""
    rows = found.plan.rows.take(found.plan.image)
    places, panels = _boxes(found), []
    for picture in dict.fromkeys(int(n) for n in rows.image[rows.placed]):
        groups: list[tuple[list[np.ndarray], list[int]]] = []
        for tile in dict.fromkeys(int(n) for n in rows.tile[rows.placed & (rows.image == picture)]):
            own = np.flatnonzero(rows.placed & (rows.image == picture) & (rows.tile == tile))
            box = np.concatenate([places[own, :2].min(0), places[own, 2:].max(0)])
            group = next((g for g in groups if all(_shared(box, other) < _APART for other in g[0])), None)
            if group is None:
                groups.append(group := ([], []))
            group[0].append(box)
            group[1].extend(int(n) for n in own)
        for number, (boxes, tokens) in enumerate(groups):
            title = "" if len(groups) == 1 else f"{len(boxes)} tiles" if len(boxes) > 1 else "the whole picture"
            panels.append(Panel(title if title else f"picture {number + 1}" if picture else "", max(picture, 0), tuple(tokens)))
    return panels


def _shared(one: np.ndarray, other: np.ndarray) -> float:
    """The part of the smaller box that lies in the other."""
    both = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    areas = [float(np.prod(box[2:] - box[:2])) for box in (one, other)]
    return float(np.prod(np.maximum(both, 0))) / max(min(areas), 1e-9)


def _boxes(found: Survival) -> np.ndarray:
    return found.plan.rows.boxes[found.plan.image]


def _bits(flags: np.ndarray) -> str:
    """[B, depth, N] yes or no, row by row, eight to a byte, as a text."""
    return base64.b64encode(np.packbits(flags.ravel()).tobytes()).decode()


def _packed(numbers: np.ndarray) -> str:
    """[B, N] small whole numbers, row by row, as a text."""
    return base64.b64encode(np.minimum(numbers, 255).astype(np.uint8).tobytes()).decode()
