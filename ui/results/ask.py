"""What the page Ask shows of an answer: its words' rows on each picture, and what is known of one word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import model_adapters as ma
from analysis.words.answer import Answer
from analysis.words.word_relevance import crossing
from model_adapters import Layout, Rows
from ui.jobs import Progress
from ui.recording import View
from ui.results.answering import Answered
from ui.results.flow import Spoken, reading, spoken
from ui.viewer.from_answer import Hop, view_of_answer

APART = 0.01
"""Tiles that share less than this part of the smaller one lie beside each other."""
CROSS = (
    "This model looks at the picture through cross attention, beside its sequence: the rows of its words hold no image. The "
    "page Heads / Patterns shows its towers."
)


@dataclass(frozen=True, eq=False)
class Sheet:
    """Tokens that lie beside each other on one picture: tiles, or the small copy of the whole."""

    picture: int
    """Which of the pictures (frames) that were given."""
    name: str
    """"" where the picture has one sheet only."""
    tokens: np.ndarray
    """[T] bool."""


def places_of(found: Answered, hop: Hop | None = None) -> Rows:
    """The tokens that may lie on a picture: those of the prompt, or those that learned queries look at."""
    return found.asked.rows if hop is None else hop.places


def sheets_of(rows: Rows, pictures: int) -> tuple[Sheet, ...]:
    """The sheets of all pictures that tokens lie on; where none lies on any, one without tokens for each picture."""
    sheets: list[Sheet] = []
    for picture in range(pictures):
        mine = rows.placed & (picture_of(rows) == picture)
        groups = _beside(rows, mine)
        names = _names(groups)
        sheets += [Sheet(picture, name, np.isin(rows.tile, tiles) & mine) for name, tiles in zip(names, groups, strict=True)]
    return tuple(sheet for sheet in sheets if sheet.tokens.any()) or tuple(sheets)


def picture_of(rows: Rows) -> np.ndarray:
    """[T]: which picture a token lies on; of a video, which frame."""
    return np.where(rows.frame > 0, rows.frame, rows.image)


def _beside(rows: Rows, mine: np.ndarray) -> list[list[int]]:
    """Numbers of tiles, in groups that do not lie on each other."""
    groups: list[tuple[list[np.ndarray], list[int]]] = []
    for tile in dict.fromkeys(int(n) for n in rows.tile[mine]):
        boxes = rows.boxes[mine & (rows.tile == tile)]
        box = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])
        group = next((g for g in groups if all(_shared(box, other) < APART for other in g[0])), None)
        if group is None:
            groups.append(group := ([], []))
        group[0].append(box)
        group[1].append(tile)
    return [tiles for _, tiles in groups] or [[]]


def _names(groups: list[list[int]]) -> list[str]:
    if len(groups) == 1:
        return [""]
    return [f"{len(tiles)} tiles" if len(tiles) > 1 else "the whole" for tiles in groups]


def _shared(one: np.ndarray, other: np.ndarray) -> float:
    """The part of the smaller box that lies in the other."""
    both = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    areas = [float(np.prod(box[2:] - box[:2])) for box in (one, other)]
    return float(np.prod(np.maximum(both, 0))) / max(min(areas), 1e-9)


def reason_for(found: Answered, hop: Hop | None) -> str:
    """Why no map can be drawn; empty where one can."""
    if not found.pictures:
        return "No picture was given, so there is nothing to look at but words."
    if hop is not None or found.asked.rows.placed.any():
        return ""
    try:
        count = int(found.answer.image.sum())
    except ValueError:
        return CROSS
    return f"The {count} image tokens of this prompt have no place on the picture, and no attention leads from them to one."


def hop_of(found: Answered, progress: Progress) -> Hop | None:
    """How learned queries looked at the picture, for models whose image tokens they are; it takes one pass."""
    progress.step(0.1, "following the queries to the picture")
    capture = ma.capture(found.model, found.inputs, keep=ma.Keep(sites=_connecting(found)))
    try:
        site = crossing(capture.sites, capture.layouts, -1)
    except ValueError:
        return None
    queries = np.flatnonzero(found.answer.image)
    second = capture.weights[site].astype(np.float64).mean(0)
    return Hop(second, queries, capture.layouts[site].keys) if len(second) == len(queries) else None


def needs_hop(found: Answered) -> bool:
    """Whether image tokens are in the sequence that have no place of their own."""
    rows = found.asked.rows
    return bool(found.pictures) and not rows.placed.any() and bool(_connecting(found)) and "query" in rows.roles


def _connecting(found: Answered) -> tuple[ma.Site, ...]:
    return tuple(site for site in found.model.report.seen if site.tower == "connector")


def view_of(found: Answered, sheet: Sheet | None, hop: Hop | None = None) -> View:
    """All heads of the decoder on one sheet; without a sheet on nothing, and why."""
    shown = np.zeros(len(places_of(found, hop)), bool) if sheet is None else sheet.tokens
    number = 0 if sheet is None else sheet.picture
    reason = reason_for(found, hop)
    if not reason and not shown.any():
        reason = "No token of the prompt lies on this picture."
    picture = found.pictures[number]
    name = f" · {sheet.name}" if sheet is not None and sheet.name else ""
    return view_of_answer(
        found.answer, picture.image, size=size_of(found, number), shown=shown, reason=reason, hop=hop,
        title=f"{found.model.name} · {picture.title}{name} · “{found.text}”", statistics=statistics_of(found.answer),
        meta={
            "model": found.model.name, "weights": found.model.card.weights, "question": found.text, "answer": found.answer.text,
        },
    )  # fmt: skip


def size_of(found: Answered, picture: int) -> tuple[int, int]:
    """Width and height of a picture as boxes count them."""
    sizes = found.answer.sizes
    if picture < len(sizes):
        return sizes[picture]
    frames = [frame.size for item in found.inputs.frames for frame in item]
    return frames[picture] if picture < len(frames) else found.pictures[picture].image.size


def statistics_of(answer: Answer) -> dict[str, tuple[tuple[float, ...], ...]]:
    """Of each head, the share that the image, and that the question got, over all tokens of the answer."""
    shares = {group: _share(answer, group) for group in ("image", "question")}
    return {f"share on the {group}": rows for group, rows in shares.items() if len({v for row in rows for v in row}) > 1}


def _share(answer: Answer, group: str) -> tuple[tuple[float, ...], ...]:
    totals = []
    groups = [answer.groups(step) == group for step in range(len(answer))]
    for layer in range(len(answer.sites)):
        each = [rows[layer][:, mine].sum(-1, dtype=np.float64) for rows, mine in zip(answer.rows, groups, strict=True)]
        totals.append(tuple(float(value) for value in np.mean(each, axis=0)))
    return tuple(totals)


def lens_of(found: Answered, progress: Progress) -> Spoken:
    """What every layer would have said at every word; prompt and answer are read once more, as one."""
    return spoken(found, reading(found, progress))


def grid_of(found: Answered, picture: int, rows: Rows) -> object:
    """The picture with the true boxes of the prompt's tokens, tile by tile, and what lies nowhere."""
    from model_adapters.geometry.inspect import inspection

    layout = Layout(rows, rows, rows, quality="tile" if rows.placed.any() else "none", size=size_of(found, picture))
    return inspection(layout, [each.image for each in found.pictures], image=picture)

