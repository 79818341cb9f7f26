"""The pattern of a head: its attention seen from the query's place, averaged over queries and images, and a summary of all heads.

The aligned map needs no training and is the same every time, so it is the default; the autoencoder of
`pattern_autoencoder` summarises the same maps. After Li et al., whose exact summary could not be read: these are our definitions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from sklearn.decomposition import PCA

from analysis.offsets import has_pairs, pairs_of
from analysis.registry import Range, method
from analysis.results import Embedding
from analysis.token_rows import whole_attention_of
from model_adapters import Capture, Site


@dataclass(frozen=True, eq=False)
class AlignedMaps:
    """One map per head with the query in the middle."""

    values: np.ndarray
    """[P, rows, columns]; NaN at offsets that no pair of patches has."""
    heads: tuple[tuple[Site, int], ...]
    """[P]."""
    images: int
    """Over how many images they are averaged."""

    def vectors(self) -> np.ndarray:
        """[P, rows * columns]: maps as points, each scaled to length 1, so that shape counts and strength does not."""
        flat = np.nan_to_num(self.values.reshape(len(self.values), -1))
        return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)

    def of(self, site: Site, head: int) -> np.ndarray:
        """The map of one head."""
        if (site, head) not in self.heads:
            raise ValueError(f"no map of head {head} of {site.name} was made. There are maps of {len(self.heads)} heads.")
        return self.values[self.heads.index((site, head))]


@dataclass(frozen=True, eq=False)
class PatternSummary:
    """A few numbers per head that tell its pattern, and how much they leave out."""

    codes: np.ndarray
    """[P, D]."""
    error: np.ndarray
    """[P] share of each head's squared deviation from the mean pattern that the codes do not tell."""
    embedding: Embedding
    heads: tuple[tuple[Site, int], ...]
    total_error: float
    """The same over all heads together: 0 is perfect, 1 is no better than the mean pattern."""
    components: np.ndarray | None = None
    """[D, rows, columns] what each number of the code adds to the map (PCA)."""
    held_out: float | None = None
    """The total error on maps that the summary was not made from (autoencoder); None where it was not tried."""


@method(
    title="Position-aligned patterns",
    kind="pattern",
    cites=("li2023",),
    needs={"weights", "grid"},
    range="mass: adds up to the attention between patches; strength: mean weight of one pair",
    misleads="What depends on the content of an image is averaged away; far offsets rest on few pairs.",
)
def aligned_maps(
    captures: Iterable[Capture], *, tower: str = "vision", value: Literal["mass", "strength"] = "mass"
) -> AlignedMaps:
    """How each head spreads its attention around the query, averaged over queries and images."""
    sums: dict[Site, np.ndarray] = {}
    images = 0
    for capture in captures:
        sites = [s for s in capture.sites if s.tower == tower and has_pairs(capture.layouts[s])]
        for site in sites:
            found = site_maps(capture, site, value)
            sums[site] = sums[site] + found.sum(0) if site in sums else found.sum(0)
        images += len(found) if sites else 0
    if not sums:
        raise ValueError(f"attention of the {tower} tower between patches with a place is needed. The captures have none.")
    heads = tuple((site, head) for site, maps in sums.items() for head in range(len(maps)))
    shape = tuple(max(m.shape[axis] for m in sums.values()) for axis in (1, 2))
    return AlignedMaps(np.concatenate([_framed(m / images, shape) for m in sums.values()]), heads, images)


def site_maps(capture: Capture, site: Site, value: str = "mass") -> np.ndarray:
    """[B, H, rows, columns]: the aligned maps of one site, image by image."""
    pairs = pairs_of(capture.layouts[site])
    weights = pairs.of(whole_attention_of(capture, site))
    count = pairs.aligned(np.ones(len(pairs.query)))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(count > 0, 1 / (pairs.queries if value == "mass" else count), np.nan)
    return np.stack([[pairs.aligned(head) * share for head in item] for item in weights])


@method(
    title="Summary of patterns by PCA",
    kind="embedding",
    cites=("li2023",),
    needs={"weights", "grid"},
    range="codes around 0; error from 0 (all told) to 1 (only the mean pattern)",
    misleads="Two heads that lie close in two dimensions may differ in the others; the error says how much is left out.",
)
def pattern_pca(maps: AlignedMaps, *, components: Annotated[int, Range(2, 32)] = 8) -> PatternSummary:
    """Which few patterns the maps of all heads are mixtures of, and each head's share of them."""
    vectors = maps.vectors()
    count = min(components, len(vectors) - 1, vectors.shape[1])
    if count < 2:
        raise ValueError(f"at least 3 heads are needed for two dimensions. Got {len(vectors)}.")
    fitted = PCA(count, svd_solver="full").fit(vectors)
    codes = fitted.transform(vectors)
    kinds = ("head",) * len(codes)
    embedding = Embedding(
        codes[:, :2], kinds, np.arange(len(codes)), float(fitted.explained_variance_ratio_[:2].sum()), "patterns of heads"
    )
    error, total = left_out(vectors, fitted.inverse_transform(codes))
    return PatternSummary(codes, error, embedding, maps.heads, total, fitted.components_.reshape(count, *maps.values.shape[1:]))


def left_out(vectors: np.ndarray, rebuilt: np.ndarray) -> tuple[np.ndarray, float]:
    """Share of squared deviation from the mean that a reconstruction misses: per head, and over all."""
    missed = ((vectors - rebuilt) ** 2).sum(1)
    spread = ((vectors - vectors.mean(0)) ** 2).sum(1)
    return missed / np.maximum(spread, 1e-12), float(missed.sum() / max(spread.sum(), 1e-12))


def typical_images(captures: Iterable[Capture], site: Site, head: int, *, count: int = 5) -> tuple[int, ...]:
    """The images on which a head looks most like its own mean pattern (cosine), best first."""
    maps = np.nan_to_num(np.concatenate([site_maps(c, site)[:, head] for c in captures]))
    flat = maps.reshape(len(maps), -1)
    mean = flat.mean(0)
    alike = flat @ mean / np.maximum(np.linalg.norm(flat, axis=1) * np.linalg.norm(mean), 1e-12)
    return tuple(int(i) for i in np.argsort(-alike, kind="stable")[:count])


def _framed(maps: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Maps with their middle in the middle of a larger frame; what lies outside is NaN."""
    top, left = (shape[0] - maps.shape[1]) // 2, (shape[1] - maps.shape[2]) // 2
    framed = np.full((len(maps), *shape), np.nan)
    framed[:, top : top + maps.shape[1], left : left + maps.shape[2]] = maps
    return framed
