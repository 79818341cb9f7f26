"""Memory that is free is given back to the machine.

The C library keeps what every thread has freed for later, and Python looks for circles that nobody holds ever more rarely. A
server that makes pictures in threads then seems to grow with each of them, although it needs no more than before.
"""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from collections.abc import Callable

EVERY = 10.0
"""Seconds between two looks."""


def keep_tidy(work: Callable[[], int]) -> None:
    """Give memory back from time to time, for as long as the server lives.

    Args:
        work: how much has been begun so far; while it stays the same there is nothing to do.
    """
    threading.Thread(target=_loop, args=(work, _trim()), name="headlight-housekeeping", daemon=True).start()


def _trim() -> Callable[[int], int] | None:
    """What gives freed memory back, where the C library can."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None


def _loop(work: Callable[[], int], trim: Callable[[int], int] | None) -> None:
    seen = work()
    while True:
        time.sleep(EVERY)
        if seen != (now := work()):
            seen = now
            gc.collect()
            if trim is not None:
                trim(0)
