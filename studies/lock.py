"""One run at a time in a folder: a lock that its holder refreshes, and that outlives a killed holder only briefly."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from typing import Any

import psutil

from studies.errors import StudyError
from studies.store import Store

BEAT = 5.0
STALE = 45.0
"""A lock that was not refreshed for so many seconds belongs to nobody."""


class Lock:
    """Held inside a `with`; refreshed by a thread."""

    def __init__(self, store: Store) -> None:
        self._file = store.root / "lock.json"
        self._url = store.url
        self._token = uuid.uuid4().hex
        self._stop = threading.Event()
        self._began = time.time()
        self._thread = threading.Thread(target=self._beating, name="study-lock", daemon=True)

    def __enter__(self) -> Lock:
        if not self._file.create(self._content()):
            holder = _read(self._file.read())
            if is_alive(holder):
                raise StudyError(
                    f"the study in {self._url} is running already (process {holder.get('pid')} on {holder.get('host')}): "
                    "wait for it, stop it, or name another store."
                )
            self._file.write(self._content())
        if _read(self._file.read()).get("token") != self._token:
            raise StudyError(f"another run of the study in {self._url} began at the same moment and goes on.")
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        if _read(self._file.read()).get("token") == self._token:
            self._file.remove()

    def _content(self) -> bytes:
        own = psutil.Process()
        told = {
            "token": self._token, "pid": own.pid, "born": own.create_time(), "host": socket.gethostname(), "began": self._began,
            "beat": time.time(),
        }  # fmt: skip
        return json.dumps(told).encode()

    def _beating(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                self._file.write(self._content())
            except StudyError:
                continue  # the run itself meets the same fault when it writes its rows


def holder_of(store: Store) -> dict[str, Any] | None:
    """Who runs the study now; None where nobody does."""
    file = store.root / "lock.json"
    if not file.exists():
        return None
    found = _read(file.read())
    return found if is_alive(found) else None


def is_alive(holder: dict[str, Any]) -> bool:
    """Whether the holder of a lock still runs: known at once on its own machine, elsewhere by its last sign."""
    if holder.get("host") == socket.gethostname():
        try:
            return abs(psutil.Process(int(holder["pid"])).create_time() - float(holder["born"])) < 2
        except (psutil.Error, KeyError, ValueError):
            return False
    return time.time() - float(holder.get("beat", 0)) < STALE




def _read(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
