"""Infidelity and sensitivity of a map, by captum: does it predict score drops, and does it stay under small changes?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from captum.metrics import infidelity as captum_infidelity
from captum.metrics import sensitivity_max

from analysis.perturbation import Cells, scored
from analysis.results import TokenMap
from analysis.runs import Score

RADIUS = 0.02
"""The largest change of a pixel for the sensitivity, as a share of the range of its numbers."""


def infidelity(score: Score, cells: Cells, values: np.ndarray, *, samples: int, batch: int = 32, seed: int = 0) -> float:
    """Expected squared error of the score drop that a map predicts when a random half of the cells is taken away.

    The map is scaled at best, since maps have no unit. 0 is a map that predicts every drop; an empty map gets the mean
    squared drop. Scores `samples` + 1 pictures.

    Args:
        score: pictures to one number each.
        cells: the picture in cells, and what takes their place.
        values: [cells] the map; cells without a token count as 0.
        samples: how many random sets of cells.
        batch: pictures per call of `score`.
        seed: of the random sets.
    """
    random = torch.Generator().manual_seed(seed)

    def forward(present: torch.Tensor) -> torch.Tensor:
        pictures = (cells.mixed(row > 0.5) for row in present.numpy())
        return torch.from_numpy(scored(score, pictures, batch))

    def perturb(present: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        taken = torch.randint(0, 2, present.shape, generator=random).to(present)
        return taken, present - taken

    ones = torch.ones(1, cells.count, dtype=torch.float64)
    attributions = torch.from_numpy(np.nan_to_num(values).astype(np.float64))[None]
    found = captum_infidelity(forward, perturb, ones, attributions, n_perturb_samples=samples, normalize=True)
    return float(found[0])


def sensitivity(explain: Callable[[np.ndarray], TokenMap], image: np.ndarray, *, nudges: int, seed: int = 0) -> float:
    """The largest change of a map, relative to its length, when every pixel changes a little at random.

    Makes `nudges` + 1 maps.

    Args:
        explain: a picture [height, width, 3] to its map.
        image: [height, width, 3]; whole numbers are taken to range to 255, others to 1.
        nudges: how many changed pictures.
        seed: of the changes.
    """
    whole = np.issubdtype(image.dtype, np.integer)
    top = 255.0 if whole else 1.0
    random = torch.Generator().manual_seed(seed)

    def maps(pictures: tuple[torch.Tensor] | torch.Tensor) -> tuple[torch.Tensor]:
        stack = (pictures if isinstance(pictures, torch.Tensor) else pictures[0]).numpy()
        arrays = [(np.rint(p) if whole else p).astype(image.dtype) for p in stack]
        with torch.enable_grad():
            return (torch.from_numpy(np.stack([explain(a).values.astype(np.float64) for a in arrays])),)

    def perturb(pictures: tuple[torch.Tensor] | torch.Tensor) -> tuple[torch.Tensor]:
        picture = pictures if isinstance(pictures, torch.Tensor) else pictures[0]
        noise = 2 * torch.rand(picture.shape, generator=random, dtype=picture.dtype) - 1
        return ((picture + RADIUS * top * noise).clamp(0, top),)

    return float(sensitivity_max(maps, torch.from_numpy(image.astype(np.float64))[None], perturb, n_perturb_samples=nudges)[0])
