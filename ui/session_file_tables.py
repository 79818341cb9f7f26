"""Tables in session files: numbers as arrays, texts as numbers of a list of texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ui.archive import Archive, pack_arrays

Columns = Mapping[str, np.ndarray]
"""Columns of equal length by name."""
KINDS: Mapping[str, np.dtype[Any]] = {
    "number": np.dtype("f8"), "whole": np.dtype("i8"), "flag": np.dtype("u1"), "text": np.dtype("i4"),
}  # fmt: skip


def columns_members(columns: Columns, folder: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What the header says of a table, and the file of its arrays."""
    told: list[list[Any]] = []
    arrays: dict[str, np.ndarray] = {}
    for number, (name, given) in enumerate(columns.items()):
        column = np.asarray(given)
        kind, texts = _kind(column), []
        if kind == "text":
            # As objects: an array of characters would lose zeros at the end of a text.
            known, column = np.unique(np.array([str(text) for text in column], object), return_inverse=True)
            texts = known.tolist()
        told.append([name, kind, texts])
        arrays[f"c{number}"] = column.astype(KINDS[kind])
    file = f"{folder}table.npz"
    return {"file": file, "columns": told}, {file: pack_arrays(**arrays)}


def columns_from(archive: Archive, header: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The columns of a header; all of one length."""
    arrays = archive.arrays(header["file"])
    found = {str(name): _column(arrays[f"c{n}"], str(kind), texts) for n, (name, kind, texts) in enumerate(header["columns"])}
    if len(found) != len(header["columns"]) or len({len(column) for column in found.values()}) > 1:
        raise ValueError("This session file is damaged: the columns of a table do not fit together.")
    return found


def _column(array: np.ndarray, kind: str, texts: list[Any]) -> np.ndarray:
    if kind not in KINDS or array.dtype != KINDS[kind] or array.ndim != 1:
        raise ValueError(f"This session file is damaged: a column is said to be {kind!r} and is not.")
    if kind == "flag":
        return array.astype(bool)
    if kind != "text":
        return array
    if array.min(initial=0) < 0 or array.max(initial=-1) >= len(texts):
        raise ValueError("This session file is damaged: a column names texts that are not there.")
    return np.array([str(text) for text in texts], object)[array] if len(array) else np.array([], object)


def _kind(column: np.ndarray) -> str:
    return {"f": "number", "i": "whole", "u": "whole", "b": "flag"}.get(column.dtype.kind, "text")
