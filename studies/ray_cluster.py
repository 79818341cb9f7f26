"""The one connection of this process to Ray: studies and the pages may share it, and each leaves it alone to the other."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import ClassVar

import ray

from studies.errors import StudyError

ROOT = Path(__file__).resolve().parents[1]
ANSWER = 10.0
"""Seconds in which a cluster's port must answer: Ray itself would ask for many minutes."""
_LOCK = threading.Lock()


class Membership:
    """One user of the connection. Whoever comes first begins it, and whoever leaves last ends it."""

    _members: ClassVar[set[Membership]] = set()
    _address: ClassVar[str | None] = None
    _begun: ClassVar[bool] = False

    def join(self, address: str | None, cores: int | None) -> None:
        """Join a running cluster, or start a local one; nothing if that was done.

        Args:
            address: of a running cluster; None starts a local one, or shares that of this process.
            cores: that a local one offers; all by default.
        """
        with _LOCK:
            if not ray.is_initialized():
                _begin(address, cores)
                Membership._members.clear()  # of a connection that is gone
                Membership._address, Membership._begun = address, True
            elif Membership._begun and Membership._address != address and address is not None:
                there = Membership._address or "a Ray of its own"
                raise StudyError(
                    f"this process works with {there} already and cannot join {address} too: use that one, or another process."
                )
            Membership._members.add(self)

    def leave(self) -> None:
        """End the connection if this was the last user, and nobody else began it."""
        with _LOCK:
            if self not in Membership._members:
                return
            Membership._members.remove(self)
            if Membership._begun and not Membership._members:
                Membership._begun = False
                ray.shutdown()


def _begin(address: str | None, cores: int | None) -> None:
    try:
        if address and address != "auto":
            _answering(address)
        ray.init(
            address=address or "local",
            log_to_driver=False,
            include_dashboard=None if address else False,
            runtime_env={"env_vars": {"PYTHONPATH": _import_path()}},
            num_cpus=None if address else cores,
        )
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        where = f"the Ray cluster at {address}" if address else "a local Ray cluster"
        told = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
        raise StudyError(f"{where} cannot be reached or started: {told}.") from error


def _answering(address: str) -> None:
    """Raises where nobody listens at the address."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit() or not host or not 0 < int(port) < 65536:
        raise ValueError("an address is auto, HOST:6379 or ray://HOST:10001")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER):
        pass


def _import_path() -> str:
    given = os.environ.get("PYTHONPATH")
    return f"{ROOT}{os.pathsep}{given}" if given else str(ROOT)


def first_line(error: BaseException) -> str:
    """What an error says first, without a full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")[:300]
