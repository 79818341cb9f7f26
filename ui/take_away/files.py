"""A result as a file: CSV and Parquet of its flat table, NPZ of all its arrays. No pickle anywhere."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def as_csv(result: Any) -> bytes:
    """The flat table as text, every number with all its digits."""
    import pyarrow.csv as csv

    stream = io.BytesIO()
    csv.write_csv(_arrow(result), stream)
    return stream.getvalue()


def as_parquet(result: Any) -> bytes:
    """The flat table with types."""
    import pyarrow.parquet as parquet

    stream = io.BytesIO()
    parquet.write_table(_arrow(result), stream)
    return stream.getvalue()


def as_npz(result: Any) -> bytes:
    """All arrays, numbers and names of the record under their field names, nested ones with a dot."""
    stream = io.BytesIO()
    found = dict(_arrays(result, ""))
    np.savez_compressed(stream, allow_pickle=False, **found)  # type: ignore[arg-type]
    return stream.getvalue()


def _arrow(result: Any) -> Any:
    import pyarrow as pa

    return pa.table({name: pa.array(np.ascontiguousarray(array)) for name, array in columns_of(result).items()})


def columns_of(result: Any) -> dict[str, np.ndarray]:
    """The flat table of a result; columns that were read from a session file are one already."""
    if isinstance(result, dict):
        return result
    from ui.take_away.tables import table

    return table(result)


def _arrays(value: Any, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """Whatever a record holds, as arrays that need no code to be read; None is left out."""
    if value is None:
        return
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from _arrays(getattr(value, field.name), _under(name, field.name))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _arrays(item, _under(name, str(key)))
    elif isinstance(value, (tuple, list)):
        yield from _sequence(value, name)
    else:
        yield name or "value", _plain(np.asarray(value))


def _sequence(value: Sequence[Any], name: str) -> Iterator[tuple[str, np.ndarray]]:
    """Scalars become one array, records one array per field, tuples of one length one array per place."""
    if all(isinstance(item, (str, int, float, bool, np.number)) for item in value):
        yield name or "value", np.asarray(value)
    elif len(kinds := {type(item) for item in value}) == 1 and is_dataclass(kind := kinds.pop()):
        for field in fields(kind):
            yield from _sequence([getattr(item, field.name) for item in value], _under(name, field.name))
    elif all(isinstance(item, tuple) for item in value) and len({len(item) for item in value}) == 1:
        for place in range(len(value[0])):
            yield from _sequence([item[place] for item in value], _under(name, str(place)))
    else:
        for number, item in enumerate(value):
            yield from _arrays(item, _under(name, str(number)))


def _plain(array: np.ndarray) -> np.ndarray:
    return array.astype(str) if array.dtype == object else array


def _under(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part
