"""Jobs: shared by key, bounded, in order, cancelled at once, results and errors kept."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from model_adapters.interruption import interruptible
from ui.jobs import Cancelled, Jobs


@pytest.fixture
def jobs():
    return Jobs({"quick": 1, "long": 1}, kept={"few": 3})


def blocked(release: threading.Event):
    def work(progress):
        while not release.wait(0.01):
            progress.step(0.5, "half")
        return "done"

    return work


def test_two_who_ask_the_same_share_one_job_and_its_result(jobs):
    runs = []
    first = jobs.start(("a",), lambda progress: runs.append(1) or 7, label="a")
    assert first.future.result(5) == 7
    assert jobs.start(("a",), lambda progress: 8, label="a").future.result(5) == 7
    assert runs == [1]


def test_the_queue_tells_places_and_a_long_job_does_not_block_a_quick_one(jobs):
    release = threading.Event()
    running = jobs.start(("one",), blocked(release), label="one", lane="long")
    second, third = (jobs.start((key,), blocked(release), label=key, lane="long") for key in ("two", "three"))
    quick = jobs.start(("quick",), lambda progress: 1, label="quick")
    assert quick.future.result(5) == 1
    while running.waiting:
        time.sleep(0.01)
    assert [jobs.place(job) for job in (running, second, third)] == [0, 0, 1]
    assert second.waiting and not running.waiting
    release.set()
    assert third.future.result(5) == "done"


def test_cancelling_stops_a_running_job_and_a_waiting_one(jobs):
    release = threading.Event()
    running = jobs.start(("one",), blocked(release), label="one", lane="long")
    waiting = jobs.start(("two",), blocked(release), label="two", lane="long")
    jobs.cancel(("two",))
    jobs.cancel(("one",))
    for job in (running, waiting):
        with pytest.raises(Cancelled):
            job.future.result(1)
    release.set()
    again = jobs.start(("one",), blocked(release), label="again", lane="long")
    assert again is running, "a cancelled job is not begun again by the next run of the page"
    jobs.forget(("one",))
    assert jobs.start(("one",), blocked(release), label="again", lane="long").future.result(5) == "done"


def test_an_error_is_kept_until_it_is_forgotten(jobs):
    def fails(progress):
        raise ValueError("no such thing")

    job = jobs.start(("a",), fails, label="a")
    with pytest.raises(ValueError, match="no such thing"):
        job.future.result(5)
    jobs.forget(("a",))
    assert jobs.start(("a",), lambda progress: 3, label="a").future.result(5) == 3


def test_only_so_many_results_are_kept_and_never_a_running_one_is_lost(jobs):
    release = threading.Event()
    running = jobs.start(("few", "running"), blocked(release), label="r", lane="long")
    for key in range(6):
        jobs.start(("few", key), lambda progress: 1, label="x").future.result(5)
    assert jobs.find(("few", "running")) is running
    assert jobs.find(("few", 0)) is None and jobs.find(("few", 5)) is not None
    release.set()


def test_the_remaining_time_follows_from_what_is_done(jobs):
    release = threading.Event()
    job = jobs.start(("a",), blocked(release), label="a")
    while job.progress.done < 0.5:
        time.sleep(0.01)
    assert job.progress.remaining() == pytest.approx(time.monotonic() - job.progress.started, rel=0.5, abs=0.05)
    assert job.progress.note == "half"
    release.set()


def test_a_single_long_step_is_interrupted_between_two_operations():
    def guard(function, check):
        with interruptible(check):
            return function()

    jobs = Jobs({"quick": 1, "long": 1}, guard=guard)
    begun = threading.Event()

    def endless(progress):
        x = torch.ones(8)
        while True:
            x = x + 1
            begun.set()

    job = jobs.start(("a",), endless, label="a", lane="long")
    assert begun.wait(5)
    jobs.cancel(("a",))
    with pytest.raises(Cancelled):
        job.future.result(1)


def test_an_interrupted_model_is_as_before():
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.GELU(), torch.nn.Linear(4, 2))
    x = torch.ones(1, 4)
    before = model(x)
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 2:
            raise Cancelled

    with pytest.raises(Cancelled), interruptible(check):
        model(x)
    assert torch.equal(model(x), before)
    assert len(calls) == 2
