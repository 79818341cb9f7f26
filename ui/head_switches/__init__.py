"""Switches for everything that can be taken out of a model: a row per layer, a column per head, and its two branches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "headlight_switches",
    css=(_HERE / "switches.css").read_text(encoding="utf-8"),
    js="\n".join(path.read_text(encoding="utf-8") for path in (_HERE.parent / "viewer" / "scales.js", _HERE / "switches.js")),
)


def head_switches(
    layers: Sequence[str],
    heads: Sequence[int],
    off: Sequence[str],
    *,
    key: str,
    values: np.ndarray | None = None,
    label: str = "",
    parts: bool = True,
    on_change: Callable[[], None] = lambda: None,
) -> list[str] | None:
    """Show the switches; what is off after a click, for the one run that follows it.

    Args:
        layers: names of the rows.
        heads: how many heads each row has.
        off: what is off now: "h2.3" is head 3 of row 2; "a2", "m2" and "l2" are its attention, its MLP and all of it.
        key: of the component; `st.session_state[key].off` holds the click.
        values: [L, H] colours of the heads; NaN for none.
        label: what the colours are.
        parts: attention, MLP and layer can be switched too.
        on_change: called when something was clicked.
    """
    rows: list[list[float | None]] = []
    for row, count in enumerate(heads):
        found = None if values is None else values[row][:count]
        rows.append([None if found is None or np.isnan(v) else float(v) for v in (found if found is not None else [0] * count)])
    data: dict[str, Any] = {"layers": list(layers), "rows": rows, "off": list(off), "label": label, "parts": parts}
    return _component(data=data, key=key, on_off_change=on_change).off
