"""Requests served on a crew's workers in fair turns: one thread per worker, one retry for a worker that is lost.

Knows no model and no cluster: a crew says where workers come from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import wait
from typing import Any, Protocol

from studies.turns import Ticket, Turns

TRIES = 2
"""How often a request is begun: a worker that is lost costs one retry."""
_POLL = 0.1
"""Seconds between two looks at a request that waits or runs elsewhere."""


class ServingError(ValueError):
    """A request cannot be served: the sentence says why, and what would work."""


class WorkerLost(RuntimeError):
    """The worker's process ended while it ran something."""


class Watcher(Protocol):
    """Whoever waits for a request: a `ui.jobs.Progress`."""

    visit: str
    """Requests of one visit stand in a queue of their own."""

    def check(self) -> None:
        """Raises when nobody waits any more."""
        ...

    def step(self, done: float, note: str = "") -> None:
        """Is told how far the request is."""
        ...


class Worker(Protocol):
    """Holds models somewhere and runs one request at a time."""

    def run(self, ticket: Ticket) -> Any:
        """The result; what is said meanwhile goes into `ticket.said`. `WorkerLost` if the worker is gone."""
        ...


class Crew(Protocol):
    """Where workers come from."""

    def count(self) -> int:
        """How many there are."""
        ...

    def hire(self) -> Worker:
        """A new one."""
        ...


class Server:
    """Serves requests on a crew's workers, one thread per worker."""

    def __init__(self, crew: Crew) -> None:
        self.turns = Turns()
        self._crew, self._begun, self._lock = crew, False, threading.Lock()

    def ask(self, asked: Any, watcher: Watcher, heard: Callable[[list[int]], None] | None = None) -> Any:
        """The result of a request; waits for its turn and tells the watcher its place.

        Args:
            asked: a `Look` or a `Question`.
            watcher: is told the place, and may raise to give the request up.
            heard: is called with all tokens so far whenever there are more.
        """
        self._begin()
        ticket, told, place = self.turns.enter(watcher.visit, asked), 0, -1
        try:
            while not wait([ticket.future], _POLL).done:
                watcher.check()
                if heard is not None and len(ticket.said) > told:
                    told = len(ticket.said)
                    heard(list(ticket.said))
                elif not told and (now := self.turns.place(ticket)) != place:
                    place = now
                    behind = f"waiting behind {place} other{'s' if place > 1 else ''}"
                    watcher.step(0.03, behind if place else "on a worker")
        finally:
            self.turns.leave(ticket)
        return ticket.future.result()

    def _begin(self) -> None:
        with self._lock:
            if self._begun:
                return
            for number in range(self._crew.count()):
                threading.Thread(target=self._serve, name=f"headlight-serving-{number}", daemon=True).start()
            self._begun = True

    def _serve(self) -> None:
        desk = _Desk(self._crew)
        while True:
            ticket = self.turns.take()
            try:
                ticket.future.set_result(desk.run(ticket))
            except BaseException as error:
                # It belongs to whoever asked; the next request is served all the same.
                ticket.future.set_exception(error)
            finally:
                self.turns.done(ticket)


class _Desk:
    """One worker, and another one where it was lost."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._worker: Worker | None = None

    def run(self, ticket: Ticket) -> Any:
        """The result of a request."""
        lost: WorkerLost | None = None
        for _ in range(TRIES):
            try:
                self._worker = self._worker or self._crew.hire()
                return self._worker.run(ticket)
            except WorkerLost as error:
                self._worker, lost, ticket.said = None, error, ()
                if ticket.left:
                    break
        raise ServingError(
            f"The worker that ran this was lost {TRIES} times ({lost}). A smaller picture, a shorter answer or a smaller "
            "model may fit; others are served meanwhile."
        ) from lost
