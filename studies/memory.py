"""Memory of a process that runs for hours: pages that nothing uses go back to the system."""

from __future__ import annotations

import ctypes
import time
from contextlib import suppress

EVERY = 5.0
"""Seconds between two times: the pages that are used again have to be asked for again."""
_last = [time.monotonic()]


def give_back() -> bool:
    """Give unused pages back, now and then: the C library keeps what threads have used in pieces, which only ever grow."""
    now = time.monotonic()
    if now - _last[0] < EVERY:
        return False
    _last[0] = now
    with suppress(AttributeError, OSError, TypeError):  # no such function outside of glibc
        ctypes.CDLL(None).malloc_trim(0)
    return True
