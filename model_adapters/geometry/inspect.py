"""An inspection picture: the boxes of a site's rows and their numbers, drawn over the original image."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from model_adapters.layout import Layout, Rows

_PREFIX = (90, 90, 90)
_TILES = ((255, 220, 0), (0, 220, 255), (255, 90, 160), (120, 255, 90), (255, 150, 40), (170, 140, 255))
_LETTERS = 13
"""Pixels of a letter's height."""
_ROOM, _WIDE = 2.0, 0.6
"""Heights of a letter that a number needs around it, and that a letter is wide."""


def inspection(
    layout: Layout, images: Sequence[Image.Image], *, side: Literal["queries", "keys", "values"] = "queries", image: int = 0,
    tile: int | None = None, width: int = 768, letters: int = _LETTERS,
) -> Image.Image:  # fmt: skip
    """Draw one site's rows.

    Args:
        layout: the site's layout.
        images: the original images (or the frames of a video).
        side: which rows.
        image: which of the images (of a video: which frame).
        tile: only the boxes of this tile; all by default, each tile in a colour of its own.
        width: of the picture, in pixels.
        letters: their height, in pixels.

    Returns:
        The image, dimmed where no row has a place, with the outline of every box and the number of its row (every n-th
        where they would overlap), and below it the rows without a place by role.
    """
    if not 0 <= image < len(images):
        raise ValueError(f"image={image} was asked for, but {len(images)} images were given.")
    rows: Rows = getattr(layout, side)
    scale = width / images[image].size[0]
    shown = images[image].convert("RGB").resize((width, max(1, round(images[image].size[1] * scale))))
    chosen = rows.placed & (np.where(rows.frame > 0, rows.frame, rows.image) == image)
    if tile is not None:
        chosen &= rows.tile == tile
    numbers = np.flatnonzero(chosen)
    shown = _dimmed(shown, rows.boxes[numbers] * scale)
    _draw(ImageDraw.Draw(shown), rows, numbers, scale, letters)
    return _with_caption(shown, _caption(layout, rows, side, len(numbers)), letters)


def _dimmed(shown: Image.Image, boxes: np.ndarray) -> Image.Image:
    """Where no box lies, the image is darker."""
    mask = Image.new("L", shown.size, 90)
    draw = ImageDraw.Draw(mask)
    for box in boxes:
        draw.rectangle([float(v) for v in box], fill=255)
    return Image.composite(shown, Image.new("RGB", shown.size), mask)


def _draw(draw: ImageDraw.ImageDraw, rows: Rows, numbers: np.ndarray, scale: float, letters: int) -> None:
    if not len(numbers):
        return
    boxes = rows.boxes[numbers] * scale
    every = _every(boxes, letters)
    column = np.unique(np.round(boxes[:, 0], 1), return_inverse=True)[1]
    line = np.unique(np.round(boxes[:, 1], 1), return_inverse=True)[1]
    for number, box, c, r in zip(numbers, boxes, column, line, strict=True):
        colour = _TILES[max(int(rows.tile[number]), 0) % len(_TILES)]
        x0, y0, x1, y1 = (float(v) for v in box)
        draw.rectangle([x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)], outline=colour)
        if c % every == 0 and r % every == 0:
            draw.text((x0 + 2, y0 + 1), str(number), fill=colour, font_size=letters, stroke_width=1, stroke_fill=(0, 0, 0))


def _every(boxes: np.ndarray, letters: int) -> int:
    """Every how many columns and lines a number fits."""
    smallest = max(1.0, float(np.median(np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]))))
    return max(1, int(np.ceil(_ROOM * letters / smallest)))


def _caption(layout: Layout, rows: Rows, side: str, drawn: int) -> str:
    without: dict[str, int] = {}
    for role in rows.roles[~rows.placed]:
        without[str(role)] = without.get(str(role), 0) + 1
    lines = f"{side}: {len(rows)} rows, {layout.windows} window(s), {drawn} drawn; quality {layout.quality}"
    if without:
        lines += "\nno place: " + ", ".join(f"{count} {role}" for role, count in without.items())
    return lines + (f"\n{layout.reason}" if layout.reason else "")


def _with_caption(shown: Image.Image, text: str, letters: int) -> Image.Image:
    wide = max(1, int((shown.width - 12) / (_WIDE * letters)))
    text = "\n".join(line for part in text.splitlines() for line in textwrap.wrap(part, wide))
    height = round(1.4 * letters) * (text.count("\n") + 1) + 8
    whole = Image.new("RGB", (shown.width, shown.height + height), "white")
    whole.paste(shown, (0, 0))
    ImageDraw.Draw(whole).multiline_text((6, shown.height + 3), text, fill=_PREFIX, font_size=letters)
    return whole
