"""What a map of points shows, and how it travels to the browser. Knows neither Streamlit nor any model."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from PIL import Image

from ui.archive import pack

Marks = Literal["dots", "patterns", "scatters"]
STEPS = 254
"""A pattern's largest number as a byte; one more stands for cells that do not exist."""
PICTURE_SIDE = 320
LARGEST_PATTERN = 80
"""Cells of a pattern's side that are sent; larger ones are averaged."""
MOST_GROUPS = 255


@dataclass(frozen=True)
class Group:
    """One entry of the legend."""

    name: str
    """Empty: not listed."""
    colour: str
    count: int | None = None


@dataclass(frozen=True, eq=False)
class Gallery:
    """The pictures that points come from, as JPEG."""

    titles: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    """(width, height) as shown."""
    files: tuple[bytes, ...]

    @staticmethod
    def of(images: Sequence[np.ndarray], titles: Sequence[str]) -> Gallery:
        """From pictures [height, width, 3] uint8."""
        small = [_reduced(Image.fromarray(image)) for image in images]
        return Gallery(tuple(titles), tuple(image.size for image in small), tuple(_jpeg(image) for image in small))


@dataclass(frozen=True, eq=False)
class Tokens:
    """Which token each point stands for."""

    picture: np.ndarray
    """[P] number of the picture."""
    box: np.ndarray
    """[P, 4] x0, y0, x1, y1 as shares of the picture; NaN without a place."""
    place: np.ndarray
    """[P, 2] row and column on the grid; -1 without a place."""
    word: np.ndarray
    """[P] what can be seen there, or the token's role: number in `words`."""
    words: tuple[str, ...]
    kind: np.ndarray
    """[P] number in `kinds`."""
    kinds: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PointMap:
    """All that a map shows."""

    label: str
    """For people who do not see it."""
    points: np.ndarray
    """[P, 2]; where marks are scatters, column and row of a table."""
    group: np.ndarray
    """[P] number of the legend's entry."""
    legend: tuple[Group, ...]
    marks: Marks = "dots"
    patterns: np.ndarray | None = None
    """[P, S, S] bytes, from `pattern_bytes`."""
    scatter: np.ndarray | None = None
    """[P, M, 2] bytes: the points of each small scatter."""
    scatter_group: np.ndarray | None = None
    """[M] number of the legend's entry of each small point."""
    rows: tuple[str, ...] = ()
    """Names of the rows of a table of scatters."""
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """[P] what the mouse tells of each point, where there are no tokens."""
    tokens: Tokens | None = None
    links: np.ndarray | None = None
    """[P, K] points that lines lead to; -1 for none."""
    strength: np.ndarray | None = None
    """[P, K]."""
    gallery: Gallery | None = None
    lasso: bool = True
    arrays: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        count = len(self.points)
        if self.points.shape != (count, 2) or len(self.group) != count:
            raise ValueError(f"a map needs points [P, 2] and a group each. Got {self.points.shape} and {len(self.group)} groups.")
        if len(self.legend) > MOST_GROUPS or (count and int(self.group.max()) >= len(self.legend)):
            raise ValueError(f"groups must be numbers of the legend's {len(self.legend)} entries, at most {MOST_GROUPS}.")
        self.arrays.update(self._arrays())

    def _arrays(self) -> dict[str, np.ndarray]:
        optional: dict[str, Any] = {"patterns": (self.patterns, np.uint8), "scatter": (self.scatter, np.uint8)}
        optional |= {"scatterGroup": (self.scatter_group, np.uint8), "links": (self.links, np.int32)}
        optional |= {"strength": (self.strength, np.float32)}
        if (tokens := self.tokens) is not None:
            optional |= {
                "picture": (tokens.picture, np.int32),
                "place": (tokens.place, np.int32),
                "word": (tokens.word, np.int32),
            }
            optional |= {"box": (tokens.box, np.float32), "kind": (tokens.kind, np.uint8)}
        given: dict[str, Any] = {"points": (self.points, np.float32), "group": (self.group, np.uint8)} | optional
        return {name: array.astype(kind) for name, (array, kind) in given.items() if array is not None}

    @property
    def id(self) -> str:
        """Names the points: another id is another map, the same id is the same one in other colours."""
        content = hashlib.blake2b(digest_size=8)
        for name, array in self.arrays.items():
            if name != "group":
                content.update(np.ascontiguousarray(array).tobytes())
        return content.hexdigest()

    def packed(
        self, *, chosen: int = -1, marked: np.ndarray | None = None, picked: Sequence[int] = (), height: int = 520
    ) -> bytes:
        """One answer for the browser.

        Args:
            chosen: the point that is outlined.
            marked: [P] bool, the points that are not drawn faintly.
            picked: points that are gathered when the map is first shown.
            height: pixels of the map.
        """
        arrays, files = dict(self.arrays), self.gallery.files if self.gallery else ()
        if marked is not None:
            arrays["marked"] = np.asarray(marked, np.uint8)
        arrays["jpegs"] = np.frombuffer(b"".join(files), np.uint8)
        tokens = self.tokens
        header = {
            "id": self.id, "label": self.label, "marks": self.marks, "height": height, "chosen": int(chosen),
            "picked": [int(i) for i in picked], "lasso": self.lasso, "rows": self.rows, "pictures": self._pictures(),
            "pictures_id": hashlib.blake2b(b"".join(files), digest_size=8).hexdigest(),
            "legend": [{"name": g.name, "colour": g.colour, "count": g.count} for g in self.legend],
            "names": self.names or None, "notes": self.notes or None,
            "words": tokens.words if tokens else (), "kinds": tokens.kinds if tokens else (),
        }  # fmt: skip
        return pack(header, arrays)

    def _pictures(self) -> list[dict[str, Any]]:
        if self.gallery is None:
            return []
        at = np.cumsum([0, *(len(file) for file in self.gallery.files)])
        each = zip(self.gallery.titles, self.gallery.sizes, self.gallery.files, at, strict=False)
        return [{"title": t, "width": s[0], "height": s[1], "at": int(a), "bytes": len(f)} for t, s, f, a in each]


def pattern_bytes(maps: np.ndarray) -> np.ndarray:
    """Maps [P, rows, columns] as square bytes [P, S, S], each scaled to its own largest number; 255 where there is nothing.

    Each map is cut to what it knows, so that heads of small windows are as large as others.
    """
    cut = [trimmed(each) for each in maps]
    side = min(max(max(each.shape) for each in cut), LARGEST_PATTERN)
    return np.stack([_square(each, side) for each in cut])


def trimmed(pattern: np.ndarray) -> np.ndarray:
    """A map without its unknown margins; the query stays in the middle."""
    known = ~np.isnan(pattern)
    cuts = []
    for axis in (0, 1):
        lines = np.flatnonzero(known.any(1 - axis))
        middle = pattern.shape[axis] // 2
        reach = int(np.abs(lines - middle).max()) if len(lines) else 0
        cuts.append(slice(middle - reach, middle + reach + 1))
    return pattern[cuts[0], cuts[1]]


def _square(pattern: np.ndarray, side: int) -> np.ndarray:
    """Bytes of one map: its longer side fills the square, cells keep their shape."""
    while max(pattern.shape) > side:
        pattern = _coarser(pattern[None])[0]
    most = float(np.nanmax(pattern)) if np.isfinite(pattern).any() else 0.0
    share = np.clip(np.nan_to_num(pattern) / max(most, 1e-12), 0, 1)
    codes = np.where(np.isnan(pattern), STEPS + 1, np.rint(share * STEPS)).astype(np.uint8)
    longer = max(pattern.shape)
    at = (np.arange(side) * longer) // side
    framed = np.full((longer, longer), STEPS + 1, np.uint8)
    top, left = ((longer - n) // 2 for n in pattern.shape)
    framed[top : top + pattern.shape[0], left : left + pattern.shape[1]] = codes
    return framed[np.ix_(at, at)]


def _coarser(maps: np.ndarray) -> np.ndarray:
    """Three by three cells as one, the query's in the middle of the middle one."""
    sides = [-(-n // 3) + (-(-n // 3) + 1) % 2 for n in maps.shape[1:]]
    framed = np.full((len(maps), 3 * sides[0], 3 * sides[1]), np.nan)
    top, left = (3 * sides[0] - maps.shape[1]) // 2, (3 * sides[1] - maps.shape[2]) // 2
    framed[:, top : top + maps.shape[1], left : left + maps.shape[2]] = maps
    blocks = framed.reshape(len(maps), sides[0], 3, sides[1], 3)
    known = ~np.isnan(blocks)
    total = np.where(known, blocks, 0).sum((2, 4))
    return np.where(known.any((2, 4)), total / np.maximum(known.sum((2, 4)), 1), np.nan)


def _reduced(image: Image.Image) -> Image.Image:
    small = image.convert("RGB")
    small.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    return small


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
