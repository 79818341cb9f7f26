"""A file of lines, each a JSON object with an image and perhaps a question and an answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from studies.data.folder import picture_at
from studies.data.record import Pending, Record, text_of
from studies.data.source import Chunk
from studies.errors import StudyError, Unreadable
from studies.places import place

_LONGEST = 1 << 20


class Lines:
    """Lines such as {"image": "a.jpg", "question": "Is there a dog?", "answer": "no"}; "text" and "label" are read too.

    `names`, with commas, are the things that answers may make up; "objects" in a line are those that are there.
    """

    def __init__(self, path: str, images: str = "", question: str = "", names: str = "") -> None:
        self.file, self.question = place(path), question or None
        self.names = tuple(name.strip() for name in names.split(",") if name.strip())
        if not self.file.exists():
            raise StudyError(f"{path} is not there: data of kind 'questions' is a file of JSON lines.")
        self.images = place(images or self.file.url.rpartition("/")[0] or ".")

    def fingerprint(self) -> str:
        """Of the whole file."""
        found = hashlib.sha256()
        with self.file.fs.open(self.file.path, "rb") as file:
            while part := file.read(1 << 20):
                found.update(part)
        return found.hexdigest()

    def chunks(self, size: int, limit: int | None) -> Iterator[Chunk]:
        """Byte ranges of some lines at a time: workers read no more than their own."""
        start = end = count = held = 0
        with self.file.fs.open(self.file.path, "rb") as file:
            for line in file:
                end += len(line)
                if line.strip():
                    count, held = count + 1, held + 1
                done = limit is not None and count >= limit
                if held and (held == size or done):
                    yield count - held, (start, end)
                    start, held = end, 0
                if done:
                    return
        if held:
            yield count - held, (start, end)

    def pending(self, first: int, items: tuple[Any, ...]) -> Iterator[Pending]:
        """The records of these bytes."""
        start, end = items
        lines = self.file.fs.cat_file(self.file.path, start=start, end=end).split(b"\n")
        for number, line in enumerate((line for line in lines if line.strip()), first):
            yield Pending(number, f"line {number + 1}", partial(self._read, number, line))

    def _read(self, number: int, line: bytes) -> Record:
        if len(line) > _LONGEST:
            raise Unreadable(f"the line is longer than {_LONGEST} bytes")
        try:
            told = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"the line holds no JSON: {str(error)[:120]}") from error
        name = told.get("image") if isinstance(told, dict) else None
        if not isinstance(name, str) or not name:
            raise Unreadable("the line has no 'image'")
        if name.startswith("/") or ".." in name.split("/") or "://" in name:
            raise Unreadable(f"the image lies outside the folder of images: {name[:80]!r}")
        question, answer = told.get("question", told.get("text")), told.get("answer", told.get("label"))
        objects = told.get("objects")
        things = tuple(str(one) for one in objects) if isinstance(objects, list) else None
        picture, said = picture_at(self.images / name), text_of(answer)
        record = Record(f"{number}:{name}", picture, None, text_of(question), said, things, self.names)
        return record.asked(self.question)
