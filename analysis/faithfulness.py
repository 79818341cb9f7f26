"""Is a map right about the model? What happens to the score when the picture is changed in the map's order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from analysis.fill_curves import Comparison, Course
from analysis.localisation import Rated, energy_in_mask, pointing_game
from analysis.perturbation import Fill, cell_means, cut
from analysis.registry import Range, method
from analysis.results import TokenMap
from analysis.runs import Score
from analysis.stability import infidelity, sensitivity


@dataclass(frozen=True)
class FaithfulnessCost:
    """What a call of `faithfulness` takes."""

    passes: int
    """Pictures that are scored."""
    explanations: int
    """Maps that are made again, each at the price of its method."""


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
    course, numbers = Course(score, steps, orders, batch, seed), cut(image, grid)
    values = cell_means(shown, numbers)
    curves = course.under(fills, image, numbers, values)
    asked = nudges if explain is not None else 0
    first = course.cells(image, fills[0], numbers)
    return Faithfulness(
        deletion={fill: both[0] for fill, both in curves.items()},
        insertion={fill: both[1] for fill, both in curves.items()},
        cost=faithfulness_cost(fills=fills, steps=steps, orders=orders, samples=samples, nudges=asked),
        infidelity=infidelity(score, first, values, samples=samples, batch=batch, seed=seed) if samples else None,
        sensitivity=sensitivity(explain, image, nudges=nudges, seed=seed) if explain is not None and nudges else None,
        pointing=None if mask is None else pointing_game(shown, mask),
        energy=None if mask is None else energy_in_mask(shown, mask),
    )


def faithfulness_cost(
    *, fills: Sequence[Fill] = ("mean", "blur", "shuffle"), steps: int = 16, orders: int = 8, samples: int = 20, nudges: int = 0
) -> FaithfulnessCost:
    """What `faithfulness` with these options will take; `nudges` counts only where it is given `explain`."""
    curves = 1 + len(fills) * (1 + (steps - 1) * (2 + orders))
    return FaithfulnessCost(curves + (samples + 1 if samples else 0), nudges + 1 if nudges else 0)
