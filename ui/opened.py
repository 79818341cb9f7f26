"""Session files that are open in this visit: dragged in, or shipped with the app."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st

from ui.session_file import Session, read_session

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = (ROOT / "assets" / "recorded", ROOT / "docs" / "cases")
MOST = 4
"""Files of one visit that stay open; the one opened longest ago is closed first."""
_OPENED, _OUTCOMES = "opened sessions", "opened outcomes"


def sessions() -> dict[str, Session]:
    """Everything that is open, by id: what was dragged in first, then what ships with the app."""
    return {**dict(reversed(_own().items())), **{id: shipped(id) for id in shipped_ids()}}


def is_own(id: str) -> bool:
    """Whether somebody opened it in this visit."""
    return id in _own()


def take(files: Sequence[Any]) -> str | None:
    """Open files that were dragged in, each once; the id of the last new one. Those that are refused say why."""
    outcomes: dict[str, str] = st.session_state.setdefault(_OUTCOMES, {})
    newest = None
    for file in files:
        if file.file_id not in outcomes:
            try:
                newest = add(file.getvalue())
                outcomes[file.file_id] = ""
            except ValueError as error:
                outcomes[file.file_id] = str(error)
        if reason := outcomes[file.file_id]:
            st.error(f"{file.name}: {reason}", icon=":material/error:")
    return newest


def add(data: bytes) -> str:
    """Open the bytes of a session file.

    Raises:
        ValueError: if they are none.
    """
    session = read_session(io.BytesIO(data))
    id = f"file-{hashlib.sha256(data).hexdigest()[:10]}"
    own = _own()
    own.pop(id, None)
    own[id] = session
    while len(own) > MOST:
        del own[next(iter(own))]
    return id


def close(id: str) -> None:
    """Forget one."""
    _own().pop(id, None)


@lru_cache(maxsize=1)
def shipped_ids() -> tuple[str, ...]:
    """Those that come with the app."""
    return tuple(path.stem for folder in SHIPPED for path in sorted(folder.glob("*.zip")))


@lru_cache(maxsize=8)
def shipped(id: str) -> Session:
    """One of those that come with the app."""
    return read_session(next(path for folder in SHIPPED if (path := folder / f"{id}.zip").is_file()))


def _own() -> dict[str, Session]:
    return st.session_state.setdefault(_OPENED, {})
