"""The folder of a study: rows as Parquet, one file per table and shard, and a mark for each shard that is whole.

    manifest.json                  what the study is, on which models and data
    lock.json                      who runs it, while it runs
    done/00-000007.json            shard 7 of model 0 is whole, and what its files are like
    rows/heads/00-000007.parquet   its rows
    tables/heads.parquet           statistics over all records, once the study is finished

Names depend on the shard alone and marks are written last, so a shard that is run twice leaves the rows of one run, and
one that was cut off leaves none that are read. Files that are no longer as their mark says are not read either: `damage` tells.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from studies.damage import Damage, facts_of, fault_of
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
        if lacking := [name for name in _SAID if name not in found]:
            raise StudyError(f"the manifest of {self.url} is damaged: it says nothing of {', '.join(lacking)}.")
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

    def marks(self) -> dict[str, dict[str, Any] | None]:
        """What was noted of each shard that is whole; None where its mark cannot be read."""
        found = (self.root / "done").entries()
        marks = {name: repr(sorted(found[name].items())) for name in sorted(found) if name.endswith(".json")}
        return {name.removesuffix(".json"): _mark(self.root / "done" / name, version) for name, version in marks.items()}

    def damage(self, *tables: str, whole: bool = False) -> tuple[Damage, ...]:
        """Files of finished shards that are missing, or not as they were written.

        Args:
            tables: which tables, with "heads_all" and the like for their statistics; all by default.
            whole: read every file from beginning to end, and not just its end.
        """
        marks = self.marks()
        found = [Damage("", shard, "cannot be read") for shard, mark in marks.items() if mark is None]
        for table in TABLES:
            if not tables or table in tables:
                found += self._faulty(table, marks, whole)
        return (*found, *self._faulty_statistics(tables))

    def _faulty(self, table: str, marks: dict[str, dict[str, Any] | None], whole: bool) -> list[Damage]:
        there, found = (self.root / "rows" / table).entries(), []
        for shard, mark in marks.items():
            if mark is None or table not in mark["tables"]:
                continue
            facts = _facts(mark, table)
            if fault := fault_of(self.file_of(table, shard), there.get(f"{shard}.parquet"), facts, whole=whole):
                found.append(Damage(table, shard, fault, facts.get("rows")))
        return found

    def _faulty_statistics(self, tables: tuple[str, ...]) -> list[Damage]:
        if not self.has_manifest():
            return []
        there = (self.root / "tables").entries()
        told = {f"{table}_all": facts for table, facts in (self.manifest().get("statistics") or {}).items()}
        faults = {
            name: fault_of(self.statistics(name.removesuffix("_all")), there.get(name.removesuffix("_all") + ".parquet"), facts)
            for name, facts in told.items() if not tables or name in tables
        }  # fmt: skip
        return [Damage(name, "", fault) for name, fault in faults.items() if fault]

    def statistics(self, table: str) -> Place:
        """Where the statistics of a table over all records lie, once the study is finished."""
        return self.root / "tables" / f"{table}.parquet"

    def forget(self, shards: set[str]) -> None:
        """Take away the marks of shards, which are then to be run again."""
        for shard in shards:
            (self.root / "done" / f"{shard}.json").remove()

    def write_shard(self, shard: str, tables: dict[str, pa.Table], noted: dict[str, Any]) -> None:
        """Write the rows of a shard, and then the mark that it is whole."""
        facts = {}
        for name in TABLES:
            file = self.file_of(name, shard)
            if name in tables:
                content = parquet(tables[name])
                file.write(content)
                facts[name] = facts_of(content, len(tables[name]))
            else:
                file.remove()  # of an attempt that was cut off and found otherwise
        mark = {**noted, "tables": facts}
        (self.root / "done" / f"{shard}.json").write(json.dumps(mark).encode())

    def file_of(self, table: str, shard: str) -> Place:
        """Where the rows of a shard lie."""
        return self.root / "rows" / table / f"{shard}.parquet"

    def files(self, table: str) -> list[Place]:
        """The files of a table, of whole shards only and those that are as they were written, in the order of the shards."""
        marks = self.marks()
        faulty = {each.shard for each in self._faulty(table, marks, False)}
        sound = [shard for shard, mark in marks.items() if mark is not None and table in mark["tables"] and shard not in faulty]
        return [self.file_of(table, shard) for shard in sound]

    def clear_parts(self) -> None:
        """Remove what killed writers left half written."""
        if self.root.is_local:
            for path in self.root.fs.find(self.root.path):
                if path.endswith(".part"):
                    self.root.fs.rm_file(path)


_SAID = ("study", "identity", "shards", "created", "finished")
"""What every manifest says."""


@lru_cache(maxsize=65536)
def _mark(file: Place, version: str) -> dict[str, Any] | None:
    """A mark; `version` is another after each change of it."""
    try:
        found = json.loads(file.read())
    except (OSError, ValueError):
        return None
    told = isinstance(found, dict) and all(name in found for name in ("records", "broken", "seconds", "notes", "tables"))
    return found if told else None


def _facts(mark: dict[str, Any], table: str) -> dict[str, Any]:
    """What a mark says of a file; nothing in stores of earlier versions."""
    told = mark["tables"]
    return told[table] if isinstance(told, dict) else {}


def parquet(table: pa.Table) -> bytes:
    """A table as the content of a Parquet file."""
    buffer = BytesIO()
    pq.write_table(table, buffer, compression="zstd", version="2.6")
    return buffer.getvalue()


def read_table(file: Place) -> pa.Table:
    """The table in a Parquet file."""
    return pq.read_table(BytesIO(file.read()))
