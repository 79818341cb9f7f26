"""Memory is looked after where there was work, and only there."""

import gc
import threading

from ui import housekeeping


def test_circles_are_collected_after_work_and_not_without(monkeypatch):
    collected = threading.Event()
    monkeypatch.setattr(housekeeping, "EVERY", 0.01)
    monkeypatch.setattr(gc, "collect", collected.set)
    work = [0]
    housekeeping.keep_tidy(lambda: work[0])
    assert not collected.wait(0.2)
    work[0] += 1
    assert collected.wait(5)
