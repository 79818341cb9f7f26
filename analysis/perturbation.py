"""Taking a picture apart in the order of a map: cells, what is put in their place, and the scores on the way.

A picture is cut into square cells that are the same for every map, so that a coarse map and a fine one are compared over
the same steps. Cells on which no token lies are taken last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter

from analysis.results import TokenMap
from analysis.runs import Score

Fill = Literal["mean", "blur", "shuffle"]
FILLS: tuple[Fill, ...] = ("mean", "blur", "shuffle")
BLUR = 0.08
"""Standard deviation of the blur, as a share of the longer side."""


@dataclass(frozen=True, eq=False)
class Cells:
    """A picture cut into cells, and what takes their place."""

    image: np.ndarray
    """[height, width, 3]."""
    fill: np.ndarray
    """[height, width, 3]."""
    numbers: np.ndarray
    """[height, width] int: the cell of each pixel."""

    @property
    def count(self) -> int:
        """How many cells there are."""
        return int(self.numbers.max()) + 1

    def mixed(self, present: np.ndarray) -> np.ndarray:
        """The picture with only the cells of `present` [cells] bool; the fill elsewhere."""
        return np.where(present[self.numbers][..., None], self.image, self.fill)


def cut(image: np.ndarray, grid: int) -> np.ndarray:
    """[height, width] int: `grid` cells along the longer side, and as many along the other as keep them square."""
    if image.ndim != 3:
        raise ValueError(f"a picture must be [height, width, channels]. Got shape {image.shape} instead.")
    height, width = image.shape[:2]
    side = max(height, width) / grid
    down, across = max(1, round(height / side)), max(1, round(width / side))
    rows = np.arange(height) * down // height
    return rows[:, None] * across + np.arange(width) * across // width


def filled(image: np.ndarray, fill: Fill, numbers: np.ndarray, seed: int = 0) -> np.ndarray:
    """What takes the place of cells: the mean colour, a blurred picture, or the picture with its cells shuffled."""
    if fill == "mean":
        made = np.broadcast_to(image.mean((0, 1), dtype=np.float64), image.shape)
    elif fill == "blur":
        sigma = BLUR * max(image.shape[:2])
        made = gaussian_filter(image.astype(np.float64), (sigma, sigma, 0), mode="nearest")
    elif fill == "shuffle":
        made = _shuffled(image, numbers, np.random.default_rng(seed))
    else:
        raise ValueError(f"fill must be one of {FILLS}. Got {fill!r} instead.")
    return (np.rint(made) if np.issubdtype(image.dtype, np.integer) else made).astype(image.dtype)


def cell_means(shown: TokenMap, numbers: np.ndarray) -> np.ndarray:
    """[cells]: the mean of a map over each cell; NaN where no token lies."""
    height, width = numbers.shape
    raster = shown.raster((width, height)).ravel()
    seen = np.isfinite(raster)
    cells = int(numbers.max()) + 1
    count = np.bincount(numbers.ravel()[seen], minlength=cells)
    total = np.bincount(numbers.ravel()[seen], weights=raster[seen], minlength=cells)
    return np.divide(total, count, out=np.full(cells, np.nan), where=count > 0)


def ranked(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[cells]: cell numbers from the highest value to the lowest; equals in random order, NaN last."""
    return np.lexsort((rng.random(len(values)), -np.nan_to_num(values, nan=-np.inf)))


def deletion(cells: Cells, order: np.ndarray, steps: int) -> Iterator[np.ndarray]:
    """The steps - 1 pictures between the whole one and the fill, as more and more cells of the order are taken."""
    for taken in np.round(np.linspace(0, cells.count, steps + 1)).astype(int)[1:-1]:
        present = np.ones(cells.count, bool)
        present[order[:taken]] = False
        yield cells.mixed(present)


def insertion(cells: Cells, order: np.ndarray, steps: int) -> Iterator[np.ndarray]:
    """The same from the fill to the whole picture, as more and more cells of the order are put back."""
    swapped = Cells(cells.fill, cells.image, cells.numbers)
    return deletion(swapped, order, steps)


def scored(score: Score, pictures: Iterable[np.ndarray], batch: int) -> np.ndarray:
    """[pictures] float64: their scores, `batch` pictures at a time."""
    left, parts = iter(pictures), [np.zeros(0)]
    while group := list(islice(left, batch)):
        found = np.asarray(score(np.stack(group)), np.float64)
        if found.shape != (len(group),):
            raise ValueError(f"score must give one number per picture. It gave shape {found.shape} for {len(group)} pictures.")
        parts.append(found)
    return np.concatenate(parts)


def _shuffled(image: np.ndarray, numbers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each cell shows another cell, stretched to its size where sizes differ by a pixel."""
    cells = int(numbers.max()) + 1
    turn = np.roll(np.arange(cells), 1) if cells < 3 else _derangement(cells, rng)
    spans = [_span(numbers == cell) for cell in range(cells)]
    made = np.empty_like(image)
    for (rows, columns), other in zip(spans, turn, strict=True):
        source_rows, source_columns = spans[other]
        down = source_rows[np.arange(len(rows)) * len(source_rows) // len(rows)]
        across = source_columns[np.arange(len(columns)) * len(source_columns) // len(columns)]
        made[np.ix_(rows, columns)] = image[np.ix_(down, across)]
    return made


def _derangement(count: int, rng: np.random.Generator) -> np.ndarray:
    """A random cycle through all: nothing stays where it was."""
    cycle = rng.permutation(count)
    turn = np.empty(count, int)
    turn[cycle] = np.roll(cycle, 1)
    return turn


def _span(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
