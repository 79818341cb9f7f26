"""Measures of attention that are made inside the layers: strength, sinks, the class token's view. One pass makes them all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np

from analysis.registry import Range
from analysis.thresholds import outlier_cuts
from model_adapters import Site
from studies.measures.batch import Batch
from studies.measures.places import SitePlaces
from studies.measures.registry import Found, PerHead, PerLayer, measure


@measure(title="Strength of attention", tables=("heads",), kinds=("vit", "dual"), needs=("statistics",))
def strength(batch: Batch, *, rings: tuple[int, ...] = (1,)) -> Iterator[Found]:
    """How evenly and how far patches look, how many hops, and which share goes to the class token, registers, themselves.

    Args:
        batch: the records.
        rings: the hops whose share of attention is told, such as [1, 2, 3].
    """
    names = ("entropy", "distance", "to_self", "to_class", "to_register", *[f"hops_{ring}" for ring in rings])

    def of_site(site: Site, here: SitePlaces, sums: np.ndarray) -> list[np.ndarray]:
        count = max(here.patches, 1)
        received = _received(here, sums)
        linear = sums[..., 3 * here.keys : -1] / count
        to = [_share(received[0], keys, here) / count for keys in (here.class_keys, here.register_keys)]
        entropy = sums[..., -1] / count / np.log(here.keys)
        return [entropy, linear[..., 0], linear[..., 1], *to, *np.moveaxis(linear[..., 2:], -1, 0)]

    yield _per_head(batch, names, of_site, lambda here: here.patches > 0)


@measure(title="Sinks", tables=("heads", "layers"), kinds=("vit", "dual"), needs=("statistics", "norms"))
def sinks(
    batch: Batch, *, factor: Annotated[float, Range(1, 1000)] = 10.0, deviations: Annotated[float, Range(1, 20)] = 6.0
) -> Iterator[Found]:
    """Which share patches give to sinks, how many sinks there are, and how long the longest tokens are.

    Args:
        batch: the records.
        factor: a sink by attention receives more than this many times an even share, over all heads and rows.
        deviations: a sink by norm lies this many deviations above the median norm of the picture's patches.
    """
    keys = {site: _sink_keys(here, sums, factor) for site, here, sums in _global(batch)}

    def of_site(site: Site, here: SitePlaces, sums: np.ndarray) -> list[np.ndarray]:
        patches = _received(here, sums)[0] / max(here.patches, 1)
        return [np.einsum("bhk,bk->bh", patches, keys[site].astype(float))]

    yield _per_head(batch, ("to_sinks",), of_site, lambda here: here.windows == 1 and here.patches > 0)
    sites = tuple(batch.summed)
    columns = {name: np.full((len(batch.records), len(sites)), np.nan) for name in _OF_LAYER}
    for layer, site in enumerate(sites):
        if site in keys:
            columns["sinks_by_attention"][:, layer] = keys[site].sum(-1)
        for name, values in _norms(batch, site, deviations).items():
            columns[name][:, layer] = values
    yield PerLayer(sites, columns)


@measure(title="What the class token looks at", tables=("heads",), kinds=("vit", "dual"), needs=("statistics",))
def class_attention(batch: Batch, *, count: Annotated[int, Range(1, 4096)] = 10) -> Iterator[Found]:
    """How evenly the class token looks, at patches or at itself, and how much it gives to its few largest patches.

    Args:
        batch: the records.
        count: how many patches are the largest.
    """

    def of_site(site: Site, here: SitePlaces, sums: np.ndarray) -> list[np.ndarray]:
        row = _received(here, sums)[1] / here.class_rows
        entropy = -(row * np.log(np.where(row > 0, row, 1.0))).sum(-1) / np.log(here.keys)
        largest = -np.sort(-row[..., here.patch_keys], -1)[..., :count].sum(-1)
        return [entropy, row[..., here.patch_keys].sum(-1), _share(row, here.class_keys, here), largest]

    names = ("class_entropy", "class_to_patches", "class_to_self", "class_top")
    yield _per_head(batch, names, of_site, lambda here: here.windows == 1 and here.class_rows == 1)


_OF_LAYER = ("sinks_by_attention", "sinks_by_norm", "largest_norm", "median_norm")


def _received(here: SitePlaces, sums: np.ndarray) -> np.ndarray:
    """[3, B, H, K]: what each key receives from patches, the class token, others, added up."""
    return np.moveaxis(sums[..., : 3 * here.keys].reshape(*sums.shape[:2], 3, here.keys), 2, 0)


def _share(received: np.ndarray, keys: np.ndarray, here: SitePlaces) -> np.ndarray:
    known = len(keys) and here.windows == 1
    return received[..., keys].sum(-1) if known else np.full(received.shape[:2], np.nan)


def _global(batch: Batch) -> Iterator[tuple[Site, SitePlaces, np.ndarray]]:
    for site, sums in batch.summed.items():
        if batch.places[site.name].windows == 1:
            yield site, batch.places[site.name], sums


def _sink_keys(here: SitePlaces, sums: np.ndarray, factor: float) -> np.ndarray:
    """[B, K] bool: the keys that receive much more than an even share, over all heads and rows of their picture."""
    received = _received(here, sums).sum(0).mean(1) / here.sums.shape[1]
    return received * here.keys > factor


def _norms(batch: Batch, site: Site, deviations: float) -> dict[str, np.ndarray]:
    norms = batch.seen.norms.get((site.tower, site.layer))
    if norms is None:
        return {}
    norms = norms.reshape(len(batch.records), -1)
    here = batch.places[site.name]
    if here.windows == 1 and norms.shape[1] == here.keys and len(here.patch_keys):
        norms = norms[:, here.patch_keys]
    cuts = outlier_cuts(norms, deviations=deviations)
    return {
        "sinks_by_norm": (norms > cuts[:, None]).sum(-1),
        "largest_norm": norms.max(-1),
        "median_norm": np.median(norms, -1),
    }


def _per_head(batch: Batch, names: tuple[str, ...], of_site, has) -> PerHead:  # noqa: ANN001
    sites = tuple(batch.summed)
    most = max(site.heads for site in sites)
    columns = {name: np.full((len(batch.records), len(sites), most), np.nan) for name in names}
    for layer, (site, sums) in enumerate(batch.summed.items()):
        here = batch.places[site.name]
        if has(here):
            for name, values in zip(names, of_site(site, here, sums), strict=True):
                columns[name][:, layer, : site.heads] = values
    return PerHead(sites, columns)
