"""What the viewer shows of one picture and one model, and the session file it is kept in.

Version 1 of the file is one zip: `view.json`, the picture, and one NPZ per layer. Reading needs no model and trusts
nothing: sizes are checked before anything is unpacked, and arrays are read without pickle.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ui.archive import Archive, pack_arrays, picture_size
from ui.quantise import quantised, restored

FORMAT, VERSION = "headlight-session", 1
MAX_LAYERS = 512
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Picture:
    """The bytes of a PNG or JPEG file, and its size in pixels."""

    data: bytes
    width: int
    height: int

    @property
    def mime(self) -> str:
        """The media type of the bytes."""
        return "image/png" if self.data.startswith(b"\x89PNG") else "image/jpeg"

    @staticmethod
    def read(data: bytes) -> Picture:
        """A picture whose size is read from its own header."""
        width, height = picture_size(data)
        return Picture(data, width, height)


@dataclass(frozen=True, eq=False)
class Tokens:
    """Rows or columns of attention."""

    roles: tuple[str, ...]
    """[N]: patch, class, register, text ..."""
    boxes: np.ndarray
    """[N, 4] float32: x0, y0, x1, y1 in pixels of the picture; NaN where the token has no place."""

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.roles), 4):
            raise ValueError(f"tokens need one box [4] per role. Got {len(self.roles)} roles and boxes {self.boxes.shape}.")

    def __len__(self) -> int:
        return len(self.roles)

    @property
    def placed(self) -> np.ndarray:
        """[N] bool: the tokens that have a place."""
        return ~np.isnan(self.boxes[:, 0])


@dataclass(frozen=True, eq=False)
class Layer:
    """One attention computation: who asks, who is looked at."""

    name: str
    tower: str
    number: int
    heads: int
    queries: Tokens
    keys: Tokens
    """Window by window; a row meets the keys of its own window."""
    windows: int = 1
    window_of: np.ndarray | None = None
    """[Q] int32: the window of each row; rows are numbered window by window where this is None."""
    quality: str = "tile"
    """tile, box or none."""
    reason: str = ""
    """Why nothing can be drawn, or only boxes."""

    def __post_init__(self) -> None:
        if self.windows < 1 or len(self.keys) % self.windows:
            raise ValueError(f"{self.name}: {len(self.keys)} keys cannot be shared by {self.windows} windows.")
        if self.window_of is None and len(self.queries) % self.windows:
            raise ValueError(f"{self.name}: {len(self.queries)} rows cannot be shared by {self.windows} windows.")

    @property
    def keys_per_row(self) -> int:
        """How many keys one row meets."""
        return len(self.keys) // self.windows

    @property
    def windows_of_rows(self) -> np.ndarray:
        """[Q] int32: the window of each row."""
        if self.window_of is not None:
            return self.window_of.astype(np.int32)
        return (np.arange(len(self.queries)) // (len(self.queries) // self.windows)).astype(np.int32)


@dataclass(frozen=True)
class Chip:
    """A token without a place on the picture that can be asked: its name, its row and its column, if it has them."""

    label: str
    row: int | None = None
    key: int | None = None
    tower: str = ""
    """The tower whose rows these are; empty for every layer."""


@dataclass(frozen=True, eq=False)
class View:
    """All that the viewer needs for one picture and one model. Weights are fetched layer by layer."""

    title: str
    picture: Picture
    layers: tuple[Layer, ...]
    load: Callable[[int], np.ndarray]
    """Layer position -> weights [H, Q, K]; windowed sites [H, windows * Q, K]."""
    labels: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    statistics: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    """Name -> [L][H]; NaN where a head has no such number."""
    chips: tuple[Chip, ...] = ()
    """Words and other rows to offer beside those without place that every layer has."""
    sinks: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Layer position -> key numbers of its sinks, where somebody found them; the viewer finds the others itself."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    recorded: bool = False

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("a view needs at least one layer of attention. Got none.")
        for name, rows in self.statistics.items():
            if [len(row) for row in rows] != [layer.heads for layer in self.layers]:
                raise ValueError(f"statistic {name!r} needs one number per head of each layer. Got {[len(r) for r in rows]}.")

    def weights(self, layer: int) -> np.ndarray:
        """[H, Q, K] of the layer at this position, checked against its layout."""
        if not 0 <= layer < len(self.layers):
            raise ValueError(f"layer {layer} was asked for; there are {len(self.layers)}, numbered from 0.")
        found, record = self.load(layer), self.layers[layer]
        expected = (record.heads, len(record.queries), record.keys_per_row)
        if found.shape != expected:
            raise ValueError(f"{record.name}: weights must be {expected} (heads, rows, keys). Got {found.shape}.")
        return found


def write_view(path: str | Path, view: View) -> None:
    """Write a session file. Weights are kept as one byte each (see `ui.quantise`)."""
    suffix = "png" if view.picture.mime == "image/png" else "jpg"
    parts: dict[str, bytes] = {f"picture.{suffix}": view.picture.data}
    layers = []
    for position, layer in enumerate(view.layers):
        name = f"layers/{position:03d}.npz"
        parts[name] = _layer_arrays(view, position)
        layers.append(_layer_header(layer) | {"arrays": name})
    header = {
        "format": FORMAT, "version": VERSION, "title": view.title,
        "picture": {"file": f"picture.{suffix}", "width": view.picture.width, "height": view.picture.height},
        "layers": layers, "labels": view.labels, "probabilities": view.probabilities,
        "statistics": known_numbers(view.statistics), "chips": [[c.label, c.row, c.key, c.tower] for c in view.chips],
        "sinks": {str(k): v for k, v in view.sinks.items()}, "meta": view.meta,
    }  # fmt: skip
    text = json.dumps(header, default=_plain, allow_nan=False).encode()
    target = Path(path)
    draft = target.with_name(target.name + ".part")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in {"view.json": text, **parts}.items():
            info = zipfile.ZipInfo(name, _DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    draft.replace(target)


def read_view(path: str | Path | io.BytesIO) -> View:
    """A view from a session file.

    Raises:
        ValueError: the file is not a session file, is damaged, or would unpack to more than it may.
    """
    with Archive(path) as archive:
        header = archive.json("view.json")
        if header.get("format") != FORMAT:
            raise ValueError("This zip is not a Headlight session: its view.json does not say so.")
        if header.get("version") != VERSION:
            raise ValueError(f"This session file has version {header.get('version')!r}; this program reads version {VERSION}.")
        try:
            return _view(archive, header)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"This session file is damaged: view.json lacks or garbles {error}.") from error


def _view(archive: Archive, header: dict[str, Any]) -> View:
    picture = Picture.read(archive.bytes(header["picture"]["file"]))
    if (picture.width, picture.height) != (header["picture"]["width"], header["picture"]["height"]):
        raise ValueError("This session file is damaged: the picture does not have the size that view.json says.")
    if len(header["layers"]) > MAX_LAYERS:
        raise ValueError(f"This session file has {len(header['layers'])} layers; at most {MAX_LAYERS} are read.")
    arrays = [archive.arrays(record["arrays"]) for record in header["layers"]]
    layers = tuple(_layer(record, found) for record, found in zip(header["layers"], arrays, strict=True))
    for layer, found in zip(layers, arrays, strict=True):
        _check_codes(layer, found)
    return View(
        title=str(header["title"]),
        picture=picture,
        layers=layers,
        load=lambda position: restored(arrays[position]["codes"], arrays[position]["largest"]),
        labels=tuple(map(str, header["labels"])),
        probabilities=tuple(map(float, header["probabilities"])),
        statistics={str(k): tuple(tuple(map(_number, row)) for row in rows) for k, rows in header["statistics"].items()},
        chips=tuple(_chip(*values) for values in header["chips"]),
        sinks={int(k): tuple(map(int, v)) for k, v in header["sinks"].items()},
        meta=dict(header["meta"]),
        recorded=True,
    )


def _chip(label: object, row: object, key: object, tower: object) -> Chip:
    if not all(number is None or (type(number) is int and number >= 0) for number in (row, key)):
        raise ValueError(f"This session file is damaged: the chip {label!r} has no row and column that could be.")
    return Chip(str(label), row, key, str(tower))  # type: ignore[arg-type]


def _check_codes(layer: Layer, found: Mapping[str, np.ndarray]) -> None:
    shape = (layer.heads, len(layer.queries), layer.keys_per_row)
    codes, largest = found["codes"], found["largest"]
    if codes.shape != shape or codes.dtype != np.uint8 or largest.shape != shape[:2] or largest.dtype != np.float32:
        raise ValueError(f"This session file is damaged: {layer.name} should hold weights {shape}, it holds {codes.shape}.")
    if not np.isfinite(largest).all() or largest.min(initial=0) < 0 or layer.windows_of_rows.max(initial=0) >= layer.windows:
        raise ValueError(f"This session file is damaged: {layer.name} holds numbers that no attention has.")


def _layer_header(layer: Layer) -> dict[str, Any]:
    return {
        "name": layer.name, "tower": layer.tower, "number": layer.number, "heads": layer.heads, "windows": layer.windows,
        "quality": layer.quality, "reason": layer.reason,
        "queries": run_lengths(layer.queries.roles), "keys": run_lengths(layer.keys.roles),
    }  # fmt: skip


def _layer_arrays(view: View, position: int) -> bytes:
    layer = view.layers[position]
    codes, largest = quantised(view.weights(position))
    return pack_arrays(
        codes=codes, largest=largest, window_of=layer.windows_of_rows,
        query_boxes=layer.queries.boxes.astype(np.float32), key_boxes=layer.keys.boxes.astype(np.float32),
    )  # fmt: skip


def _layer(record: dict[str, Any], found: Mapping[str, np.ndarray]) -> Layer:
    return Layer(
        name=str(record["name"]), tower=str(record["tower"]), number=int(record["number"]), heads=int(record["heads"]),
        queries=Tokens(_from_run_lengths(record["queries"]), found["query_boxes"]),
        keys=Tokens(_from_run_lengths(record["keys"]), found["key_boxes"]),
        windows=int(record["windows"]), window_of=found["window_of"],
        quality=str(record["quality"]), reason=str(record["reason"]),
    )  # fmt: skip


def run_lengths(roles: tuple[str, ...]) -> list[list[Any]]:
    """Roles as [role, how many in a row]: short for the usual "class, then patches"."""
    runs: list[list[Any]] = []
    for role in roles:
        if runs and runs[-1][0] == role:
            runs[-1][1] += 1
        else:
            runs.append([str(role), 1])
    return runs


def _from_run_lengths(runs: list[list[Any]]) -> tuple[str, ...]:
    total = sum(int(count) for _, count in runs)
    if total > 10**6 or any(int(count) < 1 for _, count in runs):
        raise ValueError(f"This session file is damaged: it claims {total} tokens in one layer.")
    return tuple(str(role) for role, count in runs for _ in range(int(count)))


def known_numbers(statistics: Mapping[str, tuple[tuple[float, ...], ...]]) -> dict[str, list[list[float | None]]]:
    """The statistics for JSON: None where a head has no such number."""
    return {
        name: [[None if math.isnan(value) else float(value) for value in row] for row in rows]
        for name, rows in statistics.items()
    }


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _plain(value: Any) -> Any:
    if isinstance(value, (np.integer, np.floating)):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be written to view.json; numbers, texts, lists and mappings can.")


__all__ = ["Chip", "Layer", "Picture", "Tokens", "View", "known_numbers", "read_view", "run_lengths", "write_view"]
