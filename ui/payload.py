"""What the browser gets of a view: one layer's rows with their geometry, and thumbnails of all heads."""

from __future__ import annotations

import numpy as np

from ui.archive import pack
from ui.quantise import quantised
from ui.recording import Layer, Tokens, View, run_lengths

THUMB = 56
"""Pixels of a thumbnail's side: 28 on the page, twice that on dense screens."""
SINK_SIGMAS = 6.0
_SIGMA_FLOOR = 1e-3
"""A spread below this share of the median is rounding, not a spread."""


def layer_payload(view: View, position: int) -> bytes:
    """A layer's bytes: codes, rows' maxima, mean rows, boxes, windows, and which keys are sinks."""
    weights, layer = view.weights(position), view.layers[position]
    codes, largest = quantised(weights)
    mean = mean_rows(weights, layer)
    sinks = view.sinks.get(position, sink_keys(mean, layer))
    header = {
        "kind": "layer", "layer": position, "name": layer.name, "tower": layer.tower, "number": layer.number,
        "heads": layer.heads, "windows": layer.windows, "quality": layer.quality, "reason": layer.reason,
        "queryRoles": run_lengths(layer.queries.roles), "keyRoles": run_lengths(layer.keys.roles), "sinks": list(sinks),
    }  # fmt: skip
    arrays = {
        "codes": codes, "largest": largest, "mean": mean, "windowOf": layer.windows_of_rows,
        "queryBoxes": layer.queries.boxes.astype(np.float32), "keyBoxes": layer.keys.boxes.astype(np.float32),
    }  # fmt: skip
    return pack(header, arrays)


def mean_rows(weights: np.ndarray, layer: Layer) -> np.ndarray:
    """[H, windows * K]: the mean row over the patches of each window: what a key receives from them.

    Where no row has a place on the picture, the mean is over all rows.
    """
    rows = layer.queries.placed if layer.queries.placed.any() else np.ones(len(layer.queries), bool)
    window = layer.windows_of_rows
    found = np.zeros((layer.heads, layer.windows, layer.keys_per_row), np.float32)
    for number in range(layer.windows):
        chosen = rows & (window == number)
        if chosen.any():
            found[:, number] = weights[:, chosen].mean(1, dtype=np.float32)
    return found.reshape(layer.heads, -1)


def sink_keys(mean: np.ndarray, layer: Layer) -> list[int]:
    """Keys that receive more than the patches' median and six of their spreads (median absolute deviation x 1.4826)."""
    received = mean.mean(0)
    patches = received[layer.keys.placed]
    if not len(patches):
        return []
    middle = float(np.median(patches))
    spread = max(1.4826 * float(np.median(np.abs(patches - middle))), _SIGMA_FLOOR * middle)
    return np.flatnonzero(received > middle + SINK_SIGMAS * spread).tolist()


def thumbnails(view: View, query: str) -> bytes:
    """One small map per head of every layer.

    Args:
        view: the view.
        query: "class", "mean" (attention received from all patches), a row number, or "x,y" in pixels of the picture.
            A layer that has no such row shows the mean.
    """
    check_query(query)
    total = sum(layer.heads for layer in view.layers)
    maps, shown = np.zeros((total, THUMB, THUMB), np.uint8), []
    at = 0
    for position, layer in enumerate(view.layers):
        picture = _raster_index(layer.keys, view)
        row = row_of(layer, query)
        shown.append("mean" if row is None else query)
        found = _row_over_keys(view, position, row)
        found = np.concatenate([found, np.zeros((len(found), 1), np.float32)], 1)[:, picture]
        peak = np.maximum(found.max((1, 2), keepdims=True), np.finfo(np.float32).tiny)
        maps[at : at + layer.heads] = np.rint(255 * found / peak)
        at += layer.heads
    heads = [layer.heads for layer in view.layers]
    return pack({"kind": "thumbs", "query": query, "shown": shown, "heads": heads, "side": THUMB}, {"maps": maps})


def check_query(query: str) -> None:
    """Raise unless the text names a query."""
    if query in ("class", "mean"):
        return
    parts = query.split(",")
    if len(parts) > 2 or not all(part.strip().replace(".", "", 1).isdigit() for part in parts):
        raise ValueError(f"query must be class, mean, a row number or x,y in pixels. Got {query!r}.")


def row_of(layer: Layer, query: str) -> int | None:
    """The row that a query names in this layer, or None where it has none."""
    if query == "mean":
        return None
    if query == "class":
        return next((n for n, role in enumerate(layer.queries.roles) if role == "class"), None)
    if "," not in query:
        number = int(float(query))
        return number if number < len(layer.queries) else None
    x, y = map(float, query.split(","))
    x0, y0, x1, y1 = layer.queries.boxes.T
    with np.errstate(invalid="ignore"):
        inside = np.flatnonzero((x0 <= x) & (x < x1) & (y0 <= y) & (y < y1))
    area = (x1 - x0) * (y1 - y0)
    return int(inside[np.argmin(area[inside])]) if len(inside) else None


def _row_over_keys(view: View, position: int, row: int | None) -> np.ndarray:
    """[H, windows * K]: a row, zero outside its window; or the mean rows."""
    weights, layer = view.weights(position), view.layers[position]
    if row is None:
        return mean_rows(weights, layer)
    found = np.zeros((layer.heads, layer.windows, layer.keys_per_row), np.float32)
    found[:, layer.windows_of_rows[row]] = weights[:, row]
    return found.reshape(layer.heads, -1)


def _raster_index(keys: Tokens, view: View) -> np.ndarray:
    """[THUMB, THUMB]: which key covers each pixel of a thumbnail; -1 for none."""
    index = np.full((THUMB, THUMB), -1)
    size = np.array([view.picture.width, view.picture.height] * 2, np.float32)
    for key in np.flatnonzero(keys.placed):
        x0, y0, x1, y1 = np.rint(keys.boxes[key] / size * THUMB).astype(int)
        index[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = key
    return index
