"""Unused pages go back to the system now and then, and not after every shard."""

from __future__ import annotations

from studies import memory


def test_memory_is_given_back_once_in_a_while(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(memory.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(memory, "_last", [now[0]])
    given = []
    for _ in range(12):
        now[0] += memory.EVERY / 4
        given.append(memory.give_back())
    assert given == [False, False, False, True] * 3


def test_where_the_system_has_no_such_function_nothing_happens(monkeypatch):
    monkeypatch.setattr(memory, "_last", [float("-inf")])
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert memory.give_back()
