"""Layouts on disk. Measuring costs several forward passes and depends only on the model's form and the input's sizes.

One file per key, in HEADLIGHT_CACHE or ~/.cache/headlight/geometry: arrays only, no pickle. A damaged file counts as none.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model_adapters.geometry.originals import Originals
from model_adapters.geometry.reanchor import Anchors
from model_adapters.geometry.records import Key
from model_adapters.layout import ROLES, Layout, Rows
from model_adapters.model import Model

FORMAT = 1
"""Raised whenever measured layouts change."""
_SIDES = ("queries", "keys", "values")


def folder() -> Path:
    """Where layouts are kept."""
    given = os.environ.get("HEADLIGHT_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "headlight" / "geometry"


def key_of(model: Model, originals: Originals) -> str:
    """A hash of everything that layouts depend on."""
    anchors = Anchors.of(originals)
    given = {n: v for n, v in originals.inputs.tensors.items() if not (anchors.positions and _along_text(v, anchors.length))}
    tensors = [len(anchors.positions), *sorted((n, _described(v)) for n, v in given.items())]
    sizes = [p.size for p in originals.pictures]
    stated = [FORMAT, model.form, tensors, sizes, _processor(model.processor), _libraries()]
    return hashlib.sha256(repr(stated).encode()).hexdigest()[:32]


def read(key: str) -> tuple[dict[Key, Layout], Anchors] | None:
    """The layouts of a key and the prompt they were measured under; None where there are none, or the file is damaged."""
    try:
        with (folder() / f"{key}.npz").open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return _opened(stored)
    except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def write(key: str, layouts: dict[Key, Layout], anchors: Anchors) -> None:
    """Store layouts; other processes see the whole file or none. A folder that cannot be written keeps nothing."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder(), suffix=".part", delete=False) as file:
            np.savez(file, **_closed(layouts, anchors))
        os.replace(file.name, folder() / f"{key}.npz")
    except OSError:
        return


def _closed(layouts: dict[Key, Layout], anchors: Anchors) -> dict[str, Any]:
    """Arrays of all distinct rows, one behind the other, and a table that says which site has which."""
    known: dict[bytes, int] = {}
    parts: list[np.ndarray] = []
    table = []
    for (name, call), layout in layouts.items():
        numbers = []
        for side in _SIDES:
            packed = _packed(getattr(layout, side))
            number = known.setdefault(packed.tobytes(), len(parts))
            if number == len(parts):
                parts.append(packed)
            numbers.append(number)
        table.append([name, call, numbers, layout.windows, layout.quality, layout.reason, list(layout.size)])
    lengths = [len(part) for part in parts]
    return {"rows": np.concatenate(parts), "table": np.array(json.dumps([lengths, table, [anchors.length, anchors.positions]]))}


def _opened(stored: Any) -> tuple[dict[Key, Layout], Anchors]:
    rows, (lengths, table, (length, positions)) = stored["rows"], json.loads(str(stored["table"]))
    if rows.ndim != 2 or rows.shape != (sum(lengths), 8):
        raise ValueError("The table does not fit the rows.")
    made = [_unpacked(part) for part in np.split(rows, np.cumsum(lengths)[:-1])]
    layouts = {
        (name, call): Layout(made[q], made[k], made[v], windows, quality, reason, (size[0], size[1]))
        for name, call, (q, k, v), windows, quality, reason, size in table
    }
    return layouts, Anchors(length, tuple(positions))


def _packed(rows: Rows) -> np.ndarray:
    """[N, 8] float32: role, box, image, tile, frame."""
    roles = np.array([ROLES.index(role) for role in rows.roles], np.float32).reshape(-1, 1)
    numbers = np.stack([rows.image, rows.tile, rows.frame], axis=1)
    return np.concatenate([roles, rows.boxes, numbers], axis=1).astype(np.float32)


def _unpacked(part: np.ndarray) -> Rows:
    roles = np.array(ROLES, dtype=object)[part[:, 0].astype(int)]
    image, tile, frame = part[:, 5:].T.astype(np.int16)
    return Rows(roles, np.ascontiguousarray(part[:, 1:5]), image, tile, frame)


@lru_cache(maxsize=1)
def _libraries() -> tuple[tuple[str, str], ...]:
    return tuple((name, version(name)) for name in ("torch", "timm", "transformers"))


def _along_text(value: Any, length: int) -> bool:
    """Whether a tensor says something about every token of the prompt (ids, masks, kinds of tokens)."""
    return isinstance(value, torch.Tensor) and not value.is_floating_point() and value.dim() > 1 and value.shape[1] == length


def _described(value: Any) -> str:
    """Shape and type, and the numbers of small integer tensors: ids, grids and masks say where tokens are."""
    if not isinstance(value, torch.Tensor):
        return str([_described(v) for v in value]) if isinstance(value, (list, tuple)) else repr(value)
    what = f"{tuple(value.shape)} {value.dtype}"
    if value.is_floating_point():
        return what
    return what + hashlib.sha256(value.cpu().numpy().tobytes()).hexdigest()


def _processor(processor: Any) -> str:
    """A processor's settings: the JSON of transformers, or what a transform prints."""
    for part in (getattr(processor, "image_processor", None), processor):
        stated = getattr(part, "to_json_string", None)
        if stated is not None:
            return stated()
    return repr(processor)
