"""The session file: one zip of JSON, NPZ and pictures that is opened without the model that made it.

Version 2 holds a session: views, answers, maps with their verdicts, and other results, with what is needed to make them
again. Version 1 held one view and is still read. Reading trusts nothing: sizes are checked before anything is unpacked,
arrays are read without pickle, and whatever does not fit is refused with a sentence.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ui.archive import Archive
from ui.recording import View
from ui.recording_file import Members, view_from, view_members
from ui.session_file_parts import (
    SavedAnswer,
    SavedMap,
    SavedResult,
    answer_from,
    answer_header,
    map_from,
    map_members,
    result_from,
    result_members,
)

FORMAT, VERSION = "headlight-session", 2
HEADER = {1: "view.json", 2: "session.json"}
MOST = 128
"""Views, answers, maps and results of one file, each."""
LEVEL = 6
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Session:
    """What was looked at, kept."""

    title: str
    views: tuple[View, ...] = ()
    answers: tuple[SavedAnswer, ...] = ()
    maps: tuple[SavedMap, ...] = ()
    results: tuple[SavedResult, ...] = ()
    link: str = ""
    """The address below the app: "heads-patterns?model=...": the live page as it was."""
    made: Mapping[str, Any] = field(default_factory=dict)
    """How it was made: versions, models with weights and hash, the day."""
    references: Mapping[str, str] = field(default_factory=dict)
    """Key -> BibTeX of what the methods go back to."""

    @property
    def parts(self) -> int:
        """How many things it holds."""
        return len(self.views) + len(self.answers) + len(self.maps) + len(self.results)


def session_bytes(session: Session) -> bytes:
    """The session as a file; the same session is the same bytes."""
    if not session.parts:
        raise ValueError("There is nothing to keep yet: a session file holds at least one view, answer, map or result.")
    members: Members = {}
    views, maps, results = [], [], []
    for n, view in enumerate(session.views):
        header, found = view_members(view, f"views/{n:03d}/")
        views.append(header)
        members |= found
    for n, each in enumerate(session.maps):
        header, found = map_members(each, f"maps/{n:03d}/")
        maps.append(header)
        members |= found
    for n, result in enumerate(session.results):
        header, found = result_members(result, f"results/{n:03d}/")
        results.append(header)
        members |= found
    whole = {
        "format": FORMAT, "version": VERSION, "title": session.title, "link": session.link, "made": session.made,
        "references": session.references, "views": views, "answers": [answer_header(each) for each in session.answers],
        "maps": maps, "results": results,
    }  # fmt: skip
    return _zipped({HEADER[VERSION]: json.dumps(whole, default=_plain, allow_nan=False).encode(), **members})


def write_session(path: str | Path, session: Session) -> None:
    """Write the file; a file of that name stays whole until the new one is."""
    target = Path(path)
    draft = target.with_name(target.name + ".part")
    draft.write_bytes(session_bytes(session))
    draft.replace(target)


def read_session(source: str | Path | io.BytesIO) -> Session:
    """A session from a file of version 1 or 2.

    Raises:
        ValueError: the file is not a session file, is damaged, or would unpack to more than it may.
    """
    with Archive(source) as archive:
        name = next((each for each in HEADER.values() if each in archive), HEADER[1])
        header = archive.json(name)
        if header.get("format") != FORMAT:
            raise ValueError(f"This zip is not a Headlight session: its {name} does not say so.")
        version = header.get("version")
        if type(version) is not int or HEADER.get(version) != name:
            raise ValueError(f"This session file has version {version!r}; this program reads versions 1 and {VERSION}.")
        try:
            return _READERS[version](archive, header)
        except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
            raise ValueError(f"This session file is damaged: {name} lacks or garbles {error}.") from error


def write_view(path: str | Path, view: View) -> None:
    """Write a session file of one view."""
    write_session(path, Session(view.title, (view,)))


def read_view(source: str | Path | io.BytesIO) -> View:
    """The first view of a session file."""
    found = read_session(source).views
    if not found:
        raise ValueError("This session file holds no view of attention.")
    return found[0]


def _first_version(archive: Archive, header: dict[str, Any]) -> Session:
    view = view_from(archive, header)
    return Session(view.title, (view,), made={"models": {str(view.meta["model"]): {}}} if "model" in view.meta else {})


def _second_version(archive: Archive, header: dict[str, Any]) -> Session:
    for part in ("views", "answers", "maps", "results"):
        if not isinstance(header[part], list) or len(header[part]) > MOST:
            raise ValueError(f"This session file is damaged or too large: at most {MOST} {part} are read.")
    views = tuple(view_from(archive, each) for each in header["views"])
    session = Session(
        title=str(header["title"]),
        views=views,
        answers=tuple(answer_from(each, views) for each in header["answers"]),
        maps=tuple(map_from(archive, each) for each in header["maps"]),
        results=tuple(result_from(archive, each) for each in header["results"]),
        link=_link(header["link"]),
        made=dict(header["made"]),
        references={str(key): str(text) for key, text in header["references"].items()},
    )
    if not session.parts:
        raise ValueError("This session file is empty: it holds no view, answer, map or result.")
    return session


_READERS: Mapping[Any, Callable[[Archive, dict[str, Any]], Session]] = {1: _first_version, 2: _second_version}


def _link(text: object) -> str:
    """An address below the app; one that leads elsewhere is refused."""
    page, _, query = str(text).partition("?")
    if page and not (page.isascii() and page.replace("-", "").isalnum()) or len(query) > 8000 or any(c in query for c in '<>"\\'):
        raise ValueError("This session file is damaged: its link does not lead to a page of this app.")
    return str(text)


def _zipped(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, _DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return stream.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, (np.integer, np.floating, np.bool_)):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be written to a session file; numbers, texts, lists and mappings can.")


__all__ = ["Session", "read_session", "read_view", "session_bytes", "write_session", "write_view"]
