"""One view as members of a session file, and back. Reading trusts nothing: what cannot be is refused with a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ui.archive import Archive, pack_arrays
from ui.quantise import quantised, restored
from ui.recording import Chip, Layer, Picture, Tokens, View, known_numbers, run_lengths

MAX_LAYERS = 512
Members = dict[str, bytes]


def view_members(view: View, folder: str = "") -> tuple[dict[str, Any], Members]:
    """What the header says of a view, and the files beside it. Weights are kept as one byte each (see `ui.quantise`)."""
    picture, members = picture_member(view.picture, folder)
    layers = []
    for position, layer in enumerate(view.layers):
        name = f"{folder}layers/{position:03d}.npz"
        members[name] = _layer_arrays(view, position)
        layers.append(_layer_header(layer) | {"arrays": name})
    header = {
        "title": view.title, "picture": picture, "layers": layers,
        "labels": view.labels, "probabilities": view.probabilities, "statistics": known_numbers(view.statistics),
        "chips": [[c.label, c.row, c.key, c.tower] for c in view.chips],
        "sinks": {str(k): v for k, v in view.sinks.items()}, "meta": view.meta,
    }  # fmt: skip
    return header, members


def view_from(archive: Archive, header: Mapping[str, Any]) -> View:
    """The view of a header and the files that it names."""
    picture = picture_from(archive, header["picture"])
    if len(header["layers"]) > MAX_LAYERS:
        raise ValueError(f"This session file has {len(header['layers'])} layers; at most {MAX_LAYERS} are read.")
    arrays = [archive.arrays(record["arrays"]) for record in header["layers"]]
    layers = tuple(_layer(record, found) for record, found in zip(header["layers"], arrays, strict=True))
    for layer, found in zip(layers, arrays, strict=True):
        _check_codes(layer, found)
    if len(header["labels"]) != len(header["probabilities"]):
        raise ValueError("This session file is damaged: there are not as many probabilities as names of classes.")
    return View(
        title=str(header["title"]),
        picture=picture,
        layers=layers,
        load=lambda position: restored(arrays[position]["codes"], arrays[position]["largest"]),
        labels=tuple(map(str, header["labels"])),
        probabilities=tuple(map(float, header["probabilities"])),
        statistics={str(k): tuple(tuple(map(_number, row)) for row in rows) for k, rows in header["statistics"].items()},
        chips=tuple(_chip(*values) for values in header["chips"]),
        sinks=_sinks(header["sinks"], layers),
        meta=dict(header["meta"]),
        recorded=True,
    )


def picture_member(picture: Picture, folder: str = "") -> tuple[dict[str, Any], Members]:
    """What the header says of a picture, and its file."""
    name = f"{folder}picture.{'png' if picture.mime == 'image/png' else 'jpg'}"
    return {"file": name, "width": picture.width, "height": picture.height}, {name: picture.data}


def picture_from(archive: Archive, header: Mapping[str, Any]) -> Picture:
    """The picture, which has the size that the header says."""
    picture = Picture.read(archive.bytes(header["file"]))
    if (picture.width, picture.height) != (header["width"], header["height"]):
        raise ValueError("This session file is damaged: the picture does not have the size that its header says.")
    return picture


def tokens_header(tokens: Tokens) -> list[list[Any]]:
    """The roles of tokens for the header; their boxes are in an array."""
    return run_lengths(tokens.roles)


def tokens_from(runs: list[list[Any]], boxes: np.ndarray) -> Tokens:
    """Tokens whose boxes are boxes."""
    if boxes.dtype != np.float32 or np.isinf(boxes).any():
        raise ValueError("This session file is damaged: the places of its tokens are no places.")
    return Tokens(_from_run_lengths(runs), boxes)


def _sinks(found: Mapping[str, Any], layers: tuple[Layer, ...]) -> dict[int, tuple[int, ...]]:
    sinks = {int(layer): tuple(map(int, keys)) for layer, keys in found.items()}
    for layer, keys in sinks.items():
        if not 0 <= layer < len(layers) or any(not 0 <= key < len(layers[layer].keys) for key in keys):
            raise ValueError(f"This session file is damaged: layer {layer} has no sinks {list(keys)[:4]}.")
    return sinks


def _chip(label: object, row: object, key: object, tower: object) -> Chip:
    if not all(number is None or (type(number) is int and number >= 0) for number in (row, key)):
        raise ValueError(f"This session file is damaged: the chip {label!r} has no row and column that could be.")
    return Chip(str(label), row, key, str(tower))  # type: ignore[arg-type]


def _check_codes(layer: Layer, found: Mapping[str, np.ndarray]) -> None:
    shape = (layer.heads, len(layer.queries), layer.keys_per_row)
    codes, largest, window_of = found["codes"], found["largest"], found["window_of"]
    if codes.shape != shape or codes.dtype != np.uint8 or largest.shape != shape[:2] or largest.dtype != np.float32:
        raise ValueError(f"This session file is damaged: {layer.name} should hold weights {shape}, it holds {codes.shape}.")
    windows_fit = window_of.shape == shape[1:2] and window_of.dtype == np.int32
    windows_fit = windows_fit and 0 <= window_of.min(initial=0) and window_of.max(initial=0) < layer.windows
    if not windows_fit or not np.isfinite(largest).all() or largest.min(initial=0) < 0:
        raise ValueError(f"This session file is damaged: {layer.name} holds numbers that no attention has.")


def _layer_header(layer: Layer) -> dict[str, Any]:
    return {
        "name": layer.name, "tower": layer.tower, "number": layer.number, "heads": layer.heads, "windows": layer.windows,
        "quality": layer.quality, "reason": layer.reason,
        "queries": tokens_header(layer.queries), "keys": tokens_header(layer.keys),
    }  # fmt: skip


def _layer_arrays(view: View, position: int) -> bytes:
    layer = view.layers[position]
    codes, largest = quantised(view.weights(position))
    return pack_arrays(
        codes=codes, largest=largest, window_of=layer.windows_of_rows,
        query_boxes=layer.queries.boxes.astype(np.float32), key_boxes=layer.keys.boxes.astype(np.float32),
    )  # fmt: skip


def _layer(record: Mapping[str, Any], found: Mapping[str, np.ndarray]) -> Layer:
    return Layer(
        name=str(record["name"]), tower=str(record["tower"]), number=int(record["number"]), heads=int(record["heads"]),
        queries=tokens_from(record["queries"], found["query_boxes"]),
        keys=tokens_from(record["keys"], found["key_boxes"]),
        windows=int(record["windows"]), window_of=found["window_of"],
        quality=str(record["quality"]), reason=str(record["reason"]),
    )  # fmt: skip


def _from_run_lengths(runs: list[list[Any]]) -> tuple[str, ...]:
    total = sum(int(count) for _, count in runs)
    if total > 10**6 or any(int(count) < 1 for _, count in runs):
        raise ValueError(f"This session file is damaged: it claims {total} tokens in one layer.")
    return tuple(str(role) for role, count in runs for _ in range(int(count)))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
