"""Figures in session files: Plotly's own JSON, held to the few kinds of traces that the app draws."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ui.archive import MAX_JSON
from ui.inline_picture import is_inline

TRACES = frozenset({"heatmap", "image", "scatter", "scattergl", "bar"})
MAX_TRACES = 512
_FETCHING = ("://", "<a", "javascript:", "data:")
"""What a text would need to lead out of the page."""
_REFUSED = frozenset({"images", "template", "mapbox", "map", "geo", "updatemenus", "sliders", "source", "href"})

_PACKED = frozenset({"i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"})
"""How Plotly packs arrays."""


def figure_bytes(figure: Mapping[str, Any], title: str) -> bytes:
    """A figure for the file; one that is too large is refused."""
    data = json.dumps(figure, allow_nan=False).encode()
    if len(data) > MAX_JSON:
        raise ValueError(
            f"The figure of {title!r} has {len(data) / 2**20:.0f} MB; a session file holds figures of at most "
            f"{MAX_JSON // 2**20} MB. Leave it out, and take its table away instead."
        )
    return data


def plain_figure(figure: Any) -> dict[str, Any]:
    """A Plotly figure as JSON that needs no Python to be read; what depends on the app's look is left to the app."""
    plain = json.loads(figure.to_json())
    layout = plain.get("layout", {})
    layout.pop("template", None)
    return {"data": plain.get("data", []), "layout": layout}


def checked_figure(found: Mapping[str, Any]) -> dict[str, Any]:
    """A figure that was read, if it only draws."""
    data, layout = found["data"], found["layout"]
    if not isinstance(data, list) or not isinstance(layout, dict) or len(data) > MAX_TRACES:
        raise ValueError("This session file is damaged: one of its figures is no figure.")
    kinds = {trace["type"] for trace in data}
    if unknown := sorted(map(str, kinds - TRACES)):
        raise ValueError(f"This session file holds a figure of kind {unknown[0]!r}; {', '.join(sorted(TRACES))} are drawn.")
    for name, value in _leaves({"data": [_beside_its_picture(trace) for trace in data], "layout": layout}):
        if name in _REFUSED:
            raise ValueError(f"This session file holds a figure with {name!r}, as no figure of this app has. It was not opened.")
        if isinstance(value, str) and any(word in value.lower() for word in _FETCHING):
            raise ValueError("This session file holds a figure that leads to another address. It was not opened.")
    unpacked(found)
    return {"data": data, "layout": layout}


def _beside_its_picture(trace: Mapping[str, Any]) -> Mapping[str, Any]:
    """A trace without the picture that it holds itself; one that lies elsewhere stays, and is refused."""
    if trace["type"] != "image" or not is_inline(trace.get("source")):
        return trace
    return {name: value for name, value in trace.items() if name != "source"}


def unpacked(value: Any) -> Any:
    """A figure whose packed arrays are arrays.

    Raises:
        ValueError: where one is not what it says.
    """
    if isinstance(value, dict):
        return _array(value) if "bdata" in value else {key: unpacked(item) for key, item in value.items()}
    return [unpacked(item) for item in value] if isinstance(value, list) else value


def _array(packed: Mapping[str, Any]) -> np.ndarray:
    kind, shape = str(packed.get("dtype")), packed.get("shape", "")
    sides = [int(side) for side in str(shape).split(",") if side.strip()]
    try:
        data = base64.b64decode(packed["bdata"], validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise ValueError("This session file is damaged: an array of a figure cannot be read.") from error
    if kind not in _PACKED or len(data) % np.dtype(kind).itemsize or any(side < 0 for side in sides):
        raise ValueError(f"This session file is damaged: a figure holds an array of kind {kind!r}.")
    array = np.frombuffer(data, kind)
    if sides and math.prod(sides) != len(array):
        raise ValueError(f"This session file is damaged: an array of a figure is not of shape {sides}.")
    return array.reshape(sides or -1)


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every name and every value below a figure, packed arrays left out: they are numbers."""
    yield name, value
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "bdata" and isinstance(item, str):
                yield key, ""
            else:
                yield from _leaves(item, str(key))
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, (str, dict, list)):
                yield from _leaves(item, "")
