"""Whose turn it is: a queue per visit, served one request of each visit after the other. Knows no model and no cluster."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Ticket:
    """One request, waiting, running or done."""

    visit: str
    asked: Any
    future: Future[Any] = field(default_factory=Future)
    said: tuple[int, ...] = ()
    """What was heard of it while it runs: the tokens so far."""
    left: bool = False
    """Nobody waits for it any more."""


class Turns:
    """Requests of all visits.

    A visit stands once in the row, however much it asks, and goes to the end of the row when a request of its is done: who
    comes new waits for one request of every other visit at most. Where workers would stand idle, a visit may have several.
    """

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._waiting: dict[str, deque[Ticket]] = {}
        self._running: dict[str, int] = {}
        self._row: deque[str] = deque()

    def enter(self, visit: str, asked: Any) -> Ticket:
        """A new request at the end of its visit's own queue."""
        ticket = Ticket(visit, asked)
        with self._change:
            self._waiting.setdefault(visit, deque()).append(ticket)
            if visit not in self._running and visit not in self._row:
                self._row.append(visit)
            self._change.notify()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Nobody waits for this request: it is not begun, or whoever runs it may stop."""
        with self._change:
            ticket.left = True
            queue = self._waiting.get(ticket.visit, ())
            if ticket in queue:
                queue.remove(ticket)  # type: ignore[union-attr]
                self._forget_empty(ticket.visit)

    def place(self, ticket: Ticket) -> int:
        """How many waiting requests are begun before this one where one worker serves, as things stand; 0 if it is next."""
        with self._change:
            own = self._waiting.get(ticket.visit, deque())
            if ticket not in own:
                return 0
            rounds = own.index(ticket)
            # Visits that have one running go to the end of the row when it is done.
            row = [*self._row, *(v for v in self._running if v in self._waiting and v not in self._row)]
            mine = row.index(ticket.visit)
            others = ((n, len(self._waiting[v])) for n, v in enumerate(row) if v != ticket.visit)
            return rounds + sum(min(count, rounds + (n < mine)) for n, count in others)

    def take(self) -> Ticket:
        """The next request, when there is one."""
        with self._change:
            while not self._waiting:
                self._change.wait()
            visit = self._row.popleft() if self._row else min(self._waiting, key=lambda v: self._running.get(v, 0))
            ticket = self._waiting[visit].popleft()
            self._running[visit] = self._running.get(visit, 0) + 1
            self._forget_empty(visit)
            return ticket

    def done(self, ticket: Ticket) -> None:
        """The request no longer runs: its visit stands at the end of the row with what else it asks."""
        with self._change:
            self._running[ticket.visit] -= 1
            if not self._running[ticket.visit]:
                del self._running[ticket.visit]
            if ticket.visit in self._waiting and ticket.visit not in self._row:
                self._row.append(ticket.visit)
            self._change.notify()

    def _forget_empty(self, visit: str) -> None:
        if not self._waiting[visit]:
            del self._waiting[visit]
            if visit in self._row:
                self._row.remove(visit)
