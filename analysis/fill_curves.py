"""The score on the way from a picture to nothing and back, against random orders: deletion and insertion curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.perturbation import Cells, Fill, deletion, filled, insertion, ranked, scored
from analysis.results import Curve
from analysis.runs import Score

BAND = (0.05, 0.95)
"""Which part of the random orders the band holds."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """A map's curve under one fill, and the areas under the same curve for random orders."""

    curve: Curve
    """The band holds 90 % of the random orders."""
    random_areas: np.ndarray
    """[orders]."""
    lower_is_better: bool

    @property
    def area(self) -> float:
        """Area under the map's curve."""
        return self.curve.area()

    @property
    def better_than_random(self) -> float:
        """Share of the random orders that the map beats; ties count half. A half is what a random map gets."""
        edge = (self.random_areas - self.area) * (1 if self.lower_is_better else -1)
        return float(np.mean((edge > 0) + 0.5 * (edge == 0)))


@dataclass(frozen=True)
class Course:
    """How pictures are taken apart and scored."""

    score: Score
    steps: int
    """Of each curve."""
    orders: int
    """How many random orders make the band."""
    batch: int
    """Pictures per call of `score`."""
    seed: int

    def __post_init__(self) -> None:
        if self.steps < 2 or self.orders < 1:
            raise ValueError(f"at least 2 steps and 1 order are needed. Got {self.steps} and {self.orders}.")

    def cells(self, image: np.ndarray, fill: Fill, numbers: np.ndarray) -> Cells:
        """A picture cut into cells, with what takes their place."""
        return Cells(image, filled(image, fill, numbers, self.seed), numbers)

    def under(
        self, fills: Sequence[Fill], image: np.ndarray, numbers: np.ndarray, values: np.ndarray
    ) -> dict[Fill, tuple[Comparison, Comparison]]:
        """Deletion and insertion in the order of a map's values, under each fill."""
        if not fills:
            raise ValueError("at least one fill is needed. Got none.")
        whole = scored(self.score, [image], self.batch)[0]
        return {fill: self._curves(self.cells(image, fill, numbers), values, whole) for fill in fills}

    def _curves(self, cells: Cells, values: np.ndarray, whole: float) -> tuple[Comparison, Comparison]:
        """Deletion and insertion under one fill.

        Putting back the first cells of an order is taking away the last ones, so random deletions, read backwards, are
        random insertions and are scored once.
        """
        rng = np.random.default_rng(self.seed)
        order = ranked(values, rng)
        empty = scored(self.score, [cells.fill], self.batch)[0]
        gone = scored(self.score, deletion(cells, order, self.steps), self.batch)
        back = scored(self.score, insertion(cells, order, self.steps), self.batch)
        shuffles = [_shuffled_order(values, rng) for _ in range(self.orders)]
        pictures = (picture for shuffle in shuffles for picture in deletion(cells, shuffle, self.steps))
        chance = scored(self.score, pictures, self.batch).reshape(self.orders, self.steps - 1)
        ends = np.full((self.orders, 1), whole), np.full((self.orders, 1), empty)
        chance = np.concatenate([ends[0], chance, ends[1]], axis=1)
        return (
            _comparison(np.array([whole, *gone, empty]), chance, "deletion"),
            _comparison(np.array([empty, *back, whole]), chance[:, ::-1], "insertion"),
        )


def _shuffled_order(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random order of the cells with tokens, the others last, as for the map itself."""
    return ranked(np.where(np.isnan(values), np.nan, rng.random(len(values))), rng)


def _comparison(values: np.ndarray, chance: np.ndarray, name: str) -> Comparison:
    steps = np.linspace(0, 1, len(values))
    low, high = np.quantile(chance, BAND, axis=0)
    done = "taken away" if name == "deletion" else "put back"
    curve = Curve(steps, values, low, high, label=name, step_label=f"share of the picture {done}")
    areas = np.array([Curve(steps, one).area() for one in chance])
    return Comparison(curve, areas, lower_is_better=name == "deletion")
