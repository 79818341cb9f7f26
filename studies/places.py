"""Folders and files by path or URL, wherever fsspec reaches: reading, listing, and writing so that no half file is seen."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from studies.errors import StudyError


@dataclass(frozen=True)
class Place:
    """A folder or file on some file system."""

    fs: Any
    path: str

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine's own file system."""
        return isinstance(self.fs, LocalFileSystem)

    @property
    def url(self) -> str:
        """The path with its protocol, as other processes would name it."""
        return self.path if self.is_local else str(self.fs.unstrip_protocol(self.path))

    def __truediv__(self, name: str) -> Place:
        """A file or folder inside."""
        return Place(self.fs, f"{self.path.rstrip('/')}/{name}")

    def exists(self) -> bool:
        """Whether it is there."""
        return bool(self.fs.exists(self.path))

    def read(self) -> bytes:
        """The whole content."""
        return bytes(self.fs.cat_file(self.path))

    def names(self) -> list[str]:
        """The names of what lies in the folder, sorted; none where there is no folder."""
        self.fs.invalidate_cache(self.path)
        try:
            found = self.fs.ls(self.path, detail=False)
        except FileNotFoundError:
            return []
        return sorted(str(one).rstrip("/").rsplit("/", 1)[-1] for one in found)

    def entries(self) -> dict[str, dict[str, Any]]:
        """What lies in the folder, by name, with sizes and whatever else tells one version of a file from another."""
        self.fs.invalidate_cache(self.path)
        try:
            found = self.fs.ls(self.path, detail=True)
        except FileNotFoundError:
            return {}
        return {str(one["name"]).rstrip("/").rsplit("/", 1)[-1]: one for one in found}

    def write(self, content: bytes) -> None:
        """Write the whole file or nothing: renamed into place on a disk, one put elsewhere."""
        try:
            if self.is_local:
                _replaced(self.path, content)
            else:
                self.fs.pipe_file(self.path, content)
        except OSError as error:
            raise _told(self, error) from error

    def create(self, content: bytes) -> bool:
        """Write the file unless it is there; whether it was written."""
        if self.is_local:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
        try:
            self.fs.pipe_file(self.path, content, mode="create")
        except FileExistsError:
            return False
        except OSError as error:
            raise _told(self, error) from error
        return True

    def remove(self) -> None:
        """Take the file away, if it is there."""
        if self.fs.exists(self.path):
            self.fs.rm_file(self.path)


def place(url: str) -> Place:
    """The place of a path or URL."""
    try:
        fs, path = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise StudyError(f"{url} cannot be reached: {error}. A path or a URL such as s3://bucket/folder would work.") from error
    return Place(fs, path)


def files_under(folder: Place, endings: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Paths relative to the folder and sizes of the files with these endings, sorted."""
    root = folder.path.rstrip("/") + "/"
    found = folder.fs.find(folder.path, detail=True)
    for path in sorted(found):
        name = path[len(root) :] if path.startswith(root) else path.lstrip("/")
        if name.lower().endswith(endings) and not any(part.startswith(".") for part in name.split("/")):
            yield name, int(found[path].get("size") or 0)


def _replaced(path: str, content: bytes) -> None:
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".{os.path.basename(path)}.{uuid.uuid4().hex}.part")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def _told(place: Place, error: OSError) -> StudyError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StudyError(
            f"there is no room left where the results go ({place.url}). What is finished is kept: make room, then resume it."
        )
    return StudyError(f"{place.url} cannot be written: {error.strerror or error}.")
