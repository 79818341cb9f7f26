"""Which token each point stands for: its picture, its place, and what can be seen there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ui.pictures import Picture
from ui.point_map.points import Tokens

if TYPE_CHECKING:
    from model_adapters import Rows

QUERY, KEY = 0, 1
BACKGROUND = "background"
UNKNOWN = ""


def tokens_of(pictures: Sequence[Picture], rows: Sequence[Rows | None], lengths: Sequence[int] | None = None) -> Tokens:
    """What the tokens of all pictures are and where they lie."""
    from model_adapters import Rows

    lengths = [len(r) for r in rows if r is not None] if lengths is None else lengths
    known = [r if r is not None else Rows.plain(["unknown"] * n) for r, n in zip(rows, lengths, strict=True)]
    boxes = [r.boxes / np.tile([p.array.shape[1], p.array.shape[0]], 2) for r, p in zip(known, pictures, strict=True)]
    told = [words_of(r, p) for r, p in zip(known, pictures, strict=True)]
    words = tuple(dict.fromkeys(word for each in told for word in each))
    count = sum(lengths)
    return Tokens(
        np.repeat(np.arange(len(known)), lengths),
        np.concatenate(boxes),
        np.concatenate([places_of(r.boxes) for r in known]),
        np.array([words.index(word) for each in told for word in each]),
        words,
        np.zeros(count, int),
        ("token",),
    )


def places_of(boxes: np.ndarray) -> np.ndarray:
    """[N, 2] row and column of boxes on their grid; -1 without a place."""
    found = np.full((len(boxes), 2), -1)
    placed = ~np.isnan(boxes[:, 0])
    for axis, side in ((0, 1), (1, 0)):
        found[placed, axis] = np.unique(np.round(boxes[placed, side], 1), return_inverse=True)[1]
    return found


def words_of(rows: Rows, picture: Picture) -> list[str]:
    """What can be seen in each patch, where that is known (more than half of it); other tokens by their role."""
    from analysis.object_energy import coverage

    words = [str(role) if not placed else UNKNOWN for role, placed in zip(rows.roles, rows.placed, strict=True)]
    words = [f"{word} token" if word else word for word in words]
    if picture.scene is None:
        return words
    cover = [(name, coverage(rows, mask)) for name, mask in picture.objects]
    for token in np.flatnonzero(rows.placed):
        name, most = max(((n, float(c[token])) for n, c in cover), key=lambda each: each[1], default=(BACKGROUND, 0.0))
        words[token] = name if most > 0.5 else BACKGROUND
    return words


def joined(queries: Tokens, keys: Tokens) -> Tokens:
    """Queries, then keys, with one list of words."""
    words = tuple(dict.fromkeys((*queries.words, *keys.words)))
    sides = [np.array([words.index(t.words[w]) for w in t.word]) for t in (queries, keys)]
    both = [np.concatenate([getattr(t, name) for t in (queries, keys)]) for name in ("picture", "box", "place")]
    kind = np.repeat([QUERY, KEY], [len(queries.word), len(keys.word)])
    picture, box, place = both
    return Tokens(picture, box, place, np.concatenate(sides), words, kind, ("query", "key"))


def matching(
    tokens: Tokens, *, picture: int | None = None, row: int | None = None, column: int | None = None, word: str | None = None
) -> np.ndarray | None:
    """[P] bool: the points that are searched for; None where nothing is asked."""
    asked = [
        None if picture is None else tokens.picture == picture,
        None if row is None else tokens.place[:, 0] == row,
        None if column is None else tokens.place[:, 1] == column,
        None if word is None else np.array([name == word for name in tokens.words])[tokens.word],
    ]
    given = [each for each in asked if each is not None]
    return np.logical_and.reduce(given) if given else None
