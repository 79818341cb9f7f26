"""WebDataset shards: tar files whose neighbouring members of one name make one record."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from functools import partial
from typing import Any

from studies.data.folder import ENDINGS
from studies.data.record import Pending, Record, picture_of, text_of
from studies.data.source import Chunk, hashed
from studies.errors import StudyError, Unreadable
from studies.places import Place, place

_APART = 10_000_000
"""Records are numbered from this much times the number of their tar, as nobody knows how many the others hold."""


class Tars:
    """Tar files, read as streams; one tar is one shard. `path` may hold * and ?, or name a folder of tars."""

    def __init__(self, path: str, question: str = "") -> None:
        self.root, self.question = place(path), question or None

    def _tars(self) -> list[tuple[str, int]]:
        fs, path = self.root.fs, self.root.path
        pattern = path if any(sign in path for sign in "*?[") else f"{path.rstrip('/')}/*.tar" if fs.isdir(path) else path
        found = fs.glob(pattern, detail=True)
        if not found:
            raise StudyError(f"{self.root.url} names no tar file: data of kind 'shards' is a folder or a pattern of tars.")
        return [(name, int(found[name].get("size") or 0)) for name in sorted(found)]

    def fingerprint(self) -> str:
        """Of the names and sizes of the tars."""
        return hashed(self._tars())

    def chunks(self, size: int, limit: int | None) -> Iterator[Chunk]:
        """One tar at a time, whatever `size` says; with a limit the records are counted first."""
        left = limit
        for number, (path, _) in enumerate(self._tars()):
            if left is None:
                yield number * _APART, (path, -1)
                continue
            there = sum(1 for _, one in zip(range(left), self._samples(path), strict=False) if one)
            if there:
                yield number * _APART, (path, there)
            left -= there
            if left <= 0:
                return

    def pending(self, first: int, items: tuple[Any, ...]) -> Iterator[Pending]:
        """The records of one tar; what its end lacks is one broken record."""
        path, most = items
        for place_, (key, parts) in enumerate(self._samples(path)):
            if 0 <= most <= place_:
                return
            yield Pending(first + place_, f"{path.rsplit('/', 1)[-1]}/{key}", partial(self._read, path, key, parts))

    def _samples(self, path: str) -> Iterator[tuple[str, dict[str, bytes]]]:
        key, parts = "", dict[str, bytes]()
        try:
            with self.root.fs.open(path, "rb") as stream, tarfile.open(fileobj=stream, mode="r|*") as tar:
                for member in tar:
                    if not member.isfile():
                        continue
                    folder, _, name = member.name.rpartition("/")
                    stem, _, ending = name.partition(".")
                    own = f"{folder}/{stem}" if folder else stem
                    if own != key:
                        if parts:
                            yield key, parts
                        key, parts = own, {}
                    file = tar.extractfile(member)
                    parts[ending.lower()] = file.read() if file is not None else b""
        except (tarfile.TarError, EOFError, OSError) as error:
            if parts:
                yield key, parts
            yield "end of the tar", {"fault": str(error).encode()}
            return
        if parts:
            yield key, parts

    def _read(self, path: str, key: str, parts: dict[str, bytes]) -> Record:
        if "fault" in parts:
            raise Unreadable(f"the tar cannot be read to its end: {parts['fault'].decode(errors='replace')[:120]}")
        image = next((parts[end] for end in parts if f".{end.rsplit('.', 1)[-1]}" in ENDINGS), None)
        if image is None:
            raise Unreadable(f"no picture among {sorted(parts)}")
        told = _json(parts["json"]) if "json" in parts else {}
        label = parts["cls"].decode(errors="replace").strip() if "cls" in parts else text_of(told.get("label"))
        text = parts["txt"].decode(errors="replace").strip() if "txt" in parts else None
        name = f"{Place(self.root.fs, path).path.rsplit('/', 1)[-1]}/{key}"
        question = text_of(told.get("question"))
        return Record(name, picture_of(image), label, question, text_of(told.get("answer", text))).asked(self.question)


def _json(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"its JSON cannot be read: {str(error)[:120]}") from error
    return found if isinstance(found, dict) else {}
