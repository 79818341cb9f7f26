"""Which heads, branches and layers matter least: rankings, recipes, curves over budgets, a greedy search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ui.jobs import Progress
from ui.pictures import picture
from ui.results.heads import Text, label_of, subject_for
from ui.results.prune import Parts, cut_for, parts_of
from ui.results.prune_effect import Asked, outside, run_of
from ui.results.windows import joined_windows

if TYPE_CHECKING:
    from analysis.head_types import HeadTypes
    from analysis.pruning import PruningCurve
    from analysis.results import HeadMatrix
    from model_adapters import Model, Site
    from model_adapters.edits import Edit

METRICS: Mapping[str, str] = {
    "gate_gradient": "Gate gradient per token",
    "gate_times_gradient": "Gate × gradient",
    "squared_gradient": "Squared gate gradient",
    "confidence": "Confidence",
    "norm_output": "Weight norm, output",
    "exact": "Exact ablation (KL)",
}
"""How heads are ranked."""
RANKED_ON = 8
"""Scenes of the cheap rankings."""
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
RANDOM_ORDERS = 5
Kind = Literal["head", "mlp", "attention", "layer"]


def ranking(
    model: Model, metric: str, ids: Sequence[str], asked: Asked, text: Text, sites: tuple[Site, ...], progress: Progress
) -> HeadMatrix:
    """How much every head matters, by one metric; the cheap ones over the first few scenes, the exact one over all."""
    if metric == "exact":
        return exact(model, asked, sites, progress)
    return cheap(model, metric, ids[:RANKED_ON], text, sites, progress)


def cheap(model: Model, metric: str, ids: Sequence[str], text: Text, sites: tuple[Site, ...], progress: Progress) -> HeadMatrix:
    """One backward pass per scene, and what can be read off."""
    from ui.results import importance
    from ui.results.heads import averaged
    from ui.results.importance_metrics import BY_NAME

    found = []
    for number, id in enumerate(ids):
        progress.step(number / len(ids), f"scene {number + 1} of {len(ids)}")
        shown = picture(id)
        subject = subject_for(model, shown, text)
        made = importance.cheap(model, subject, label_of(model, shown, text, subject), sites[0].tower)
        if metric not in made.each:
            raise ValueError(f"{METRICS[metric]} cannot be had of {model.name}: {made.refused.get(metric, 'it is not known')}")
        found.append(made.each[metric])
    return averaged(np.concatenate(found), sites, signed=BY_NAME[metric].signed, label=METRICS[metric])


def exact(model: Model, asked: Asked, sites: tuple[Site, ...], progress: Progress) -> HeadMatrix:
    """How far the answers move (KL) when each head is silenced: one run over the set per head."""
    from analysis.edit_effects import effect
    from analysis.results import HeadMatrix

    values = np.full((len(sites), max(site.heads for site in sites)), np.nan)
    heads = [(row, head) for row, site in enumerate(sites) for head in range(site.heads)]
    run = run_of(model, asked)
    for number, (row, head) in enumerate(heads):
        progress.step(number / len(heads), f"head {number + 1} of {len(heads)}")
        values[row, head] = effect(asked.base, run(Parts(heads=((row, head),)).edits(sites))).kl
    return HeadMatrix(values, sites, label="KL without the head", unit="nats")


def of_layers(model: Model, kind: Kind, asked: Asked, sites: tuple[Site, ...], progress: Progress) -> dict[int, float]:
    """How far the answers move (KL) without each row's attention, MLP, or all of it."""
    from analysis.edit_effects import effect

    run = run_of(model, asked)
    found = {}
    for row in range(len(sites)):
        progress.step(row / len(sites), f"layer {row + 1} of {len(sites)}")
        found[row] = effect(asked.base, run(Parts.of([f"{kind[0]}{row}"]).edits(sites))).kl
    return found


def least(matrix: HeadMatrix, count: int) -> tuple[tuple[int, int], ...]:
    """(row, head) of so many heads of least importance."""
    pairs = np.argwhere(np.isfinite(matrix.values))
    order = np.argsort([matrix.values[row, head] for row, head in pairs], kind="stable")
    return tuple((int(pairs[i][0]), int(pairs[i][1])) for i in order[:count])


def types_of(model: Model, ids: Sequence[str], text: Text, tower: str, progress: Progress) -> HeadTypes:
    """What kind of head each one is, over a few scenes."""
    from analysis.head_measures import head_measures
    from analysis.head_types import head_types

    captures = []
    for number, id in enumerate(ids):
        progress.step(0.9 * number / len(ids), f"scene {number + 1} of {len(ids)}")
        captures.append(joined_windows(subject_for(model, picture(id), text).capture()))
    return head_types(head_measures(captures, tower=tower))


def heads_of_type(types: HeadTypes, name: str, sites: Sequence[Site]) -> tuple[tuple[int, int], ...]:
    """(row, head) of all heads of a type."""
    rows = {site: row for row, site in enumerate(sites)}
    return tuple((rows[types.sites[r]], int(h)) for r, h in np.argwhere(types.types == name) if types.sites[r] in rows)


@dataclass(frozen=True, eq=False)
class Curves:
    """What is left when growing shares are taken out, by several rankings and by chance."""

    by_metric: dict[str, PruningCurve]
    random: tuple[PruningCurve, ...]
    labels: bool
    count: int


def curves(model: Model, metrics: Mapping[str, HeadMatrix], asked: Asked, sites: tuple[Site, ...], progress: Progress) -> Curves:
    """One pruning curve per ranking, and some of random orders."""
    from analysis.pruning import pruning_curve, units_of
    from analysis.results import HeadMatrix

    rng = np.random.default_rng(0)
    shape = next(iter(metrics.values())).values
    random = [HeadMatrix(np.where(np.isnan(shape), np.nan, rng.random(shape.shape)), sites) for _ in range(RANDOM_ORDERS)]
    done = 0
    total = (len(metrics) + RANDOM_ORDERS) * len(SHARES)
    run = run_of(model, asked)

    def counted(edits: tuple[Edit, ...]) -> np.ndarray:
        nonlocal done
        if edits:
            progress.step(min(1.0, done / total), f"run {done + 1} of {total}")
            done += 1
        return run(edits)

    def made(matrix: HeadMatrix) -> PruningCurve:
        ranked = units_of(matrix)
        return pruning_curve(counted, lambda edits: ranked, shares=SHARES, labels=asked.labels)

    found = {name: made(matrix) for name, matrix in metrics.items()}
    return Curves(found, tuple(made(matrix) for matrix in random), asked.labels is not None, asked.count)


@dataclass(frozen=True, eq=False)
class Search:
    """What a greedy search found."""

    curve: PruningCurve
    parts: tuple[Parts, ...]
    """What is off at each point."""
    whole: float
    """Operations of the whole model."""


def search(
    model: Model,
    asked: Asked,
    sites: tuple[Site, ...],
    target: float,
    kinds: Sequence[Kind],
    progress: Progress,
) -> Search:
    """Take out what moves the answers least, one after the other, until the sliced model needs `target` of the operations."""
    from analysis.pruning import Unit, greedy_search

    operations = _operations(model, asked)
    whole = operations(())
    units: list[Unit] = []
    if "head" in kinds:
        units += [Unit("head", site.layer, head, site.tower) for site in sites for head in range(site.heads)]
    for kind in kinds:
        if kind != "head":
            units += [Unit(kind, site.layer, -1, site.tower) for site in sites]

    def told(steps: int, cost: float) -> None:
        reached = (whole - cost) / max(whole * (1 - target), 1.0)
        progress.step(min(0.99, reached), f"{steps} taken out, {cost / whole:.0%} of the operations left")

    found = greedy_search(
        run_of(model, asked), units, operations, target * whole, labels=asked.labels, progress=told,
        cancelled=lambda: progress.cancelled,
    )  # fmt: skip
    return Search(found, tuple(parts_of(point.removed, sites) for point in found.points), whole)


def _operations(model: Model, asked: Asked) -> Any:
    from model_adapters.running_cost import flops
    from model_adapters.slimming import slimmed

    one = {name: value[:1] for name, value in asked.inputs[0].tensors.items()}

    def count(edits: tuple[Edit, ...]) -> float:
        module = slimmed(model.module, cut_for(model, edits)) if edits else model.module
        return float(outside(partial(flops, module, one)))

    return count
