"""Rows of the table on disk: what a test run found, so that the table need not run it again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from tests.sweep.families import Row

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".cache" / "sweep"
SOURCES = ("model_adapters", "tests/zoo", "tests/sweep")


def write(row: Row) -> None:
    """Keep a row."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    _path(row.key).write_text(json.dumps(asdict(row)))


def fresh(key: str) -> Row | None:
    """The row of a family, if it is newer than all code that it depends on."""
    path = _path(key)
    if not path.is_file() or path.stat().st_mtime < _changed():
        return None
    return Row(**json.loads(path.read_text()))


def _path(key: str) -> Path:
    return FOLDER / f"{key.replace(':', '-')}.json"


def _changed() -> float:
    files = [file for folder in SOURCES for file in (ROOT / folder).rglob("*.py")]
    return max(file.stat().st_mtime for file in [*files, ROOT / "requirements.txt"])
