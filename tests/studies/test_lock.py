"""One run at a time in a folder, whatever the clocks of its machines say, and none that is shut out for ever."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from studies import StudyError, lock
from studies.conduct import conduct
from studies.lock import Lock
from studies.store import Store
from tests.studies.small import folder_of, study


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return {"kind": "images", "path": str(folder_of(tmp_path_factory.mktemp("data"), 40))}


def test_a_second_run_is_refused_while_the_first_goes_on(tmp_path, data):
    with Lock(Store(str(tmp_path))), pytest.raises(StudyError, match="is running already"):
        conduct(study(tmp_path, data))
    assert conduct(study(tmp_path, data)).done == 5


def holder(**told) -> str:
    """The lock of a run that is not there any more."""
    return json.dumps({"token": "x", "pid": 2**22 + 1, "born": 0.0, "host": "h", "machine": lock.machine(), "beats": 3, **told})


def test_a_lock_without_holder_is_taken_at_once(tmp_path):
    for left in (holder(), "{}", "[]", "", "{half"):
        (tmp_path / "lock.json").write_text(left)
        with Lock(Store(str(tmp_path))):
            assert locked_by(tmp_path)["token"] != "x"
    assert not (tmp_path / "lock.json").exists()


def locked_by(folder: Path) -> dict:
    return json.loads((folder / "lock.json").read_text())


@pytest.mark.parametrize("clock", [-1e6, 0.0, 1e6])
def test_a_holder_elsewhere_is_known_by_its_signs_whatever_its_clock_says(tmp_path, monkeypatch, clock):
    """Not even a clock that is days off lets two runs write one folder, or keeps a dead one's folder for ever."""
    monkeypatch.setattr(lock, "STALE", 0.6)
    monkeypatch.setattr(lock, "_WATCH", 0.05)
    file, store, beats = tmp_path / "lock.json", Store(str(tmp_path)), iter(range(100))
    there = threading.Event()

    def beat() -> None:
        while not there.wait(0.15):
            (store.root / "lock.json").write(sign())

    def sign() -> bytes:
        return holder(machine="another", host="far away", beats=next(beats), beat=time.time() + clock).encode()

    file.write_bytes(sign())
    alive = threading.Thread(target=beat)
    alive.start()
    try:
        with pytest.raises(StudyError, match="is running already .process .* on far away"), Lock(store):
            pass
        lock.holder_of(store)
        time.sleep(0.4)
        assert lock.holder_of(store)["host"] == "far away"
    finally:
        there.set()
        alive.join()
    began = time.monotonic()
    with Lock(store):
        assert time.monotonic() - began >= 0.6
        assert locked_by(tmp_path)["token"] != "x"
    file.write_bytes(sign())
    lock.holder_of(store)
    time.sleep(0.7)
    assert lock.holder_of(store) is None


def test_a_run_whose_folder_was_taken_stops(tmp_path, data, monkeypatch):
    """As when its machine slept: it neither writes over the other's lock nor goes on."""
    monkeypatch.setattr(lock, "BEAT", 0.01)

    def take(progress) -> None:
        (tmp_path / "lock.json").write_text(holder(token="other"))
        until = time.monotonic() + 10
        while "study-lock" in {t.name for t in threading.enumerate()} and time.monotonic() < until:
            time.sleep(0.01)

    with pytest.raises(StudyError, match="is no longer this run's"):
        conduct(study(tmp_path, data), report=take)
    assert locked_by(tmp_path)["token"] == "other"
    assert len(Store(str(tmp_path)).done()) == 1
    assert not Store(str(tmp_path)).manifest()["finished"]
