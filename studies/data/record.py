"""One record of a data set: a picture and what is known of it, read only when its turn comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from model_adapters.images import read_image
from studies.errors import Unreadable


@dataclass(frozen=True, eq=False)
class Record:
    """A picture, and whatever the data says of it."""

    key: str
    """As the data calls it: a path, a number, a name in a shard."""
    image: Image.Image
    """RGB, upright."""
    label: str | None = None
    question: str | None = None
    answer: str | None = None
    objects: tuple[str, ...] | None = None
    """Names of the things that are there; None where the data does not say."""
    names: tuple[str, ...] = ()
    """Names of all things that the data knows of: those that are not there can be made up."""

    def asked(self, question: str | None) -> Record:
        """With this question, unless the data has its own."""
        return self if self.question is not None or question is None else replace(self, question=question)


@dataclass(frozen=True, eq=False)
class Pending:
    """A record that is not read yet."""

    number: int
    """Of all records of the data set."""
    key: str
    read: Callable[[], Record]
    """Reads and decodes it, or raises `Unreadable`; called in a thread."""


def picture_of(content: bytes) -> Image.Image:
    """The decoded picture, upright, in RGB."""
    if not content:
        raise Unreadable("the file of the picture is empty")
    try:
        return read_image(content)
    except ValueError as error:
        raise Unreadable(str(error)) from error


def text_of(value: Any) -> str | None:
    """A field as text; None stays None."""
    return None if value is None else str(value)
