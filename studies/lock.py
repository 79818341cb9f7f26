"""One run at a time in a folder: a lock that its holder refreshes, and that outlives a killed holder only briefly.

Whether a holder on another machine still lives is seen by its sign changing while one watches. The clocks of two machines
are never compared: they may differ by more than a run takes.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from functools import lru_cache
from typing import Any

import psutil

from studies.errors import StudyError
from studies.places import Place
from studies.store import Store

BEAT = 5.0
STALE = 45.0
"""A lock whose sign did not change for so many seconds, by the watch of whoever looks, belongs to nobody."""
SETTLE = 0.5
"""Seconds after which whoever took a dead holder's lock looks whether somebody else took it too."""
_WATCH = 0.5
_SEEN: dict[str, tuple[str, float]] = {}
"""Per store the last sign of a holder elsewhere, and when this process saw it first, by its own watch."""


class Lock:
    """Held inside a `with`; refreshed by a thread."""

    def __init__(self, store: Store) -> None:
        self._file = store.root / "lock.json"
        self._url = store.url
        self._token = uuid.uuid4().hex
        self._stop = threading.Event()
        self._beats = 0
        self._taken = False
        self._thread = threading.Thread(target=self._beating, name="study-lock", daemon=True)

    def __enter__(self) -> Lock:
        if not self._file.create(self._content()):
            holder = _read(self._file)
            if self._lives(holder):
                raise StudyError(
                    f"the study in {self._url} is running already (process {holder.get('pid')} on {holder.get('host')}): "
                    "wait for it, stop it, or name another store."
                )
            self._file.write(self._content())
            time.sleep(SETTLE)
        if not self._owned():
            raise StudyError(f"another run of the study in {self._url} began at the same moment and goes on.")
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._owned():
            self._file.remove()

    def check(self) -> None:
        """Raises where another run has the folder now, as after the sleep of a machine that was taken for dead."""
        if self._taken:
            raise StudyError(
                f"the lock of {self._url} is no longer this run's: it was removed, or another run took over when this one "
                f"gave no sign for {STALE:.0f} s. What is finished is kept."
            )

    def _lives(self, holder: dict[str, Any]) -> bool:
        """Whether the holder still runs: known at once on this machine; elsewhere its sign is watched."""
        if holder.get("machine") == machine():
            return _runs(holder)
        if not holder:
            return False
        until = time.monotonic() + STALE
        while time.monotonic() < until:
            time.sleep(_WATCH)
            now = _read(self._file)
            if now != holder:
                return bool(now)
        return False

    def _owned(self) -> bool:
        return _read(self._file).get("token") == self._token

    def _content(self) -> bytes:
        own = psutil.Process()
        told = {
            "token": self._token, "pid": own.pid, "born": own.create_time(), "host": socket.gethostname(), "machine": machine(),
            "beats": self._beats, "beat": time.time(),
        }  # fmt: skip
        return json.dumps(told).encode()

    def _beating(self) -> None:
        while not self._stop.wait(BEAT):
            self._beats += 1
            try:
                if not self._owned():
                    self._taken = True
                    return
                self._file.write(self._content())
            except (StudyError, OSError):
                continue  # the run itself meets the same fault when it writes its rows


def holder_of(store: Store) -> dict[str, Any] | None:
    """Who runs the study, to be told at once; None where nobody does.

    Of a holder elsewhere its sign is remembered from one look to the next. Only the first look has nothing but its clock.
    """
    found = _read(store.root / "lock.json")
    if not found:
        return None
    if found.get("machine") == machine():
        return found if _runs(found) else None
    sign, now = f"{found.get('token')} {found.get('beats')}", time.monotonic()
    before = _SEEN.get(store.url)
    if before is None:
        _SEEN[store.url] = sign, now
        beat = found.get("beat")
        return found if isinstance(beat, (int, float)) and time.time() - beat < STALE else None
    if before[0] != sign:
        _SEEN[store.url] = before = sign, now
    return found if now - before[1] < STALE else None


@lru_cache(maxsize=1)
def machine() -> str:
    """What tells this machine, and this container, from others: process numbers mean something only here."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{socket.gethostname()} {file.read().strip()} {os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:  # no Linux: one machine has one list of processes there
        return f"{socket.gethostname()} {uuid.getnode():x}"


def _runs(holder: dict[str, Any]) -> bool:
    try:
        return abs(psutil.Process(int(holder["pid"])).create_time() - float(holder["born"])) < 2
    except (psutil.Error, KeyError, ValueError, TypeError):
        return False


def _read(file: Place) -> dict[str, Any]:
    """Who a lock names; nothing where there is no lock, or none that could be read."""
    try:
        found = json.loads(file.read())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
