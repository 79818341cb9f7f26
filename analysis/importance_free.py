"""Head importance without labels or gradients: how sure a head is, and how large its weights are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from analysis.registry import method
from analysis.results import HeadMatrix
from analysis.strength import by_head, receivers, tower_sites
from analysis.strength_rows import Readers, Window
from model_adapters import Capture, Site

Module = Literal["query", "key", "value", "output"]


@method(
    title="Confidence",
    kind="head",
    cites=("voita2019",),
    needs={"weights"},
    range="0 to 1",
    misleads="A head can be sure of something that does not matter; without leaving out sinks it is sure of those.",
)
def confidence(
    capture: Capture,
    *,
    tower: str = "vision",
    rows: Readers = "all",
    without_prefix: bool = True,
    without_sinks: bool = False,
    sinks: Sequence[int] | None = None,
) -> HeadMatrix:
    """The largest weight of a row, on average (Voita et al., who leave out the end-of-sentence token).

    Args:
        capture: with weights.
        tower: which tower.
        rows: whose rows are averaged.
        without_prefix: leave out the columns of class, distillation and register tokens (our definition for images).
        without_sinks: leave out the columns of sinks too.
        sinks: the numbers of the sink keys; by default found as for the attention share.
    """

    def largest_left(window: Window, site: Site) -> np.ndarray:
        out = np.zeros(len(window.keys), dtype=bool)
        if without_prefix:
            out[window.keys.where("class", "distillation", "register")] = True
        if without_sinks:
            out[receivers(window, "sinks", sinks)] = True
        if out.all():
            raise ValueError(f"no key of {site.name} is left when prefix tokens and sinks are left out.")
        return window.weights[..., ~out].max(-1)

    values = by_head(capture, tower, rows, largest_left)[..., 0]
    return HeadMatrix(values, tower_sites(capture, tower), label="confidence")


@method(
    title="Weight norm within its module",
    kind="head",
    cites=("he2024dimap",),
    needs={"module"},
    range="0 and above; 1 is the mean head of the layer",
    misleads="A norm says nothing of what the weights meet: a large head can read a direction that never occurs.",
)
def weight_norms(slices: Mapping[Site, Mapping[str, np.ndarray]], *, module: Module = "output") -> HeadMatrix:
    """How large a head's weights are, compared with the other heads of the same module only.

    After DIMAP, of which only the idea is taken: magnitudes of different modules and layers do not compare. DIMAP's own metric
    (how far leaving out single weights distorts their module) is another; here a head's norm is given as a multiple of the
    mean over its module's heads.

    Args:
        slices: for each site and module ("query", "key", "value", "output") the weights of its heads, [H, ...].
        module: which weights.
    """
    sites = tuple(slices)
    if not sites:
        raise ValueError("weights of at least one site are needed. None were given.")
    rows = []
    for site in sites:
        if module not in slices[site]:
            raise ValueError(f"{module!r} weights of {site.name} were asked for; given are {sorted(slices[site])}.")
        weights = np.asarray(slices[site][module], dtype=np.float64)
        if len(weights) != site.heads:
            raise ValueError(f"{site.name} has {site.heads} heads. Got weights of shape {weights.shape}; [H, ...] would work.")
        norms = np.linalg.norm(weights.reshape(len(weights), -1), axis=1)
        rows.append(norms / max(norms.mean(), 1e-20))
    values = np.full((len(rows), max(map(len, rows))), np.nan)
    for layer, row in enumerate(rows):
        values[layer, : len(row)] = row
    return HeadMatrix(values, sites, label=f"{module} weight norm, module mean 1")
