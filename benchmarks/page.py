"""Rows as a page of docs/."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

from benchmarks.cases import Row
from benchmarks.machine import machine

DOCS = Path(__file__).parent.parent / "docs"


def write(name: str, title: str, command: str, rows: Iterable[Row], said: str = "") -> None:
    """Write docs/NAME: what was measured, what is to be reached, and whether it was.

    Args:
        name: of the file.
        title: of the page.
        command: that measured.
        rows: the figures.
        said: how to read them.
    """
    lines = [f"| {r.what} | {r.measured} | {r.reach} | {'yes' if r.met else '**no**'} |" for r in rows]
    made = f"Written by `{command}` on {date.today().isoformat()}: {machine()}."
    head = [f"# {title}", "", made, *([said] if said else []), ""]
    table = ["| what | measured | reach | met |", "|---|---|---|---|", *lines, ""]
    (DOCS / name).write_text("\n".join(head + table))
