"""The numbers by which the type of a head is told, each corrected for chance: 0 is what even attention would give, 1 is all.

Our definitions. Shares among patches are multiplied by the attention that goes to patches at all, so that what little a
head of the class token leaves to patches gives it no second type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import entr

from analysis.offsets import Pairs, has_pairs, pairs_of
from analysis.registry import method
from analysis.results import HeadMatrix
from analysis.token_rows import patches_of, whole_attention_of
from model_adapters import Capture, Site

MEASURES = ("class", "register", "sink", "self", "diagonal", "row", "column", "local", "content", "global")


@dataclass(frozen=True, eq=False)
class HeadMeasures:
    """How much each head does of what."""

    values: np.ndarray
    """[L, H, M]; NaN where it makes no sense (no class token, a single image, no such head)."""
    names: tuple[str, ...]
    """[M]."""
    offsets: np.ndarray
    """[L, H, 2] the offset (rows, columns) that holds most attention besides the query itself."""
    sites: tuple[Site, ...]
    """[L]."""

    def matrix(self, name: str) -> HeadMatrix:
        """One measure as a matrix of heads."""
        if name not in self.names:
            raise ValueError(f"measure must be one of {self.names}. Got {name!r} instead.")
        return HeadMatrix(self.values[:, :, self.names.index(name)], self.sites, label=name)


@method(
    title="What each head does",
    kind="pattern",
    cites=("li2023",),
    needs={"weights", "grid"},
    range="0 what even attention would give, 1 all; below 0 less than even",
    misleads="Shares of attention, not of effect: a head may attend strongly to where it reads nothing.",
)
def head_measures(captures: Sequence[Capture], *, tower: str = "vision") -> HeadMeasures:
    """How much of each head's attention goes to the class token, itself, its row, its neighbours, a sink, everywhere."""
    sites = tuple(s for s in captures[0].sites if s.tower == tower and has_pairs(captures[0].layouts[s]))
    if not sites:
        raise ValueError(f"attention of the {tower} tower between patches with a place is needed. There is none.")
    most = max(s.heads for s in sites)
    values = np.full((len(sites), most, len(MEASURES)), np.nan)
    offsets = np.zeros((len(sites), most, 2), int)
    for row, site in enumerate(sites):
        found, places = _site(captures, site)
        values[row, : len(found)], offsets[row, : len(found)] = found, places
    return HeadMeasures(values, MEASURES, offsets, sites)


def _site(captures: Sequence[Capture], site: Site) -> tuple[np.ndarray, np.ndarray]:
    """[H, M] measures and [H, 2] offsets of one site, averaged over all images."""
    layout = captures[0].layouts[site]
    pairs = pairs_of(layout)
    weights = np.concatenate([whole_attention_of(c, site) for c in captures])
    chosen = patches_of(layout.queries, len(layout.queries)) & layout.queries.placed
    rows = weights[:, :, chosen]
    found = np.full((weights.shape[1], len(MEASURES)), np.nan)
    for measure, role in ((0, "class"), (1, "register")):
        if layout.windows == 1 and (keys := layout.keys.where(role)).size:
            found[:, measure] = _beyond(rows[..., keys].sum(-1).mean((0, 2)), keys.size / rows.shape[-1])
    found[:, 2] = _sink(pairs, weights, len(layout.keys))
    found[:, 3:8], offsets = _by_offset(pairs, weights.mean(0))
    found[:, 2:8] *= (pairs.of(weights.mean(0)).sum(-1) / pairs.queries)[:, None]
    if len(weights) > 1:
        # Total variation from the mean over images; a mean that contains the image itself hides 1 / images of it.
        found[:, 8] = np.abs(rows - rows.mean(0)).sum(-1).mean((0, 2)) / 2 * len(rows) / (len(rows) - 1)
    found[:, 9] = entr(rows).sum(-1).mean((0, 2)) / np.log(rows.shape[-1])
    return found, offsets


def _by_offset(pairs: Pairs, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[H, 5] self, diagonal, row, column, local; and the strongest offset."""
    even = pairs.aligned(1 / np.bincount(pairs.query, minlength=weights.shape[-2])[pairs.query])
    even /= even.sum()
    y, x = (np.arange(-reach, reach + 1) for reach in pairs.reach)
    y, x = y[:, None], x[None]
    here = (y == 0) & (x == 0)
    places = (here, (y == 0) & ~here, (x == 0) & ~here, (abs(y) <= 1) & (abs(x) <= 1) & ~here)
    found, offsets = np.zeros((len(weights), 5)), np.zeros((len(weights), 2), int)
    for head, strength in enumerate(pairs.of(weights)):
        mass = pairs.aligned(strength)
        mass /= max(mass.sum(), 1e-12)
        best = np.unravel_index(np.where(here, -1, mass).argmax(), mass.shape)
        offsets[head] = best[0] - pairs.reach[0], best[1] - pairs.reach[1]
        shares = [_beyond(mass[place].sum(), even[place].sum()) for place in places]
        found[head] = [shares[0], _beyond(mass[best], even[best]), *shares[1:]]
    return found, offsets


def _sink(pairs: Pairs, weights: np.ndarray, keys: int) -> np.ndarray:
    """[H]: the share that the one patch gets that receives most, image by image."""
    meets = np.bincount(pairs.key_row, minlength=keys)
    met = np.bincount(pairs.query)
    even = float((1 / met[met > 0]).mean())
    best = np.zeros(weights.shape[:2])
    for index in np.ndindex(*best.shape):
        strength = pairs.of(weights[index])
        total = np.bincount(pairs.query, weights=strength)
        share = strength / np.maximum(total[pairs.query], 1e-12)
        best[index] = (np.bincount(pairs.key_row, weights=share, minlength=keys) / np.maximum(meets, 1)).max()
    return _beyond(best.mean(0), even)


def _beyond(share: np.ndarray, chance: float) -> np.ndarray:
    return (share - chance) / max(1 - chance, 1e-12)
