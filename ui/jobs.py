"""Work that takes longer than a click: a bounded pool, a queue with places, progress, cancelling, results that are kept.

A job belongs to its key, not to the person who asked: two people who ask the same share it. Nothing here knows Streamlit.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

Lane = Literal["quick", "long", "study", "elsewhere"]
WORKERS: dict[Lane, int] = {"quick": 2, "long": 1, "study": 1, "elsewhere": 64}
"""Jobs of each lane that run at once. A study may take hours, in which others go on; what runs elsewhere only waits here."""
KEPT = {
    "model": 3, "subject": 6, "view": 8, "measured view": 8, "prune-asked": 2, "sinks": 6, "session file": 4,
    "answer": 8, "fixed": 8, "fewer-seen": 2, "in front of a word": 6,
}  # fmt: skip
"""Finished jobs whose results are kept, by the first word of their key; the one used longest ago goes first."""
KEPT_OTHERWISE = 64


class Cancelled(Exception):
    """The job was cancelled while it ran."""


class Progress:
    """How far a job is; what runs it calls `step`, and is stopped there once the job was cancelled."""

    def __init__(self) -> None:
        self.visit = ""
        """Who asked for the job first, where that is known."""
        self.done = 0.0
        self.note = ""
        self.started: float | None = None
        self.kept: Any = None
        """What is done already, put here by work of which a part is worth something when it is cancelled."""
        self._cancelled = threading.Event()

    def step(self, done: float, note: str = "") -> None:
        """Report a share between 0 and 1."""
        self.check()
        self.done, self.note = min(max(done, 0.0), 1.0), note or self.note

    def check(self) -> None:
        """Raise `Cancelled` if the job was cancelled."""
        if self._cancelled.is_set():
            raise Cancelled

    def cancel(self) -> None:
        """Ask the job to stop at its next step."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked it to stop."""
        return self._cancelled.is_set()

    def remaining(self) -> float | None:
        """Seconds that are left, once enough is done to tell."""
        if self.started is None or self.done < 0.02:
            return None
        return (time.monotonic() - self.started) * (1 / self.done - 1)


@dataclass(eq=False)
class Job:
    """One piece of work, waiting, running or done."""

    key: tuple
    """A tuple that begins with the kind of work."""
    label: str
    estimate: str
    """What it will take, in words, told before it starts."""
    lane: Lane
    number: int
    progress: Progress = field(default_factory=Progress)
    future: Future[Any] = field(default_factory=Future)

    @property
    def waiting(self) -> bool:
        """Whether it has not begun."""
        return self.progress.started is None and not self.future.done()


class Jobs:
    """All jobs of a server."""

    def __init__(
        self,
        workers: dict[Lane, int] | None = None,
        kept: dict[str, int] | None = None,
        guard: Callable[..., Any] | None = None,
        visit: Callable[[], str] | None = None,
    ) -> None:
        """Make the pools.

        Args:
            workers: how many jobs of each lane run at once.
            kept: how many finished jobs are remembered, by the first word of their key.
            guard: wraps the running function: (function, check) -> result; lets a single long step be interrupted.
            visit: who is asking, told when a job is begun.
        """
        sizes = WORKERS if workers is None else workers
        self._pools = {lane: ThreadPoolExecutor(n, thread_name_prefix=f"headlight-{lane}") for lane, n in sizes.items()}
        self._jobs: OrderedDict[tuple, Job] = OrderedDict()
        self._lock = threading.RLock()
        self._kept = KEPT if kept is None else kept
        self._count = 0
        self._guard, self._visit = guard, visit

    def start(
        self, key: tuple, function: Callable[[Progress], Any], *, label: str, estimate: str = "", lane: Lane = "quick"
    ) -> Job:
        """The job of this key: the one that is there, or a new one at the end of its queue."""
        with self._lock:
            job = self._jobs.get(key)
            if job is None:
                self._count += 1
                job = Job(key, label, estimate, lane, self._count)
                job.progress.visit = self._visit() if self._visit else ""
                self._jobs[key] = job
                self._pools[lane].submit(self._work, job, function)
            self._jobs.move_to_end(key)
            self._forget_oldest(_kind(key))
            return job

    @property
    def begun(self) -> int:
        """How many jobs there have been."""
        return self._count

    def find(self, key: tuple) -> Job | None:
        """The job of this key, if there is one."""
        with self._lock:
            return self._jobs.get(key)

    def place(self, job: Job) -> int:
        """How many jobs of its lane are to be done before it begins."""
        with self._lock:
            return sum(other.waiting and other.lane == job.lane and other.number < job.number for other in self._jobs.values())

    def cancel(self, key: tuple) -> None:
        """Stop the job, whether it waits or runs. It is not begun again before somebody forgets it."""
        if (job := self.find(key)) is not None:
            job.progress.cancel()

    def forget(self, key: tuple) -> None:
        """Forget a job, so that it can be tried again; one that runs is stopped."""
        with self._lock:
            job = self._jobs.pop(key, None)
        if job is not None:
            job.progress.cancel()

    def _work(self, job: Job, function: Callable[[Progress], Any]) -> None:
        if job.progress.cancelled:
            job.future.set_exception(Cancelled())
            return
        job.progress.started = time.monotonic()
        try:
            result = self._guarded(function, job.progress)
        except BaseException as error:
            # It belongs to whoever asks for the result.
            job.future.set_exception(error)
        else:
            job.progress.done = 1.0
            job.future.set_result(result)

    def _guarded(self, function: Callable[[Progress], Any], progress: Progress) -> Any:
        if self._guard is None:
            return function(progress)
        return self._guard(lambda: function(progress), progress.check)

    def _forget_oldest(self, kind: str) -> None:
        alike = [key for key in self._jobs if _kind(key) == kind]
        done = [key for key in alike if self._jobs[key].future.done()]
        for key in done[: max(0, len(alike) - self._kept.get(kind, KEPT_OTHERWISE))]:
            del self._jobs[key]


def _kind(key: tuple) -> str:
    return str(key[0])
