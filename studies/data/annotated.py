"""Pictures with annotations in COCO's format: what is in each picture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property, partial
from typing import Any

from analysis.evaluation.coco import annotated
from studies.data.folder import picture_at
from studies.data.record import Pending, Record
from studies.data.source import Chunk, hashed, in_chunks
from studies.errors import StudyError, Unreadable
from studies.places import place


class Annotated:
    """The pictures of an annotations file, in its order, with the names of the things in them."""

    def __init__(self, annotations: str, images: str = "", question: str = "") -> None:
        self.file, self.question = place(annotations), question or None
        folder = images or self.file.url.rpartition("/")[0] + "/images"
        self.images = place(folder)

    @cached_property
    def _found(self) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...], str]:
        """Names of all things, names and things of the pictures, and the hash of the file. Workers never need it."""
        if not self.file.exists():
            raise StudyError(f"{self.file.url} is not there: data of kind 'coco' needs a file such as instances_val2014.json.")
        content = self.file.read()
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise StudyError(f"{self.file.url} holds no JSON: {error}.") from error
        try:
            entries, broken = annotated(document, self.file.url)
        except ValueError as error:
            raise StudyError(str(error)) from error
        names = tuple(dict.fromkeys(thing for _, things, _ in entries for thing in things))
        rows = tuple((name, things) for name, things, _ in entries)
        return names, rows + tuple(("", (reason,)) for reason in broken), hashed([content])

    def fingerprint(self) -> str:
        """Of the annotations; the pictures are named there."""
        return self._found[2]

    def chunks(self, size: int, limit: int | None) -> Iterator[Chunk]:
        """All names, then (file name, things), some at a time; broken annotations come last, as records without a file."""
        names, rows, _ = self._found
        for first, items in in_chunks(rows, size, limit):
            yield first, (names, *items)

    def pending(self, first: int, items: tuple[Any, ...]) -> Iterator[Pending]:
        """The pictures of these entries."""
        names, *entries = items
        for number, (name, things) in enumerate(entries, first):
            yield Pending(number, name or f"annotation record {number}", partial(self._read, name, tuple(things), tuple(names)))

    def _read(self, name: str, things: tuple[str, ...], names: tuple[str, ...]) -> Record:
        if not name:
            raise Unreadable(things[0])
        return Record(name, picture_at(self.images / name), objects=things, names=names).asked(self.question)
