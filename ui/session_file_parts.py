"""What a session file holds beside views: answers word by word, maps with their verdicts, other results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ui.archive import Archive, pack_arrays
from ui.map_payload import MapView
from ui.recording import View
from ui.recording_file import Members, picture_from, picture_member, tokens_from, tokens_header
from ui.session_file_doubts import Doubts, doubts_from, doubts_header
from ui.session_file_figures import checked_figure, figure_bytes
from ui.session_file_tables import Columns, columns_from, columns_members

LONGEST = 4000
"""Words of one answer."""


@dataclass(frozen=True)
class About:
    """What something is, and what is needed to make it again."""

    title: str
    snippet: str = ""
    """Python that makes it again."""
    cites: tuple[str, ...] = ()
    """Keys of the session's references."""
    link: str = ""
    """The address below the app of the page that showed it."""
    model: str = ""
    weights: str = ""
    picture: str = ""
    """Its id, such as "scene:3"."""


@dataclass(frozen=True)
class SavedWord:
    """One word of an answer, or what stands between two of them."""

    text: str
    row: int | None = None
    """Its row in the view of the answer; None for what cannot be asked."""
    probability: float | None = None
    log_probability: float | None = None
    alternatives: tuple[tuple[str, float], ...] = ()
    """The likeliest first tokens with their probabilities."""
    shares: tuple[float, ...] = ()
    """Of its attention, one per group."""
    signals: Mapping[str, float] = field(default_factory=dict)
    """Name -> number; higher is more doubtful."""


@dataclass(frozen=True, eq=False)
class SavedAnswer:
    """An answer, word by word."""

    about: About
    question: str
    text: str
    words: tuple[SavedWord, ...]
    groups: tuple[str, ...] = ()
    """What the shares are shares of."""
    view: int | None = None
    """Which view of the session shows the rows of its words."""
    doubts: Doubts | None = None
    """How far its words were doubted, by their number in `words`; None where that was not asked."""


@dataclass(frozen=True, eq=False)
class SavedResult:
    """A result: its table, and its figure as Plotly's own JSON."""

    about: About
    columns: Columns
    figure: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class SavedMap:
    """A method's map over its picture, with what was measured about it."""

    result: SavedResult
    shown: MapView
    sentence: str = ""
    """How faithful it is, as the page said it."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """The same as numbers, by name."""


def answer_header(answer: SavedAnswer) -> dict[str, Any]:
    """What the header says of an answer."""
    return {
        "about": about_header(answer.about), "question": answer.question, "text": answer.text, "groups": answer.groups,
        "view": answer.view, "doubts": doubts_header(answer.doubts),
        "words": [
            [w.text, w.row, w.probability, w.log_probability, w.alternatives, w.shares, dict(w.signals)] for w in answer.words
        ],
    }  # fmt: skip


def answer_from(header: Mapping[str, Any], views: Sequence[View]) -> SavedAnswer:
    """The answer of a header; its words have rows in the view that it names."""
    place = header["view"]
    if place is not None and not (type(place) is int and 0 <= place < len(views)):
        raise ValueError(f"This session file is damaged: an answer belongs to view {place!r}, and there are {len(views)}.")
    if len(header["words"]) > LONGEST:
        raise ValueError(f"This session file has an answer of {len(header['words'])} words; at most {LONGEST} are read.")
    rows = 0 if place is None else max(len(layer.queries) for layer in views[place].layers)
    groups = tuple(map(str, header["groups"]))
    words = tuple(_word(values, rows, len(groups)) for values in header["words"])
    doubts = doubts_from(header.get("doubts"), len(words))
    return SavedAnswer(about_from(header["about"]), str(header["question"]), str(header["text"]), words, groups, place, doubts)


def _word(values: Sequence[Any], rows: int, groups: int) -> SavedWord:
    text, row, probability, log_probability, alternatives, shares, signals = values
    if row is not None and not (type(row) is int and 0 <= row < rows):
        raise ValueError(f"This session file is damaged: the word {text!r} has no row {row!r}.")
    if len(shares) not in (0, groups):
        raise ValueError(f"This session file is damaged: the word {text!r} has {len(shares)} shares of {groups} groups.")
    return SavedWord(
        str(text), row, _finite(probability), _finite(log_probability),
        tuple((str(name), _number(value)) for name, value in alternatives), tuple(map(_number, shares)),
        {str(name): _number(value) for name, value in signals.items()},
    )  # fmt: skip


def result_members(saved: SavedResult, folder: str) -> tuple[dict[str, Any], Members]:
    """What the header says of a result, and its files."""
    columns, members = columns_members(saved.columns, folder)
    header: dict[str, Any] = {"about": about_header(saved.about), "table": columns, "figure": None}
    if saved.figure is not None:
        header["figure"] = f"{folder}figure.json"
        members[f"{folder}figure.json"] = figure_bytes(saved.figure, saved.about.title)
    return header, members


def result_from(archive: Archive, header: Mapping[str, Any]) -> SavedResult:
    """The result of a header and the files that it names."""
    figure = None if header["figure"] is None else checked_figure(archive.json(header["figure"]))
    return SavedResult(about_from(header["about"]), columns_from(archive, header["table"]), figure)


def map_members(saved: SavedMap, folder: str) -> tuple[dict[str, Any], Members]:
    """What the header says of a map, and its files."""
    shown = saved.shown
    result, members = result_members(saved.result, folder)
    picture, file = picture_member(shown.picture, folder)
    arrays = pack_arrays(values=np.asarray(shown.values, np.float32), boxes=np.asarray(shown.tokens.boxes, np.float32))
    header = result | {
        "sentence": saved.sentence, "numbers": _known(saved.numbers), "picture": picture, "arrays": f"{folder}map.npz",
        "title": shown.title, "signed": shown.signed, "unit": shown.unit, "roles": tokens_header(shown.tokens),
    }  # fmt: skip
    return header, {**members, **file, f"{folder}map.npz": arrays}


def map_from(archive: Archive, header: Mapping[str, Any]) -> SavedMap:
    """The map of a header and the files that it names."""
    arrays = archive.arrays(header["arrays"])
    values = arrays["values"]
    if values.dtype != np.float32 or np.isinf(values).any():
        raise ValueError("This session file is damaged: a map holds numbers that no map has.")
    shown = MapView(
        str(header["title"]), picture_from(archive, header["picture"]), tokens_from(header["roles"], arrays["boxes"]), values,
        bool(header["signed"]), str(header["unit"]),
    )  # fmt: skip
    numbers = {str(name): _number(value) for name, value in header["numbers"].items()}
    return SavedMap(result_from(archive, header), shown, str(header["sentence"]), numbers)


def about_header(about: About) -> dict[str, Any]:
    """For the header."""
    return {**vars(about), "cites": list(about.cites)}


def about_from(header: Mapping[str, Any]) -> About:
    """From the header."""
    texts = {name: str(header[name]) for name in ("title", "snippet", "link", "model", "weights", "picture")}
    return About(**texts, cites=tuple(map(str, header["cites"])))


def _known(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in numbers.items() if math.isfinite(value)}


def _finite(value: Any) -> float | None:
    return None if value is None else _number(value)


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("This session file is damaged: it holds a number that is none.")
    return number
