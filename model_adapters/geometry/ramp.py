"""Which pixel of the original image every entry of a processed tensor was made of.

Pictures of known coordinates are sent through the model's own processor, and read back.
Five kinds of picture suffice: black and white (what an entry can show at all; an entry that shows no difference is
padding), grey ramps along x and along y, and, for several images or frames, some of them white and some black. All are
grey, so neither the order of the channels nor the normalisation has to be known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from model_adapters.errors import AdapterError

Send = Callable[[list[Image.Image]], list[torch.Tensor]]
"""Sends pictures (one per source) through processor and model up to the doors: the pixels at every door."""

_HEIGHTS = (1.0, 0.81, 0.618)
"""Ramps of several heights are averaged: where a resize makes the steps of one a whole number of grey levels, rounding
always errs to one side."""
SAME = (
    "The processor makes the same of a black and of a white picture (it normalises each picture by its own statistics), "
    "so the place of its patches cannot be measured."
)


@dataclass(frozen=True)
class Traced:
    """Where the entries of one tensor come from. All arrays have its shape."""

    x: np.ndarray
    """float32, in pixels of the original (0 is its left edge); NaN for padding."""
    y: np.ndarray
    source: np.ndarray
    """int16: which of the pictures; -1 for padding."""


def trace(send: Send, sizes: Sequence[tuple[int, int]]) -> list[Traced]:
    """Trace every entry of the tensors that `send` returns, for pictures of these (width, height)."""
    names = ("black", "white", *(f"{axis}{number}" for axis in "xy" for number in range(len(_HEIGHTS))))
    shades = {name: send([picture(name, size) for size in sizes]) for name in names}
    bits = range((len(sizes) - 1).bit_length())
    codes = [send([picture("white" if n >> bit & 1 else "black", size) for n, size in enumerate(sizes)]) for bit in bits]
    return [
        _read({name: _array(tensors[door]) for name, tensors in shades.items()}, [_array(c[door]) for c in codes], sizes)
        for door in range(len(shades["black"]))
    ]


def picture(kind: str, size: tuple[int, int]) -> Image.Image:
    """A picture of known coordinates: "black", "white", or one of the grey ramps along x or y, such as "x0"."""
    width, height = size
    if kind in ("black", "white"):
        return Image.new("RGB", size, kind)
    line = np.linspace(0, 255 * _HEIGHTS[int(kind[1])], width if kind[0] == "x" else height).round().astype(np.uint8)
    grey = np.broadcast_to(line if kind[0] == "x" else line[:, None], (height, width))
    return Image.fromarray(np.repeat(grey[:, :, None], 3, axis=2))


def _read(shades: dict[str, np.ndarray], codes: list[np.ndarray], sizes: Sequence[tuple[int, int]]) -> Traced:
    black, span = shades["black"], shades["white"] - shades["black"]
    if not np.isfinite(span).all() or np.abs(span).max() < 1e-6:
        raise AdapterError(SAME)
    inside = np.abs(span) > 0.5 * np.abs(span).max()
    share = np.where(inside, span, np.nan)
    number = np.zeros(black.shape, np.int16)
    for bit, code in enumerate(codes):
        number |= (np.nan_to_num((code - black) / share) > 0.5).astype(np.int16) << bit
    number = np.minimum(number, len(sizes) - 1)
    longest = np.array(sizes, np.float32)[number]
    x, y = (
        np.mean([(shades[f"{axis}{i}"] - black) / share / height for i, height in enumerate(_HEIGHTS)], axis=0)
        * (longest[..., n] - 1) + np.float32(0.5)
        for n, axis in enumerate("xy")
    )  # fmt: skip
    return Traced(x.astype(np.float32), y.astype(np.float32), np.where(inside, number, -1).astype(np.int16))


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()
