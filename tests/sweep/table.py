"""The table of supported models, from what the check of each family found."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.sweep.families import EXCEPTIONS, TITLES, Row, keys, title_of

BEGIN, END = "<!-- supported models: begin -->", "<!-- supported models: end -->"
HEAD = "| family | class | result | attention computations of the tiny member | notes |\n|---|---|---|---|---|"


def between(document: str, text: str) -> str:
    """The document with `text` between its markers."""
    if document.count(BEGIN) != 1 or document.count(END) != 1:
        raise ValueError(f"The document needs the lines {BEGIN} and {END} once each.")
    before, rest = document.split(BEGIN)
    return f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}"


def put(path: Path, text: str) -> None:
    """Write `text` between the markers of a file."""
    path.write_text(between(path.read_text(), text))


def summary(rows: Iterable[Row]) -> str:
    """For the front page: how many families of each kind, and their names."""
    lines = ["| library | families checked | supported |", "|---|---|---|"]
    everything = tuple(rows)
    for kind, title in TITLES.items():
        passed = [row for row in everything if row.title == title and row.passed]
        asked = [row for row in everything if row.title == title]
        count = len(asked) if kind != "lvlm" else sum(title_of(key) == title for key in {*keys(), *EXCEPTIONS})
        names = ", ".join(_name(row.key) for row in passed)
        lines.append(f"| {title} | {count} | **{len(passed)}**: {names} |")
    refused = ", ".join(f"{_name(key)} ({refusal.reason})" for key, refusal in EXCEPTIONS.items())
    lines += [
        "",
        f"Not supported: {refused}.",
        "",
        "Family by family: [docs/supported-models.md](docs/supported-models.md).",
    ]
    return "\n".join(lines)


def full(rows: Iterable[Row]) -> str:
    """One line per family."""
    parts, everything = [], tuple(rows)
    for title in TITLES.values():
        lines = [_line(row) for row in everything if row.title == title]
        lines += [_unbuilt(key) for key in EXCEPTIONS if key not in keys() and title_of(key) == title]
        passed = sum(row.passed for row in everything if row.title == title)
        parts.append(f"## {title}\n\n{passed} of {len(lines)} families.\n\n{HEAD}\n" + "\n".join(lines))
    return "\n\n".join(parts)


def _line(row: Row) -> str:
    if not row.passed:
        return f"| {_name(row.key)} | {row.architecture} | refused | 0 | {EXCEPTIONS[row.key].reason}: “{row.note}” |"
    return f"| {_name(row.key)} | {row.architecture} | works | {row.sites} | {row.note} |"


def _unbuilt(key: str) -> str:
    return f"| {_name(key)} | | not offered | | {EXCEPTIONS[key].reason} |"


def _name(key: str) -> str:
    return key.split(":")[1]
