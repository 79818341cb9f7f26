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


class Watch:
    """Time as a test lets it pass: while somebody sleeps, a holder elsewhere gives a sign every five seconds."""

    def __init__(self, file: Path, clock: float) -> None:
        self.file, self.clock, self.now, self.beats = file, clock, 0.0, 0

    def time(self) -> float:
        return 1e9 + self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def sign(self) -> None:
        """The holder lives, and its own clock says something else than ours."""
        self.beats += 1
        told = holder(machine="another", host="far away", beats=self.beats, beat=self.time() + self.clock)
        self.file.write_text(told)


class Alive(Watch):
    def sleep(self, seconds: float) -> None:
        before = self.now // lock.BEAT
        super().sleep(seconds)
        if self.now // lock.BEAT > before:
            self.sign()


@pytest.mark.parametrize("clock", [-1e6, 0.0, 1e6])
def test_a_holder_elsewhere_is_known_by_its_signs_whatever_its_clock_says(tmp_path, monkeypatch, clock):
    """Not even a clock that is days off lets two runs write one folder, or keeps a dead one's folder for ever."""
    store, alive = Store(str(tmp_path)), Alive(tmp_path / "lock.json", clock)
    monkeypatch.setattr(lock, "time", alive)
    alive.sign()
    with pytest.raises(StudyError, match="is running already .process .* on far away"), Lock(store):
        pass
    assert alive.now <= 2 * lock.BEAT  # whoever lives is noticed with its next sign
    lock.holder_of(store)
    alive.sleep(40)
    assert lock.holder_of(store)["host"] == "far away"
    dead = Watch(tmp_path / "lock.json", clock)
    dead.now = alive.now
    monkeypatch.setattr(lock, "time", dead)
    with Lock(store):
        assert dead.now - alive.now >= lock.STALE
        assert locked_by(tmp_path)["token"] != "x"


def test_who_looks_twice_sees_that_a_holder_elsewhere_gave_no_sign(tmp_path, monkeypatch):
    store, dead = Store(str(tmp_path)), Watch(tmp_path / "lock.json", 1e6)
    monkeypatch.setattr(lock, "time", dead)
    dead.sign()
    assert lock.holder_of(store)["host"] == "far away"  # at first there is nothing but its clock
    dead.sleep(lock.STALE - 1)
    assert lock.holder_of(store) is not None
    dead.sleep(2)
    assert lock.holder_of(store) is None
    dead.sign()
    assert lock.holder_of(store) is not None


def test_a_run_whose_folder_was_taken_stops(tmp_path, data, monkeypatch):
    """As when its machine slept: it neither writes over the other's lock nor goes on."""
    monkeypatch.setattr(lock, "BEAT", 0.01)

    def take(progress) -> None:
        until = time.monotonic() + 60
        while "study-lock" in {t.name for t in threading.enumerate()} and time.monotonic() < until:
            (tmp_path / "lock.json").write_text(holder(token="other"))  # again, if a sign was about to be written
            time.sleep(0.05)

    with pytest.raises(StudyError, match="is no longer this run's"):
        conduct(study(tmp_path, data), report=take)
    assert locked_by(tmp_path)["token"] == "other"
    assert len(Store(str(tmp_path)).done()) == 1
    assert not Store(str(tmp_path)).manifest()["finished"]
