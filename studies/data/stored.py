"""A Hugging Face data set that was saved with `save_to_disk`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial
from typing import Any

from studies.data.record import Pending, Record, picture_of, text_of
from studies.data.source import Chunk, hashed, ranges
from studies.errors import StudyError, Unreadable
from studies.places import place


class Stored:
    """Rows of a data set on disk; columns are named, or found by their usual names."""

    def __init__(
        self, path: str, split: str = "", image: str = "", question: str = "", answer: str = "", label: str = ""
    ) -> None:  # fmt: skip
        self.place, self.split = place(path), split
        self.named = {"image": image, "question": question, "answer": answer, "label": label}

    @cached_property
    def _rows(self) -> Any:
        from datasets import DatasetDict, Image, load_from_disk

        try:
            found = load_from_disk(self.place.url)
        except (FileNotFoundError, ValueError) as error:
            raise StudyError(f"{self.place.url} holds no data set that save_to_disk wrote: {error}.") from error
        if isinstance(found, DatasetDict):
            split = self.split or next(iter(found))
            if split not in found:
                raise StudyError(f"the data set has no split {split!r}; it has {', '.join(found)}.")
            found = found[split]
        column = self.named["image"] or next((n for n, f in found.features.items() if isinstance(f, Image)), "")
        if column not in found.features or not isinstance(found.features[column], Image):
            there = ", ".join(found.features)
            raise StudyError(f"the data set has no column of pictures {column or 'at all'!r}; it has {there}.")
        self.columns = {"image": column} | {
            name: given or (name if name in found.features else "") for name, given in self.named.items() if name != "image"
        }
        missing = [given for given in self.columns.values() if given and given not in found.features]
        if missing:
            raise StudyError(f"the data set has no column {missing[0]!r}; it has {', '.join(found.features)}.")
        return found.cast_column(column, Image(decode=False))

    def fingerprint(self) -> str:
        """Of the number of rows, the columns and the files' own names and sizes."""
        rows = self._rows
        sizes = [(name, size) for name, size in self._files() if name.endswith(".arrow")]
        return hashed([len(rows), sorted(rows.features), self.split, *sizes])

    def _files(self) -> list[tuple[str, int]]:
        from studies.places import files_under

        return list(files_under(self.place, (".arrow",)))

    def chunks(self, size: int, limit: int | None) -> Iterator[Chunk]:
        """Ranges of rows."""
        return ranges(len(self._rows), size, limit)

    def pending(self, first: int, items: tuple[Any, ...]) -> Iterator[Pending]:
        """The rows of a range."""
        self._rows  # noqa: B018  columns are found before the threads start
        for number in range(*items):
            yield Pending(number, f"row {number}", partial(self._read, number))

    def _read(self, number: int) -> Record:
        row = self._rows[number]
        told = row[self.columns["image"]] or {}
        content = told.get("bytes")
        if content is None and told.get("path"):
            try:
                content = place(told["path"]).read()
            except OSError as error:
                raise Unreadable(f"the picture cannot be read: {error.strerror or error}") from error
        if content is None:
            raise Unreadable("the row has no picture")
        fields = {name: self._text(row, column) for name, column in self.columns.items() if name != "image"}
        return Record(f"row {number}", picture_of(content), fields["label"], fields["question"], fields["answer"])

    def _text(self, row: dict[str, Any], column: str) -> str | None:
        if not column or row[column] is None:
            return None
        names = getattr(self._rows.features[column], "names", None)
        return names[row[column]] if names and isinstance(row[column], int) and row[column] >= 0 else text_of(row[column])
