"""A folder of pictures, in folders named after their classes or not (ImageFolder)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from studies.data.record import Pending, Record, picture_of
from studies.data.source import Chunk, hashed, in_chunks
from studies.errors import StudyError, Unreadable
from studies.places import Place, files_under, place

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


class Folder:
    """Every picture under a folder, sorted by path; its class is the folder that it lies in."""

    def __init__(self, path: str, question: str = "") -> None:
        self.root, self.question = place(path), question or None
        if not self.root.fs.isdir(self.root.path):
            raise StudyError(f"{path} is no folder: data of kind 'images' is a folder of pictures.")

    def fingerprint(self) -> str:
        """Of all paths and sizes."""
        return hashed(files_under(self.root, ENDINGS))

    def chunks(self, size: int, limit: int | None) -> Iterator[Chunk]:
        """Paths, some at a time."""
        return in_chunks((name for name, _ in files_under(self.root, ENDINGS)), size, limit)

    def pending(self, first: int, items: tuple[Any, ...]) -> Iterator[Pending]:
        """The pictures of these paths."""
        for place_, name in enumerate(items):
            yield Pending(first + place_, name, partial(self._read, name))

    def _read(self, name: str) -> Record:
        label = name.split("/")[-2] if "/" in name else None
        return Record(name, picture_at(self.root / name), label).asked(self.question)


def picture_at(file: Place) -> Any:
    """The picture in a file."""
    try:
        content = file.read()
    except FileNotFoundError as error:
        raise Unreadable("the picture is not there") from error
    except OSError as error:
        raise Unreadable(f"the picture cannot be read: {error.strerror or error}") from error
    return picture_of(content)
