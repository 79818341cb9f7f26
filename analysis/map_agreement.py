"""Do maps say the same? Between methods, and between a model and the same model with shuffled weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import numpy as np
from scipy.stats import rankdata

from analysis.attention_rows import same_tokens
from analysis.registry import Range, method
from analysis.results import Agreement, Curve, TokenMap

Explain = Callable[[int], TokenMap]
"""The map of the model whose last n layers have been shuffled."""


@method(
    title="Agreement of maps",
    kind="agreement",
    cites=("krishna2022",),
    needs={"grid"},
    range="-1 to 1",
    misleads="Methods can agree and all be wrong: those built from the same weights agree by construction.",
)
def map_agreement(maps: Mapping[str, TokenMap], *, grid: Annotated[int, Range(4, 64)] = 16) -> Agreement:
    """Spearman correlation between every two maps of one image; NaN where a map is constant.

    Maps of the same tokens are compared token by token, others over the cells that both cover.

    Args:
        maps: by name.
        grid: cells along each side, where tokens differ.
    """
    names = tuple(maps)
    values = np.array([[similarity(maps[a], maps[b], grid) for b in names] for a in names])
    return Agreement(names, values.reshape(len(names), len(names)), "Spearman correlation")


@method(
    title="Model randomisation check",
    kind="sanity",
    cites=("adebayo2018",),
    needs={"module"},
    range="-1 to 1 per number of shuffled layers; 1 at none",
    misleads="A low similarity is needed, not enough: a map that only follows noise in the weights passes too.",
)
def randomisation_check(
    explain: Explain, layers: int, *, absolute: bool = False, grid: Annotated[int, Range(4, 64)] = 16
) -> Curve:
    """How similar a map stays while the model's layers are shuffled one after the other, from the last to the first.

    A map that stays similar does not show what the model has learned.

    Args:
        explain: the number of shuffled layers to the map; 0 is the model as it is.
        layers: how many layers there are to shuffle.
        absolute: compare absolute values, for maps whose sign is arbitrary.
        grid: cells along each side, where tokens differ.
    """
    if layers < 1:
        raise ValueError(f"there must be at least one layer to shuffle. Got {layers}.")
    original = explain(0)
    values = [similarity(original, explain(n), grid, absolute=absolute) for n in range(1, layers + 1)]
    start = similarity(original, original, grid, absolute=absolute)
    return Curve(
        np.arange(layers + 1), np.array([start, *values]), label="similarity", step_label="shuffled layers, from the last"
    )


def similarity(first: TokenMap, second: TokenMap, grid: int = 16, *, absolute: bool = False) -> float:
    """Spearman correlation of two maps; NaN where one of them is constant."""
    if same_tokens(first.rows, second.rows):
        one, two = first.values, second.values
    else:
        one, two = (_on_grid(m, grid) for m in (first, second))
        both = np.isfinite(one) & np.isfinite(two)
        if both.sum() < 3:
            raise ValueError(f"the maps share {both.sum()} of {both.size} cells; at least 3 are needed. Are they of one image?")
        one, two = one[both], two[both]
    one, two = (np.abs(one), np.abs(two)) if absolute else (one, two)
    if np.ptp(one) == 0 or np.ptp(two) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(one), rankdata(two))[0, 1])


def _on_grid(shown: TokenMap, grid: int) -> np.ndarray:
    """[grid * grid]: the map in the middle of each cell of the image."""
    width, height = shown.size
    rows = ((np.arange(grid) + 0.5) * height / grid).astype(int)
    columns = ((np.arange(grid) + 0.5) * width / grid).astype(int)
    return shown.raster()[np.ix_(rows, columns)].ravel()
