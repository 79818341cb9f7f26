"""A result as one flat table: a row per number, columns with units, so that any program can read it.

Each rule says which fields become columns. What a table cannot hold (vectors, patterns) is in the NPZ file, whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.clusters import Clusters
from analysis.faithfulness import Comparison, Faithfulness
from analysis.head_measures import HeadMeasures
from analysis.head_types import HeadTypes
from analysis.importance_results import ByClass, JointAblation, PartialEffects, Trust
from analysis.layer_similarity import LayerSimilarity
from analysis.localisation import Rated
from analysis.massive import MassiveActivations
from analysis.pattern_autoencoder import AutoencoderSummary
from analysis.patterns import AlignedMaps, PatternSummary
from analysis.position_artefact import PositionArtefact
from analysis.projections import JointEmbedding, Neighbours, PatchColours
from analysis.pruning import PruningCurve
from analysis.results import Agreement, Curve, Embedding, HeadMatrix, Parts, Profile, TokenMap
from analysis.signals.combined import CombinedScore
from analysis.sink_whatifs import SinkWhatIf
from analysis.sinks import SinkTokens, TokenNorms
from analysis.token_plan import TokenPlan
from analysis.visual_tokens.in_cache import CachePlan
from analysis.visual_tokens.plan import VisualPlan
from analysis.visual_tokens.searching import BudgetSearch
from ui.take_away import compare_tables, fix_tables, study_tables, whatif_tables, word_tables
from ui.take_away.columns import Table, by_head, column, ends_of, heads_of, melted, pairs_of, placed, stacked, table

__all__ = ["Table", "column", "compare_tables", "fix_tables", "melted", "study_tables", "table", "whatif_tables", "word_tables"]


@table.register
def _(result: HeadMatrix) -> Table:
    numbers = {column(result.label, result.unit): result.values, **ends_of(result.low, result.high)}
    return by_head(numbers, result.sites)


@table.register
def _(result: Profile) -> Table:
    layers, heads, steps = result.values.shape
    step = result.step_label or "step"
    axes = {"row": range(layers), "head": range(heads), step: result.steps}
    flat = melted({column(result.label, result.unit): result.values}, **axes)
    return {"row": flat.pop("row"), **heads_of(result.sites, heads * steps), **flat}


@table.register
def _(result: HeadMeasures) -> Table:
    numbers = {name: result.values[..., n] for n, name in enumerate(result.names)}
    offsets = {"offset [rows]": result.offsets[..., 0], "offset [columns]": result.offsets[..., 1]}
    return by_head(numbers | offsets, result.sites)


@table.register
def _(result: HeadTypes) -> Table:
    own = {"type": result.types.ravel(), "parts": result.parts.ravel(), "confidence": result.confidence.ravel()}
    return table(result.measures) | {name: array.astype(str) if array.dtype == object else array for name, array in own.items()}


@table.register
def _(result: ByClass) -> Table:
    classes, layers, heads = result.values.shape
    flat = melted({column(result.label): result.values}, **{"class": result.classes, "row": range(layers), "head": range(heads)})
    sites = [site for _ in range(classes) for site in result.sites]
    images = np.repeat(result.images, layers * heads)
    return {"class": flat.pop("class"), "images": images, "row": flat.pop("row"), **heads_of(sites, heads), **flat}


@table.register
def _(result: PartialEffects) -> Table:
    numbers = {column(result.label): result.values, **ends_of(result.low, result.high)}
    flat = melted(numbers, head=result.heads, part=result.parts)
    return heads_of((result.site,), result.values.size) | flat


@table.register
def _(result: Curve) -> Table:
    numbers = {column(result.label): result.values, **ends_of(result.low, result.high)}
    return melted(numbers, **{result.step_label or "step": result.steps})


@table.register
def _(result: Comparison) -> Table:
    return table(result.curve)


@table.register
def _(result: Faithfulness) -> Table:
    parts = [
        ({"order": kind, "fill": fill}, table(each))
        for kind, found in (("deletion", result.deletion), ("insertion", result.insertion))
        for fill, each in found.items()
    ]
    return stacked(parts)


@table.register
def _(result: JointAblation) -> Table:
    by_metric = melted({column(result.label): result.values}, order=result.metrics, silent_heads=result.steps)
    draws = [f"random {n}" for n in range(len(result.random))]
    by_chance = melted({column(result.label): result.random}, order=draws, silent_heads=result.steps)
    return stacked([({}, by_metric), ({}, by_chance)]) if draws else by_metric


@table.register
def _(result: PruningCurve) -> Table:
    points = result.points
    effects = [p.effect for p in points]
    return {
        "point": np.arange(len(points)),
        "taken_out": np.array([" ".join(_unit(u) for u in p.removed) for p in points], str),
        "units": np.array([len(p.removed) for p in points], int),
        "cost [share]": np.array([np.nan if p.cost is None else p.cost for p in points], float),
        **_effects(effects),
    }


def _unit(unit: Any) -> str:
    return f"{unit.tower}.{unit.kind}.{unit.layer}" + (f".{unit.head}" if unit.head >= 0 else "")


def _effects(effects: Sequence[Any]) -> Table:
    return {
        "kl [nats]": np.array([e.kl for e in effects], float),
        "flips [share]": np.array([e.flips for e in effects], float),
        "probability drop": np.array([e.probability_drop for e in effects], float),
        "accuracy [share]": np.array([e.accuracy for e in effects], float),
    }


@table.register
def _(result: SinkWhatIf) -> Table:
    effects = [result.sinks, *result.random]
    whose = np.array(["sinks", *(f"random {n}" for n in range(len(result.random)))])
    return {"change": np.full(len(effects), result.name), "tokens": whose, **_effects(effects)}


@table.register
def _(result: tuple) -> Table:
    return stacked([({}, table(each)) for each in result])


@table.register
def _(result: Trust) -> Table:
    numbers = {"value": result.values, "low": result.low, "high": result.high}
    flat = melted(numbers, metric=result.metrics, statistic=result.statistics)
    return flat | {"chance": np.tile(result.chance, len(result.metrics))}


@table.register
def _(result: Agreement) -> Table:
    numbers = {column(result.label): result.values, **ends_of(result.low, result.high)}
    return melted(numbers, first=result.names, second=result.names)


@table.register
def _(result: LayerSimilarity) -> Table:
    return melted({column(result.label): result.values}, first_layer=result.first, second_layer=result.second)


@table.register
def _(result: Parts) -> Table:
    return {"part": np.array(result.names, str), column(result.label): result.values}


@table.register
def _(result: Rated) -> Table:
    return {"measure": np.array([result.label]), "value": np.array([result.value]), "chance": np.array([result.chance])}


@table.register
def _(result: Clusters) -> Table:
    return {
        "point": np.arange(len(result.labels)),
        "group": result.labels,
        "is_exemplar": np.isin(np.arange(len(result.labels)), result.exemplars),
    }


@table.register
def _(result: Embedding) -> Table:
    return {"kind": np.array(result.kinds, str), "index": result.index, "x": result.points[:, 0], "y": result.points[:, 1]}


@table.register
def _(result: JointEmbedding) -> Table:
    return table(result.embedding)


@table.register
def _(result: Neighbours) -> Table:
    points, nearest = result.index.shape
    return melted({"neighbour": result.index, "distance": result.distance}, point=range(points), rank=range(1, nearest + 1))


@table.register
def _(result: PatternSummary) -> Table:
    codes = {f"code {n}": result.codes[:, n] for n in range(result.codes.shape[1])}
    points = {"x": result.embedding.points[:, 0], "y": result.embedding.points[:, 1]}
    return pairs_of(result.heads) | points | codes | {"left_out [share]": result.error}


@table.register
def _(result: AutoencoderSummary) -> Table:
    return table(result.summary)


@table.register
def _(result: AlignedMaps) -> Table:
    count, rows, columns = result.values.shape
    down, across = np.arange(rows) - rows // 2, np.arange(columns) - columns // 2
    flat = melted({"attention": result.values}, number=range(count), **{"down [patches]": down, "right [patches]": across})
    who = pairs_of(result.heads)
    return {name: array[flat["number"]] for name, array in who.items()} | {k: v for k, v in flat.items() if k != "number"}


@table.register
def _(result: TokenMap) -> Table:
    return placed(result.rows, len(result.values)) | {column(result.label, result.unit): result.values}


@table.register
def _(result: PositionArtefact) -> Table:
    return placed(result.rows, len(result.mean)) | {"length of the mean feature": np.linalg.norm(result.mean, axis=1)}


@table.register
def _(result: PatchColours) -> Table:
    images, tokens, _ = result.colours.shape
    numbers = {name: result.colours[..., n] for n, name in enumerate(("red", "green", "blue"))}
    return melted(numbers, image=range(images), token=range(tokens))


@table.register
def _(result: TokenNorms) -> Table:
    _, images, tokens = result.values.shape
    return melted({"length": result.values}, layer=result.layers, image=range(images), token=range(tokens))


@table.register
def _(result: SinkTokens) -> Table:
    images, tokens = result.score.shape
    return melted({column(result.label): result.score, "is_sink": result.is_sink}, image=range(images), token=range(tokens))


@table.register
def _(result: MassiveActivations) -> Table:
    ranks = result.values.shape[1]
    numbers = {
        "value": result.values, "dimension": result.dims, "token": result.tokens, "image": result.images,
        "is_massive": result.is_massive,
    }  # fmt: skip
    return melted(numbers, layer=result.layers, rank=range(1, ranks + 1)) | {"median magnitude": np.repeat(result.medians, ranks)}


@table.register
def _(result: TokenPlan) -> Table:
    names = ["start", *(f"layer {step.layer}" for step in result.steps)]
    return melted({"part_of": result.sources}, after=names, token=range(len(result.rows)))


@table.register
def _(result: VisualPlan) -> Table:
    """In whose place each visual token is in each layer, -1 once it is gone; and whether the layer reads it."""
    return melted({"part_of": result.into, "read": result.lasting}, layer=range(result.depth), row=result.image)


@table.register
def _(result: BudgetSearch) -> Table:
    layers, left, losses = zip(*result.tried, strict=True) if result.tried else ((), (), ())
    return {"layer": np.array(layers, int), "visual tokens tried": np.array(left, int), "loss": np.array(losses, float)}


@table.register
def _(result: CachePlan) -> Table:
    """Which tokens of the prompt each layer's cache still holds."""
    held = np.array([np.isin(np.arange(len(result.rows)), kept) for kept in result.kept])
    return melted({"kept": held}, layer=range(len(result.kept)), row=range(len(result.rows)))


@table.register
def _(result: CombinedScore) -> Table:
    numbers = {"mean": result.mean, "scale": result.scale, "weight": result.weights}
    return {"signal": np.array(result.names, str)} | {name: np.array(values, float) for name, values in numbers.items()}
