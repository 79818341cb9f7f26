"""Rows of a study in groups (a word, a budget, a caption, a class), each with its mean; and the records behind one group."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from studies.errors import StudyError
from studies.reading import query
from studies.store import Store

MOST = 24
"""So many groups are shown: those with most rows."""


@dataclass(frozen=True)
class Grouping:
    """How the rows of a table are put together."""

    title: str
    group: str
    """What a group is, in SQL, of the table t."""
    start: str
    """The column that is shown first."""
    each: str
    """What one group is called."""


_JUDGED = "CASE WHEN t.\"right\" THEN 'right' WHEN NOT t.\"right\" THEN 'wrong' ELSE 'not judged' END"
GROUPINGS: dict[str, Grouping] = {
    "words": Grouping("Words", "t.name", "to_image", "Word"),
    "budgets": Grouping("Budgets", "t.pruner || ', ' || t.budget || ' kept'", "agreement", "Budget"),
    "matches": Grouping("Captions", "t.caption", "right", "Caption"),
    "answers": Grouping("Answers", _JUDGED, "tokens", "Answer"),
    "images": Grouping("Classes", "t.label", "right", "Class"),
}
"""By table."""
_WIDE = 1.96
_KEYS = ("model", "record", "index", "budget", "width", "height", "among")


@dataclass(frozen=True, eq=False)
class Groups:
    """The mean of one column per group, with an interval in which it lies in 95 % of such samples."""

    names: tuple[str, ...]
    values: np.ndarray
    """[G]"""
    low: np.ndarray
    high: np.ndarray
    counts: np.ndarray
    """[G] rows."""
    label: str


@dataclass(frozen=True)
class Row:
    """One row of a group, and the record that it is of."""

    record: int
    key: str
    value: float
    said: str
    """What the model said of it; empty where it said nothing."""
    question: str


def tables(store: Store, model: int) -> list[str]:
    """The tables whose groups can be shown for a model."""
    return list(_tables(store.url, (len(store.done()), store.damage()), model))


@lru_cache(maxsize=64)
def _tables(url: str, shards: int, model: int) -> tuple[str, ...]:
    """As `tables`; more shards may bring more."""
    store = Store(url)
    return tuple(name for name in GROUPINGS if store.files(name) and _any(store, name, model))


def columns(store: Store, table: str) -> list[str]:
    """The numbers of a table; yes and no count as 1 and 0. The first is what is looked at first."""
    _, rows = query(store, f"DESCRIBE SELECT * FROM {table}")
    kinds = ("FLOAT", "DOUBLE", "BIGINT", "INTEGER", "BOOLEAN")
    found = [str(row[0]) for row in rows if row[1] in kinds and row[0] not in _KEYS]
    start = GROUPINGS[table].start
    return sorted(found, key=lambda name: (name != start, name))


def groups(store: Store, table: str, model: int, column: str) -> Groups:
    """The mean of a column in every group, those with most rows first."""
    _, rows = query(
        store,
        f"SELECT g, count(v), avg(v), stddev_samp(v), bool_and(v IN (0, 1)) FROM ({_valued(table, model, column)}) "
        f"WHERE g IS NOT NULL AND v IS NOT NULL GROUP BY g ORDER BY count(v) DESC, g LIMIT {MOST:d}",
    )
    counts = np.array([row[1] for row in rows], int)
    means = np.array([row[2] for row in rows], float)
    spread = np.array([np.nan if row[3] is None else row[3] for row in rows], float)
    ends = _shares if all(row[4] for row in rows) else _means
    names, label = tuple(str(row[0]) for row in rows), f"{column.replace('_', ' ')}, mean"
    return Groups(names, means, *ends(means, counts, spread), counts, label)


def behind(store: Store, table: str, model: int, column: str, group: str, *, most: bool, count: int = 6) -> list[Row]:
    """The rows of a group with most, or least, of a column; one for each record."""
    order = "DESC" if most else "ASC"
    said = {"words": "r.word", "budgets": "r.text", "matches": "r.predicted", "answers": "r.text", "images": "r.predicted"}[table]
    told = "LEFT JOIN answers a ON a.model = r.model AND a.record = r.record" if store.files("answers") else ""
    question = "any_value(a.question)" if told else "NULL"
    _, rows = query(
        store,
        f"SELECT r.record, any_value(i.key), {'max' if most else 'min'}(r.v) AS value, "
        f"{'arg_max' if most else 'arg_min'}({said}, r.v), {question} "
        f"FROM ({_valued(table, model, column)}) r JOIN images i ON i.model = r.model AND i.record = r.record {told} "
        f"WHERE r.g = '{_quoted(group)}' AND r.v IS NOT NULL GROUP BY r.record ORDER BY value {order}, r.record LIMIT {count:d}",
    )
    return [
        Row(int(record), str(key), float(value), str(text or ""), str(asked or ""))
        for record, key, value, text, asked in rows
    ]


def _means(means: np.ndarray, counts: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the mean of such a sample lies; nothing is known of one row."""
    wide = _WIDE * spread / np.sqrt(np.maximum(counts, 1))
    return means - wide, means + wide


def _shares(shares: np.ndarray, counts: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same for how often something is so (Wilson 1927): within 0 and 1, and wide where rows are few."""
    squared = _WIDE**2
    middle = (shares + squared / (2 * counts)) / (1 + squared / counts)
    wide = _WIDE * np.sqrt(shares * (1 - shares) / counts + squared / (4 * counts**2)) / (1 + squared / counts)
    return middle - wide, middle + wide


def sql_of(table: str, model: int, column: str) -> str:
    """The query that gives the means again."""
    return f"SELECT g, count(v), avg(v) FROM ({_valued(table, model, column)}) WHERE v IS NOT NULL GROUP BY g ORDER BY 2 DESC"


def _valued(table: str, model: int, column: str) -> str:
    """The rows of a table with their group g and their number v."""
    if table not in GROUPINGS:
        raise StudyError(f"groups are made of the tables {', '.join(GROUPINGS)}. Got {table!r:.80}.")
    name = column.replace('"', "")
    return f'SELECT t.*, {GROUPINGS[table].group} AS g, t."{name}"::DOUBLE AS v FROM {table} t WHERE t.model = {model:d}'


def _any(store: Store, table: str, model: int) -> bool:
    column = GROUPINGS[table].start
    if column not in columns(store, table):
        return False
    _, rows = query(store, f"SELECT count(*) FROM ({_valued(table, model, column)}) WHERE g IS NOT NULL AND v IS NOT NULL")
    return bool(rows[0][0])


def _quoted(text: str) -> str:
    return text.replace("'", "''")
