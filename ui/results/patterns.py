"""What kinds of heads there are: a place for each on a map, types by thresholds, groups, and one table of all that is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ui.jobs import Progress
from ui.pictures import Picture
from ui.results.heads import Text, each_subject, label_of, row_of, subject_for
from ui.results.windows import joined_windows

if TYPE_CHECKING:
    from analysis.clusters import Clusters
    from analysis.head_query import HeadTable
    from analysis.head_types import HeadTypes
    from analysis.patterns import AlignedMaps, PatternSummary
    from analysis.placing import Watch
    from analysis.results import Embedding, HeadMatrix
    from model_adapters import Model, Site, Subject
    from ui.results.passport import Portraits

Summary = Literal["pca", "autoencoder"]
Grouping = Literal["k-means", "density"]
IMPORTANCE_SCENES = 8


def has_patterns(model: Model, subject: Subject, tower: str) -> bool:
    """Whether patches attend to patches in any layer of a tower."""
    import model_adapters as ma
    from analysis.offsets import has_pairs

    seen = ma.capture(model, subject.inputs, keep=ma.Keep(queries=(0,)))
    return any(has_pairs(seen.layouts[site]) for site in seen.sites if site.tower == tower)


def of_pairs(model: Model, maps: AlignedMaps, picture: Picture, text: Text) -> AlignedMaps:
    """The maps as the mean weight of one pair at each offset, rather than its share of all attention.

    Far offsets have few pairs, so shares always fade with distance; mean weights show a head that looks everywhere as even.
    """
    import model_adapters as ma
    from analysis.offsets import pairs_of
    from analysis.patterns import AlignedMaps

    layouts = joined_windows(ma.capture(model, subject_for(model, picture, text).inputs, keep=ma.Keep(queries=(0,)))).layouts
    factors = {}
    for site in dict.fromkeys(site for site, _ in maps.heads):
        pairs = pairs_of(layouts[site])
        count = pairs.aligned(np.ones(len(pairs.query)))
        factors[site] = _framed(np.where(count > 0, pairs.queries / np.maximum(count, 1), np.nan), maps.values.shape[1:])
    values = np.stack([own * factors[site] for own, (site, _) in zip(maps.values, maps.heads, strict=True)])
    return AlignedMaps(values, maps.heads, maps.images)


def _framed(inner: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    top, left = ((outer - own) // 2 for outer, own in zip(shape, inner.shape, strict=True))
    framed = np.full(shape, np.nan)
    framed[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return framed


def summarised(maps: AlignedMaps, how: Summary, size: int) -> PatternSummary:
    """Each head's pattern as a few numbers, with what they leave out."""
    import analysis

    if how == "pca":
        return analysis.find("pattern_pca").function(maps, components=size)
    return analysis.find("pattern_autoencoder").function(maps, latent=size).summary


def placed(
    maps: AlignedMaps, summary: PatternSummary, how: Summary, by: Literal["pca", "umap", "t-sne"], watch: Watch | None = None
) -> Embedding:
    """Where each head lies on the map: heads of like patterns near each other."""
    from analysis.projections import head_embedding, project

    if how == "pca":
        return head_embedding(maps, by=by, watch=watch)
    if by == "pca":
        return summary.embedding
    return project(summary.codes, by=by, label="patterns of heads, autoencoder", watch=watch)


def typed(found: Portraits, limits: Mapping[str, float]) -> HeadTypes:
    """The types of all heads under other thresholds, by the names of `head_types`' options."""
    from analysis.head_types import head_types

    return head_types(found.types.measures, **limits)


def counts(types: HeadTypes) -> dict[str, int]:
    """How many heads each type has, the frequent ones first."""
    return dict(Counter(str(name) for name in types.types.ravel() if name).most_common())


def grouped(codes: np.ndarray, how: Grouping, size: int) -> Clusters:
    """Groups of heads with like patterns.

    Args:
        codes: [P, D] from the summary.
        how: k-means, or by density.
        size: how many groups (0: the number that is best apart); by density the size of the smallest group.
    """
    import analysis

    if how == "k-means":
        return analysis.find("k_means").function(codes, groups=size)
    return analysis.find("density_clusters").function(codes, smallest=max(size, 2))


def importance(model: Model, ids: Sequence[str], text: Text, tower: str, progress: Progress) -> HeadMatrix:
    """By how much the loss would rise without each head, guessed from one backward pass per scene."""
    from ui.results.heads import averaged, sites_of
    from ui.results.importance import cheap

    name = "gate_times_gradient"
    each = []
    for picture, subject in each_subject(model, ids[:IMPORTANCE_SCENES], text, progress):
        found = cheap(model, subject, label_of(model, picture, text, subject), tower)
        if name not in found.each:
            raise ValueError(found.refused[name])
        each.append(found.each[name][0])
    return averaged(np.stack(each), sites_of(model, tower), signed=True, label="importance", unit="nats")


def known_of(found: Portraits, types: HeadTypes, importances: HeadMatrix | None = None) -> HeadTable:
    """One record per head: type, measures, and every other number that is there."""
    from analysis.head_query import head_table
    from analysis.results import HeadMatrix

    sites = found.types.sites
    matrices = {"distance": found.distance, "entropy": found.entropy}
    if found.energy is not None:
        matrices["on object"] = HeadMatrix(found.energy.mean(0), found.distance.sites)
    if importances is not None:
        matrices["importance"] = importances
    depth = np.repeat(np.arange(len(sites), dtype=float)[:, None], types.types.shape[1], axis=1)
    matrices["layer"] = HeadMatrix(depth, sites)
    return head_table(types, matrices)


@dataclass(frozen=True)
class Place:
    """A head by row of the tower's head matrix and number."""

    row: int
    head: int

    def __str__(self) -> str:
        return f"layer {self.row}, head {self.head}"


def places_of(heads: Sequence[tuple[Site, int]], sites: Sequence[Site]) -> tuple[Place, ...]:
    """Where heads stand in the tower's head matrix."""
    rows = [row_of(sites, site) for site, _ in heads]
    if None in rows:
        raise ValueError("a head of another tower was met; all heads must be of one tower.")
    return tuple(Place(int(row or 0), head) for row, (_, head) in zip(rows, heads, strict=True))
