"""The folder of a study: rows as Parquet, one file per table and shard, and a mark for each shard that is whole.

    manifest.json                  what the study is, on which models and data
    lock.json                      who runs it, while it runs
    done/00-000007.json            shard 7 of model 0 is whole
    rows/heads/00-000007.parquet   its rows
    tables/heads.parquet           statistics over all records, once the study is finished

Names depend on the shard alone and marks are written last, so a shard that is run twice leaves the rows of one run, and
one that was cut off leaves none that are read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from studies.errors import StudyError
from studies.places import Place, place

TABLES = ("images", "layers", "heads", "matches", "answers", "words", "budgets", "faults", "totals")


@dataclass(frozen=True)
class Store:
    """A study's folder, by path or URL."""

    url: str

    @property
    def root(self) -> Place:
        """The folder."""
        return place(self.url)

    # ---- the manifest

    def manifest(self) -> dict[str, Any]:
        """What the study is; a folder without one holds no study."""
        file = self.root / "manifest.json"
        try:
            found = json.loads(file.read())
        except FileNotFoundError as error:
            raise StudyError(f"{self.url} holds no study: there is no manifest.json.") from error
        except (OSError, ValueError) as error:
            raise StudyError(f"the manifest of {self.url} cannot be read: {error}.") from error
        if not isinstance(found, dict) or found.get("format") != 1:
            raise StudyError(f"{self.url} was written by another version: its format is {str(found)[:40]!r}.")
        return found

    def has_manifest(self) -> bool:
        """Whether a study began here."""
        return (self.root / "manifest.json").exists()

    def write_manifest(self, told: dict[str, Any]) -> None:
        """Say what the study is."""
        (self.root / "manifest.json").write(json.dumps({"format": 1, **told}, indent=1).encode())

    # ---- shards

    def done(self) -> list[str]:
        """The names of the shards that are whole, sorted."""
        return [name.removesuffix(".json") for name in (self.root / "done").names() if name.endswith(".json")]

    def mark(self, shard: str) -> dict[str, Any]:
        """What was noted of a shard that is whole."""
        return json.loads((self.root / "done" / f"{shard}.json").read())

    def write_shard(self, shard: str, tables: dict[str, pa.Table], noted: dict[str, Any]) -> None:
        """Write the rows of a shard, and then the mark that it is whole."""
        for name in TABLES:
            file = self.root / "rows" / name / f"{shard}.parquet"
            if name in tables:
                file.write(parquet(tables[name]))
            else:
                file.remove()  # of an attempt that was cut off and found otherwise
        mark = {**noted, "tables": [name for name in TABLES if name in tables]}
        (self.root / "done" / f"{shard}.json").write(json.dumps(mark).encode())

    def file_of(self, table: str, shard: str) -> Place:
        """Where the rows of a shard lie."""
        return self.root / "rows" / table / f"{shard}.parquet"

    def files(self, table: str) -> list[Place]:
        """The files of a table, of whole shards only, in the order of the shards."""
        there = set((self.root / "rows" / table).names())
        return [self.file_of(table, shard) for shard in self.done() if f"{shard}.parquet" in there]

    def clear_parts(self) -> None:
        """Remove what killed writers left half written."""
        if self.root.is_local:
            for path in self.root.fs.find(self.root.path):
                if path.endswith(".part"):
                    self.root.fs.rm_file(path)


def parquet(table: pa.Table) -> bytes:
    """A table as the content of a Parquet file."""
    buffer = BytesIO()
    pq.write_table(table, buffer, compression="zstd", version="2.6")
    return buffer.getvalue()


def read_table(file: Place) -> pa.Table:
    """The table in a Parquet file."""
    return pq.read_table(BytesIO(file.read()))
