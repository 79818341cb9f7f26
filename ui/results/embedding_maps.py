"""Points of queries, keys and hidden states as maps for the browser, and pictures of patches for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from ui import colours
from ui.point_map.points import Group, PointMap, Tokens
from ui.results.embedding import HeadPoints, Panels, Seen, StatePoints
from ui.results.embedding_tokens import BACKGROUND, UNKNOWN

if TYPE_CHECKING:
    from analysis.projections import PatchColours
    from model_adapters import Rows

Colouring = Literal["kind", "object", "row", "column", "picture"]
COLOURINGS: tuple[Colouring, ...] = ("kind", "object", "row", "column", "picture")
QUERIES, KEYS = Group("queries", "#e07a00"), Group("keys", "#3f7fd0")
_KEYS_HELP = "Arrow keys move, Enter chooses, Space gathers."


def head_map(found: HeadPoints, seen: Seen, by: Colouring) -> PointMap:
    """Queries and keys of one head, with lines to what they meet and the pictures that they come from."""
    group, legend = coloured(found.tokens, by, (QUERIES, KEYS), seen)
    points = found.joint.embedding.points
    label = f"Map of {len(points)} queries and keys; near ones attend to each other. {_KEYS_HELP}"
    return PointMap(
        label, points, group, legend, tokens=found.tokens, links=found.links, strength=found.strength, gallery=seen.gallery
    )


def state_map(found: StatePoints, seen: Seen, by: Colouring) -> PointMap:
    """Hidden states of one layer, with the pictures that they come from."""
    group, legend = coloured(found.tokens, by, (Group("tokens", KEYS.colour),), seen)
    points = found.embedding.points
    return PointMap(
        f"Map of {len(points)} hidden states; near ones are alike. {_KEYS_HELP}", points, group, legend,
        tokens=found.tokens, gallery=seen.gallery,
    )  # fmt: skip


def panel_map(found: Panels) -> PointMap:
    """All heads as small scatters in a table, a row per layer."""
    values = found.correlation.values
    notes = [f"distance against attention: {values[row, head]:.2f}".replace("-", "−") for head, row in found.places]
    return PointMap(
        f"Queries and keys of {len(found.places)} heads. Arrow keys move, Enter chooses.",
        found.places,
        np.zeros(len(found.places), int),
        (QUERIES, KEYS),
        marks="scatters",
        scatter=found.points,
        scatter_group=found.kinds,
        rows=tuple(str(row) for row in range(len(found.correlation.sites))),
        names=tuple(f"Layer {row}, head {head}" for head, row in found.places),
        notes=tuple(notes),
        lasso=False,
    )


def coloured(tokens: Tokens, by: Colouring, kinds: tuple[Group, ...], seen: Seen) -> tuple[np.ndarray, tuple[Group, ...]]:
    """[P] groups and their legend, so that colours tell one thing about the tokens."""
    if by == "object":
        return tokens.word, tuple(_word_group(tokens.words, n) for n in range(len(tokens.words)))
    if by == "picture":
        return tokens.picture, tuple(Group(p.title, colours.category(n)) for n, p in enumerate(seen.pictures))
    if by in ("row", "column"):
        place = tokens.place[:, 0 if by == "row" else 1]
        last = int(place.max())
        scale = colours.sequential(last + 2)[1:] if last > 0 else [KEYS.colour]
        told = {0: f"{by} 0", last: f"{by} {last}"}
        elsewhere = Group("no place", colours.NEUTRAL)
        return np.where(place < 0, last + 1, place), (*(Group(told.get(n, ""), scale[n]) for n in range(last + 1)), elsewhere)
    return tokens.kind, kinds


def _word_group(words: tuple[str, ...], number: int) -> Group:
    word = words[number]
    plain = [w for w in words if w not in (BACKGROUND, UNKNOWN)]
    if word in (BACKGROUND, UNKNOWN):
        return Group(word or "not known", "#a9b4b8")
    return Group(word, colours.category(plain.index(word)))


def patch(seen: Seen, tokens: Tokens, item: int, side: int = 72) -> np.ndarray | None:
    """[side, side, 3] the patch and its surroundings, outlined; None for tokens without a place."""
    x0, y0, x1, y1 = (float(edge) for edge in tokens.box[item])
    if np.isnan(x0):
        return None
    shown = Image.fromarray(seen.pictures[int(tokens.picture[item])].array)
    w, h = (x1 - x0) * shown.width, (y1 - y0) * shown.height
    left, top = x0 * shown.width - w, y0 * shown.height - h
    crop = np.array(shown.crop((round(left), round(top), round(left + 3 * w), round(top + 3 * h))).resize((side, side)))
    third = side // 3
    box = crop[third : 2 * third, third : 2 * third]
    for edge in (box[:2], box[-2:], box[:, :2], box[:, -2:]):
        edge[...] = 255
    return crop


def with_patches(seen: Seen, tokens: Tokens, picture: int, items: Sequence[int], side: int = 240) -> np.ndarray:
    """[height, width, 3] a picture on which everything but these tokens' patches is dimmed."""
    shown = Image.fromarray(seen.pictures[picture].array)
    shown.thumbnail((side, side))
    array = np.array(shown)
    lit = np.zeros(array.shape[:2], bool)
    for item in items:
        if tokens.picture[item] == picture and not np.isnan(tokens.box[item, 0]):
            lit[_cell(tokens.box[item], shown.width, shown.height)] = True
    array[~lit] = (array[~lit] * 0.3 + 90).astype(np.uint8)
    return array


def colour_picture(found: PatchColours, number: int, rows: Rows, size: tuple[int, int], side: int = 200) -> np.ndarray:
    """[height, width, 4] the patches of one picture in their colours; transparent where no patch is.

    Args:
        found: the colours of all pictures.
        number: of the picture.
        rows: where its tokens lie.
        size: (width, height) of the picture.
        side: pixels of the longer side.
    """
    scale = side / max(size)
    width, height = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    picture = np.zeros((height, width, 4), np.uint8)
    for colour, box in zip(found.colours[number], rows.boxes, strict=True):
        if not (np.isnan(colour).any() or np.isnan(box).any()):
            picture[_cell(box / np.tile(size, 2), width, height)] = (*np.rint(255 * colour).astype(int), 255)
    return picture


def _cell(box: np.ndarray, width: int, height: int) -> tuple[slice, slice]:
    x0, y0, x1, y1 = np.round(box * np.array([width, height, width, height])).astype(int)
    return slice(max(y0, 0), max(y1, y0 + 1)), slice(max(x0, 0), max(x1, x0 + 1))
