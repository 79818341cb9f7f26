"""Is a map right about the model? What happens to the score when the picture is changed in the map's order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from analysis.localisation import Rated, energy_in_mask, pointing_game
from analysis.perturbation import Cells, Fill, Score, cell_means, cut, deletion, filled, insertion, ranked, scored
from analysis.registry import Range, method
from analysis.results import Curve, TokenMap
from analysis.stability import infidelity, sensitivity

BAND = (0.05, 0.95)
"""Which part of the random orders the band holds."""


@dataclass(frozen=True)
class FaithfulnessCost:
    """What a call of `faithfulness` takes."""

    passes: int
    """Pictures that are scored."""
    explanations: int
    """Maps that are made again, each at the price of its method."""


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


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """All that was measured about one map of one image; None where something was not asked for."""

    deletion: dict[Fill, Comparison]
    insertion: dict[Fill, Comparison]
    cost: FaithfulnessCost
    infidelity: float | None = None
    """Expected squared error of the score drop that the map predicts, after the best scaling of the map."""
    sensitivity: float | None = None
    """Largest relative change of the map under small changes of the picture."""
    pointing: Rated | None = None
    energy: Rated | None = None


@method(
    title="Faithfulness",
    kind="faithfulness",
    cites=("petsiuk2018", "samek2017", "yeh2019"),
    needs={"pixels"},
    range="areas are in units of the score; 0.5 of random orders beaten is chance",
    misleads="A changed picture is one the model never saw, so a drop may come from the fill: compare fills and the band.",
)
def faithfulness(
    score: Score,
    shown: TokenMap,
    image: np.ndarray,
    *,
    mask: np.ndarray | None = None,
    explain: Callable[[np.ndarray], TokenMap] | None = None,
    fills: Sequence[Fill] = ("mean", "blur", "shuffle"),
    steps: Annotated[int, Range(2, 64)] = 16,
    orders: Annotated[int, Range(1, 64)] = 8,
    grid: Annotated[int, Range(4, 32)] = 14,
    samples: Annotated[int, Range(0, 200)] = 20,
    nudges: Annotated[int, Range(0, 20)] = 3,
    batch: int = 32,
    seed: int = 0,
) -> Faithfulness:
    """How the score falls when cells are taken from the picture in the map's order, and rises when they are put back.

    Deletion should fall faster and insertion rise faster than for random orders. `faithfulness_cost` tells beforehand how
    many pictures will be scored.

    Args:
        score: pictures [B, height, width, 3] like `image` to one number each, such as the probability of the target.
        shown: the map.
        image: [height, width, 3], the original picture that the map lies on.
        mask: [height, width] bool of the object that was asked for; for the pointing game and the energy on it.
        explain: makes the map of another picture; for the sensitivity.
        fills: what takes the place of cells.
        steps: of each curve.
        orders: how many random orders make the band.
        grid: cells along the longer side.
        samples: random sets of cells for the infidelity; 0 leaves it out.
        nudges: slightly changed pictures for the sensitivity.
        batch: pictures per call of `score`.
        seed: of everything random.
    """
    if image.shape[:2] != shown.size[::-1]:
        raise ValueError(f"the picture must be [height, width] = {shown.size[::-1]}, as the map is. Got {image.shape[:2]}.")
    if not fills or steps < 2 or orders < 1:
        raise ValueError(f"at least one fill, 2 steps and 1 order are needed. Got {tuple(fills)}, {steps} and {orders}.")
    numbers = cut(image, grid)
    values = cell_means(shown, numbers)
    whole = scored(score, [image], batch)
    curves = {}
    for fill in fills:
        cells = Cells(image, filled(image, fill, numbers, seed), numbers)
        curves[fill] = _curves(score, cells, values, whole[0], steps, orders, batch, seed)
    first = Cells(image, filled(image, fills[0], numbers, seed), numbers)
    asked = explain is not None and nudges > 0
    return Faithfulness(
        deletion={fill: both[0] for fill, both in curves.items()},
        insertion={fill: both[1] for fill, both in curves.items()},
        cost=faithfulness_cost(fills=fills, steps=steps, orders=orders, samples=samples, nudges=nudges if asked else 0),
        infidelity=infidelity(score, first, values, samples=samples, batch=batch, seed=seed) if samples else None,
        sensitivity=sensitivity(explain, image, nudges=nudges, seed=seed) if explain is not None and asked else None,
        pointing=None if mask is None else pointing_game(shown, mask),
        energy=None if mask is None else energy_in_mask(shown, mask),
    )


def faithfulness_cost(
    *, fills: Sequence[Fill] = ("mean", "blur", "shuffle"), steps: int = 16, orders: int = 8, samples: int = 20, nudges: int = 0
) -> FaithfulnessCost:
    """What `faithfulness` with these options will take; `nudges` counts only where it is given `explain`."""
    curves = 1 + len(fills) * (1 + (steps - 1) * (2 + orders))
    return FaithfulnessCost(curves + (samples + 1 if samples else 0), nudges + 1 if nudges else 0)


def _curves(
    score: Score, cells: Cells, values: np.ndarray, whole: float, steps: int, orders: int, batch: int, seed: int
) -> tuple[Comparison, Comparison]:
    """Deletion and insertion under one fill.

    Putting back the first cells of an order is taking away the last ones, so random deletions, read backwards, are random
    insertions and are scored once.
    """
    rng = np.random.default_rng(seed)
    order = ranked(values, rng)
    empty = scored(score, [cells.fill], batch)[0]
    gone = scored(score, deletion(cells, order, steps), batch)
    back = scored(score, insertion(cells, order, steps), batch)
    shuffles = [_shuffled_order(values, rng) for _ in range(orders)]
    pictures = (picture for shuffle in shuffles for picture in deletion(cells, shuffle, steps))
    chance = scored(score, pictures, batch).reshape(orders, steps - 1)
    ends = np.full((orders, 1), whole), np.full((orders, 1), empty)
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
