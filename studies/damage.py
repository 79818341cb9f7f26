"""Files of finished shards that are missing, or not as they were written: how that is noticed, and what is said of it.

A mark holds of each of its shard's files how many rows it has, its size, a checksum of its end, and one of all of it. A
Parquet file ends with where its columns lie and the extremes of each, so the end alone tells a file from another shard's; it is
read once for each version of a file. All of a file is read only before a study goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from studies.places import Place

_END = 8192
"""Bytes that count as the end of a file."""
_MAGIC = b"PAR1"
_NAMED = 4
"""Shards that a sentence names."""


@dataclass(frozen=True)
class Damage:
    """One file that is not what its shard left."""

    table: str
    shard: str
    """Empty where it is the table of statistics over all records."""
    fault: str
    """"is missing", "is cut short or of another study", or the like."""
    rows: int | None = None
    """How many rows are lacking; None where its mark does not tell."""


def facts_of(content: bytes, rows: int) -> dict[str, Any]:
    """What a mark holds of a file."""
    return {"rows": rows, "bytes": len(content), "end": _sum(content[-_END:]), "sum": _sum(content)}


def fault_of(file: Place, found: Mapping[str, Any] | None, facts: Mapping[str, Any], *, whole: bool = False) -> str:
    """What is wrong with a file; empty where nothing is.

    Args:
        file: where it should lie.
        found: what its folder says of it; None where it is not there.
        facts: what its mark says; empty in marks of earlier versions, which know only that it is there.
        whole: read all of it, rather than its end.
    """
    if found is None:
        return "is missing"
    size = int(found.get("size") or 0)
    if facts and size != facts["bytes"]:
        return "is cut short" if size < facts["bytes"] else "is not the one that was written"
    end, closed = _read_end(file, size, repr(sorted(found.items())))
    if not closed:
        return "is cut short"
    if facts and (end != facts["end"] or (whole and _sum(file.read()) != facts["sum"])):
        return "is not the one that was written"
    return ""


@lru_cache(maxsize=65536)
def _read_end(file: Place, size: int, version: str) -> tuple[str, bool]:
    """The checksum of a file's end, and whether it ends as Parquet does; `version` is another after each change."""
    content = bytes(file.fs.cat_file(file.path, start=max(0, size - _END), end=size)) if size else b""
    return _sum(content), content.endswith(_MAGIC)


def _sum(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def sentences(found: Iterable[Damage]) -> tuple[str, ...]:
    """For each table and kind of damage: which shards it meets, how many rows are lacking, and what mends it."""
    groups: dict[tuple[str, str], list[Damage]] = {}
    for each in found:
        groups.setdefault((each.table, each.fault), []).append(each)
    return tuple(_sentence(table, fault, each) for (table, fault), each in groups.items())


def _sentence(table: str, fault: str, found: list[Damage]) -> str:
    mended = "Going on with the study (resume) mends it."
    if not found[0].shard:
        return f"The file of the statistics {table} {fault}. {mended}"
    names = [each.shard for each in found]
    shards = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    where = f"of shard{'s' if len(names) > 1 else ''} {shards} the file {fault}"
    if not table:
        return f"Rows are lacking: {where.replace('file', 'mark')}. {mended}"
    known = [each.rows for each in found if each.rows is not None]
    count = f"{sum(known):,} rows are" if len(known) == len(found) else "Rows are"
    return f"{count} lacking in the table {table}: {where}. {mended}"
