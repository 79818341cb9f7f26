"""What can go wrong: kills, full disks, records and models that fail, memory, and two runs of one folder."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from studies import StudyError
from studies.conduct import conduct, resume
from studies.running import is_out_of_memory
from studies.store import Store
from studies.telling import status
from tests.studies.small import MODEL, TABLES, equal, folder_of, rows, same, study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """40 pictures, two of them broken."""
    return {"kind": "images", "path": str(folder_of(tmp_path_factory.mktemp("data"), 40, (7, 23)))}


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    store = tmp_path_factory.mktemp("whole")
    found = conduct(study(store, data, ("strength", "sinks"), shard=4))
    assert (found.records, found.broken, found.shards) == (38, 2, 10)
    return store


def command(folder: Path, data: dict) -> list[str]:
    told = {
        "name": "killed", "models": [MODEL], "data": data, "measures": ["strength", "sinks"], "batch": 4, "shard": 4,
        "store": str(folder / "store"),
    }  # fmt: skip
    (folder / "study.yaml").write_text(yaml.safe_dump(told))
    return [sys.executable, "-m", "studies", "run", str(folder / "study.yaml")]


def killed_at(folder: Path, data: dict, seed: int) -> int:
    """Start a run, kill it at a random moment after a random number of shards; how many were whole."""
    chance = random.Random(seed)
    running = subprocess.Popen(command(folder, data), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    marks, wanted, until = folder / "store" / "done", chance.randint(0, 8), time.time() + 60
    while running.poll() is None and time.time() < until and len(list(marks.glob("*.json"))) < wanted:
        time.sleep(0.002)
    time.sleep(chance.random() * 0.05)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    return len(list(marks.glob("*.json")))


@pytest.mark.parametrize("seed", [0, 1, *[pytest.param(n, marks=pytest.mark.slow) for n in range(2, 10)]])
def test_a_killed_driver_loses_only_what_was_in_flight(seed, tmp_path, data, undisturbed):
    whole = killed_at(tmp_path, data, seed)
    store = tmp_path / "store"
    if not (store / "manifest.json").exists():  # killed before anything began
        assert subprocess.run(command(tmp_path, data), cwd=ROOT, check=False, capture_output=True).returncode == 0
    else:
        before = {mark.name: mark.read_bytes() for mark in (store / "done").glob("*.json")}
        found = resume(str(store))
        assert found.done == 10
        assert found.records + found.broken == 40 - 4 * whole
        assert all((store / "done" / name).read_bytes() == content for name, content in before.items())
    assert not list(store.rglob("*.part"))
    equal(store, undisturbed)


def test_a_finished_study_has_nothing_left_to_do(undisturbed, data):
    again = conduct(study(undisturbed, data, ("strength", "sinks"), shard=4))
    assert (again.done, again.records) == (10, 0)
    assert status(Store(str(undisturbed))).state == "finished"


def test_another_study_is_refused_with_the_difference(undisturbed, data):
    with pytest.raises(StudyError, match=r"factor.*5.*Name another store"):
        conduct(study(undisturbed, data, ("strength", {"sinks": {"factor": 5.0}}), shard=4))
    with pytest.raises(StudyError, match=r"models\[0\].seed is 1 there and 2 here"):
        conduct(study(undisturbed, data, ("strength", "sinks"), shard=4, models=[{**MODEL, "seed": 2}]))
    conduct(study(undisturbed, data, ("strength", "sinks"), shard=4, batch=2))  # no number depends on it


def test_changed_data_is_refused(tmp_path):
    folder = folder_of(tmp_path / "data", 6)
    told = {"kind": "images", "path": str(folder)}
    conduct(study(tmp_path / "s", told))
    folder_of(folder, 7)
    with pytest.raises(StudyError, match="data fingerprint"):
        conduct(study(tmp_path / "s", told))


def test_a_full_disk_is_told_and_what_is_done_stays(tmp_path, data, undisturbed, monkeypatch):
    written, fsync = [0], os.fsync

    def full(number: int) -> None:
        written[0] += 1
        if written[0] == 14:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(number)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StudyError, match="no room left .* make room, then resume"):
        conduct(study(tmp_path, data, ("strength", "sinks"), shard=4))
    assert 0 < len(Store(str(tmp_path)).done()) < 10
    assert not list(tmp_path.rglob("*.part"))
    assert status(Store(str(tmp_path))).state == "stopped"
    resume(str(tmp_path))
    equal(tmp_path, undisturbed)


@pytest.fixture
def forward(monkeypatch):
    """Lets a test meet every run of the model; it is told how many pictures go through, and their pixels."""
    from model_adapters.model import Model

    plain = Model.forward

    def put(meets) -> None:
        def wrapped(self, inputs, **kwargs):
            meets(next(iter(inputs.tensors.values())))
            return plain(self, inputs, **kwargs)

        monkeypatch.setattr(Model, "forward", wrapped)

    return put


def test_memory_that_runs_out_halves_the_batch(tmp_path, data, undisturbed, forward):
    def small(pixels: torch.Tensor) -> None:
        if len(pixels) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    forward(small)
    found = conduct(study(tmp_path, data, ("strength", "sinks"), shard=4))
    told = "memory ran out with 4 records at once: 2 from there on"
    assert found.last is not None and found.last.notes == (told,)
    assert told in status(Store(str(tmp_path))).notes
    for table in TABLES:
        same(rows(undisturbed, table), rows(tmp_path, table))


def test_a_model_that_fails_on_one_picture_loses_that_one(tmp_path, data, undisturbed, forward):
    from studies.held import held

    model = held(study(tmp_path, data).models[0])[0]
    chosen = sorted(Path(data["path"]).rglob("*.png"))[10]
    bad = model.prepare(image=[chosen]).tensors["x"][0]

    def picky(pixels: torch.Tensor) -> None:
        if any(torch.equal(one, bad) for one in pixels):
            raise RuntimeError("the kernel does not like this picture\nand more")

    forward(picky)
    found = conduct(study(tmp_path, data, ("strength", "sinks"), shard=4))
    assert (found.records, found.broken) == (37, 3)
    faults = dict(zip(*(rows(tmp_path, "faults")[k].to_pylist() for k in ("record", "reason")), strict=True))
    assert faults[10] == "the model failed on it: the kernel does not like this picture"
    kept = rows(undisturbed, "heads")
    same(kept.filter(kept["record"].to_numpy() != 10), rows(tmp_path, "heads"))


def test_other_weights_than_at_the_beginning_are_refused(tmp_path, data):
    from studies.work import Work, run_shard

    told = study(tmp_path, data)
    from studies.conduct import _shards

    with pytest.raises(StudyError, match="are not those that the study began with"):
        run_shard(Work(told, told.store, ("0" * 64,)), next(_shards(told)))


def test_a_shard_that_is_run_twice_leaves_one_run(tmp_path, data):
    from studies.conduct import _shards
    from studies.held import identity
    from studies.work import Work, run_shard

    told = study(tmp_path, data)
    work, shards = Work(told, told.store, (identity(told.models[0]),)), list(_shards(told))
    for shard in (shards[1], shards[0], shards[1]):
        run_shard(work, shard)
    assert rows(tmp_path, "images")["record"].to_pylist() == [n for n in range(16) if n not in (3, 11)]


def test_running_out_of_memory_is_told_from_other_errors():
    assert is_out_of_memory(MemoryError()) and is_out_of_memory(torch.OutOfMemoryError("x"))
    assert is_out_of_memory(RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"))
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
