"""What a data set can do, and the table of its kinds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any, Protocol, get_type_hints

from studies.data.record import Pending
from studies.errors import StudyError
from studies.spec import DataSpec, plain_pairs

Chunk = tuple[int, tuple[Any, ...]]
"""The number of the first record, and what the reader needs to find the records: plain data."""


class Source(Protocol):
    """A data set that is listed in chunks and read chunk by chunk, by whichever process."""

    def fingerprint(self) -> str:
        """A hash of what the data set consists of: it changes when records come, go or change size."""
        ...

    def chunks(self, size: int, limit: int | None) -> Iterator[Chunk]:
        """The records in their order, `size` at a time where the data allows it."""
        ...

    def pending(self, first: int, items: tuple[Any, ...]) -> Iterator[Pending]:
        """The records of one chunk, not read yet."""
        ...


KINDS: dict[str, str] = {
    "images": "studies.data.folder:Folder",
    "coco": "studies.data.annotated:Annotated",
    "questions": "studies.data.lines:Lines",
    "shards": "studies.data.tars:Tars",
    "dataset": "studies.data.stored:Stored",
    "world": "world.study_records:Scenes",
}
"""Where each kind of data is made, as module:name; modules are imported when their kind is used."""


def opened(data: DataSpec) -> Source:
    """The data set of a study."""
    if data.kind not in KINDS:
        raise StudyError(f"data is of a kind among {', '.join(KINDS)}. Got {data.kind!r:.80} instead.")
    module, _, name = KINDS[data.kind].partition(":")
    maker: Callable[..., Source] = getattr(import_module(module), name)
    options = plain_pairs(data.options)
    known = {name: kind for name, kind in get_type_hints(maker.__init__).items() if name != "return"}  # type: ignore[misc]
    unknown = [key for key in options if key not in known]
    if unknown:
        names = ", ".join(known)
        raise StudyError(f"data of kind {data.kind!r} has no {unknown[0]!r:.80}; it has {names}.")
    for key, value in options.items():
        if not isinstance(value, known[key]) or (known[key] is int and isinstance(value, bool)):
            raise StudyError(f"{key} of the data must be a {known[key].__name__}. Got {value!r:.80}.")
    try:
        return maker(**options)
    except TypeError as error:
        missing = str(error).rpartition("argument")[2].strip(" :s'")
        raise StudyError(f"data of kind {data.kind!r} needs {missing or 'more options'}.") from error
    except FileNotFoundError as error:
        raise StudyError(f"the data is not there: {error}.") from error


def in_chunks(entries: Iterable[Any], size: int, limit: int | None) -> Iterator[Chunk]:
    """Entries some at a time."""
    held: list[Any] = []
    count = 0
    for entry in entries:
        if limit is not None and count >= limit:
            break
        held.append(entry)
        count += 1
        if len(held) == size:
            yield count - len(held), tuple(held)
            held = []
    if held:
        yield count - len(held), tuple(held)


def ranges(count: int, size: int, limit: int | None) -> Iterator[Chunk]:
    """Numbered records some at a time; an item is (first, behind the last)."""
    count = count if limit is None else min(count, limit)
    for first in range(0, count, size):
        yield first, (first, min(first + size, count))


def hashed(parts: Iterable[Any]) -> str:
    """One hash of many parts."""
    found = hashlib.sha256()
    for part in parts:
        found.update(f"{part!r}\n".encode())
    return found.hexdigest()
