"""Reading a study's rows with SQL: every table as a view of DuckDB, and the queries that are asked most."""

from __future__ import annotations

import re
import warnings
from typing import Any

import duckdb

from studies.damage import sentences
from studies.errors import DamagedStudy, StudyError
from studies.places import Place
from studies.store import TABLES, Store

QUERIES: dict[str, str] = {
    "heads": """
        SELECT model, tower, layer, head, "column", count, mean, deviation, q05, q50, q95
        FROM heads_all ORDER BY model, "column", layer, head""",
    "layers": """
        SELECT model, tower, layer, "column", count, mean, deviation FROM layers_all ORDER BY model, "column", layer""",
    "accuracy": """
        SELECT model, label, count(*) AS images, avg("right"::INT) AS accuracy
        FROM images WHERE "right" IS NOT NULL GROUP BY ALL ORDER BY model, accuracy, label""",
    "matches": """
        SELECT model, count(*) AS pictures, avg("right"::INT) AS matched, avg(rank) AS rank, avg(among) AS among
        FROM matches GROUP BY ALL ORDER BY model""",
    "words": """
        SELECT model, name, there, count(*) AS times, avg(to_image) AS to_image
        FROM words GROUP BY ALL ORDER BY model, times DESC, name""",
    "answers": """
        SELECT model, count(*) AS answers, avg("right"::INT) AS accuracy, avg(tokens) AS tokens
        FROM answers GROUP BY ALL ORDER BY model""",
    "budgets": """
        SELECT model, pruner, budget, count(*) AS answers, avg(agreement) AS agreement, avg("right"::INT) AS accuracy,
               avg(right_in_full::INT) AS accuracy_in_full, avg(kept) AS kept
        FROM budgets GROUP BY ALL ORDER BY model, pruner, budget""",
    "faults": """
        SELECT reason, count(*) AS records, min(key) AS first FROM faults GROUP BY reason ORDER BY records DESC, reason""",
}
"""Ready queries by name."""


def connection(store: Store) -> duckdb.DuckDBPyConnection:
    """A connection in which each table of the study is a view; "heads_all" and the like hold the statistics.

    It reads the files of the study, and can neither read others nor write any.
    """
    found = duckdb.connect(config={"python_enable_replacements": False})
    root = store.root
    if not root.is_local:
        found.register_filesystem(root.fs)
    files: list[Place] = []
    for table in TABLES:
        if table == "totals":
            continue
        own = store.files(table)
        if own:
            _view(found, table, own)
        summary = store.statistics(table)
        if summary.exists() and not store.damage(f"{table}_all"):
            own = [*own, summary]
            _view(found, f"{table}_all", [summary])
        files += own
    if root.is_local:
        # What SQL may read is this study and nothing else of the machine.
        found.execute("SET allowed_paths = ?", [[file.path for file in files]])
        found.execute("SET enable_external_access = false")
    found.execute("SET lock_configuration = true")
    return found


def ready(store: Store) -> list[str]:
    """The ready queries that this study has the tables for."""
    with connection(store) as con:
        return [name for name, sql in QUERIES.items() if _answers(con, sql)]


def _answers(con: duckdb.DuckDBPyConnection, sql: str) -> bool:
    try:
        con.execute(f"EXPLAIN {sql}")
    except (duckdb.CatalogException, duckdb.BinderException):
        return False  # the study has no such table, or its models no such column
    return True


def query(store: Store, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and rows of a query, or of a ready one by name; a faulty query is one sentence.

    Where files of the tables that it names are missing or changed, it is answered from the rest, with a `DamagedStudy` warning.
    """
    for sentence in lacking(store, QUERIES.get(sql, sql)):
        warnings.warn(sentence, DamagedStudy, stacklevel=2)
    with connection(store) as con:
        try:
            found = con.execute(QUERIES.get(sql, sql))
            if found is None:
                raise StudyError(f"the query is empty: a SELECT over {', '.join(TABLES[:-2])} would work.")
            return [column[0] for column in found.description or ()], found.fetchall()
        except duckdb.Error as error:
            raise StudyError(f"the query cannot be answered: {' '.join(str(error).split())[:400]}") from error


def lacking(store: Store, sql: str) -> tuple[str, ...]:
    """What the tables that a query names lack, a sentence each."""
    named = set(re.findall(r"\w+", sql))
    return sentences(each for each in store.damage() if not each.table or each.table in named)


def _view(con: duckdb.DuckDBPyConnection, name: str, files: list[Place]) -> None:
    listed = ", ".join("'" + file.url.replace("'", "''") + "'" for file in files)
    con.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet([{listed}], union_by_name = true)")
