"""Pruning what-ifs: take heads, attentions, MLPs or layers out in some order, and see what it costs and what it saves.

Everything is done by edits (gates and skips), so that any model can be asked; `model_adapters.slimming` makes the smaller
model that the same edits stand for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from analysis.edit_effects import Effect, effect
from analysis.registry import Range, method
from analysis.results import HeadMatrix
from analysis.runs import Run
from model_adapters import Where
from model_adapters.edits import Edit, Gate, Skip

Kind = Literal["head", "attention", "mlp", "layer"]
Budget = Literal["global", "layer"]
Cost = Callable[[tuple[Edit, ...]], float]
"""Edits -> what is to be saved: operations, parameters, or seconds of the model that is really smaller."""


@dataclass(frozen=True, order=True)
class Unit:
    """One thing that can be taken out."""

    kind: Kind
    layer: int
    head: int = -1
    tower: str = "vision"

    @property
    def edit(self) -> Edit:
        """The edit that takes it out."""
        where = Where(tower=self.tower, layers=(self.layer,))
        if self.kind == "head":
            return Gate(Where(tower=self.tower, layers=(self.layer,), heads=(self.head,)), 0.0)
        return Skip(where, part="both" if self.kind == "layer" else self.kind)


@dataclass(frozen=True)
class PruningPoint:
    """The model without some units."""

    removed: tuple[Unit, ...]
    effect: Effect
    cost: float | None

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The edits that make it."""
        return edits_of(self.removed)


@dataclass(frozen=True)
class PruningCurve:
    """Points from the whole model on, each with more taken out."""

    points: tuple[PruningPoint, ...]
    reached: bool = True
    """The target was reached (a search), or the last share was (a curve); False after a cancel, or with nothing left."""

    @property
    def front(self) -> tuple[int, ...]:
        """The points that no other one beats in both cost and accuracy."""
        return pareto_front([p.cost for p in self.points], [p.effect.accuracy for p in self.points])


def edits_of(units: Iterable[Unit]) -> tuple[Edit, ...]:
    """The edits that take units out: one gate for all heads of a layer, one skip for all layers of a kind."""
    heads: dict[tuple[str, int], list[int]] = {}
    skips: dict[tuple[str, str], list[int]] = {}
    for unit in sorted(set(units)):
        if unit.kind == "head":
            heads.setdefault((unit.tower, unit.layer), []).append(unit.head)
        else:
            skips.setdefault((unit.tower, "both" if unit.kind == "layer" else unit.kind), []).append(unit.layer)
    gates = [Gate(Where(tower=t, layers=(n,), heads=tuple(found)), 0.0) for (t, n), found in heads.items()]
    return (*gates, *(Skip(Where(tower=t, layers=tuple(found)), part=part) for (t, part), found in skips.items()))  # type: ignore[arg-type]


def units_of(importance: HeadMatrix | np.ndarray, kind: Kind = "head", tower: str = "vision") -> dict[Unit, float]:
    """Units and their importance: heads from a head matrix; parts of layers from one number per layer [L]."""
    if isinstance(importance, HeadMatrix):
        if kind != "head":
            raise ValueError(f"a head matrix ranks heads. For {kind!r} one number per layer [L] would work.")
        pairs = np.argwhere(np.isfinite(importance.values))
        places = [(importance.sites[row], int(head), importance.values[row, head]) for row, head in pairs]
        return {Unit("head", site.layer, head, site.tower): float(value) for site, head, value in places}
    if kind == "head" or np.ndim(importance) != 1:
        raise ValueError(
            f"one number per layer [L] ranks attentions, MLPs or layers. Got shape {np.shape(importance)} for {kind!r}."
        )
    return {Unit(kind, layer, -1, tower): float(value) for layer, value in enumerate(importance)}


def least_important(ranked: dict[Unit, float], share: float, budget: Budget = "global") -> tuple[Unit, ...]:
    """The share of units of least importance: of all, or of every layer alike."""
    groups: dict[object, list[Unit]] = {}
    for unit in ranked:
        groups.setdefault((unit.tower, unit.layer) if budget == "layer" else None, []).append(unit)
    chosen: list[Unit] = []
    for units in groups.values():
        ordered = sorted(units, key=lambda u: (ranked[u], u))
        chosen += ordered[: round(share * len(units))]
    return tuple(sorted(chosen, key=lambda u: (ranked[u], u)))


@method(
    title="Pruning by importance",
    kind="pruning",
    cites=("michel2019",),
    needs={"run", "logits"},
    range="accuracy or agreement from 0 to 1; KL from 0",
    misleads="Without training afterwards; a model that was trained on after pruning loses less.",
)
def pruning_curve(
    run: Run,
    rank: Callable[[tuple[Edit, ...]], dict[Unit, float]],
    *,
    shares: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5),
    budget: Budget = "global",
    iterative: bool = False,
    labels: np.ndarray | None = None,
    cost: Cost | None = None,
) -> PruningCurve:
    """What the model loses when growing shares of the least important units are taken out.

    Args:
        run: edits -> logits [B, C].
        rank: edits -> importance of every unit under them; asked once, or before every share where `iterative`.
        shares: of the units, growing.
        budget: the share counts over all units, or within every layer.
        iterative: rank what is left again after each step.
        labels: [B] the right classes; without them accuracy is agreement with the whole model.
        cost: edits -> what is to be saved.
    """
    if list(shares) != sorted(shares) or not all(0 <= s <= 1 for s in shares):
        raise ValueError(f"shares must grow from 0 to 1. Got {shares} instead.")
    before = run(())
    ranked = rank(())
    whole = tuple(ranked)
    removed: tuple[Unit, ...] = ()
    points = [_point(run, before, labels, cost, ())]
    for share in shares:
        if iterative and removed:
            ranked = rank(edits_of(removed))
        # What is gone already counts as least important, so that each point holds the ones before.
        order = {u: -np.inf if u in removed else ranked[u] for u in whole}
        removed = least_important(order, share, budget)
        points.append(_point(run, before, labels, cost, removed))
    return PruningCurve(tuple(points))


@method(
    title="Greedy search for a smaller model",
    kind="pruning",
    cites=("michel2019",),
    needs={"run", "logits"},
    range="cost down to the target; KL from 0",
    misleads="Each step is the best for the images it was tried on: confirm the result on others.",
)
def greedy_search(
    run: Run,
    units: Sequence[Unit],
    cost: Cost,
    target: float,
    *,
    candidates: Annotated[int, Range(1, 1000)] = 16,
    labels: np.ndarray | None = None,
    rank: dict[Unit, float] | None = None,
    progress: Callable[[int, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> PruningCurve:
    """Which units to take out, one after the other, so that the answers move least until a cost is reached.

    Args:
        run: edits -> logits [B, C].
        units: what may be taken out.
        cost: edits -> what is to be saved.
        target: the search ends when the cost is this or lower.
        candidates: how many units are tried per step: the least important by `rank`, or all where there is no ranking.
        labels: [B] the right classes, for the accuracy of each point.
        rank: importance of the units.
        progress: told the number of steps and the cost after each.
        cancelled: asked before each try; True ends the search with what was found so far.
    """
    before = run(())
    removed: tuple[Unit, ...] = ()
    points = [_point(run, before, labels, cost, ())]
    left = sorted(set(units), key=lambda u: (rank[u], u)) if rank is not None else sorted(set(units))
    while left and (now := points[-1].cost) is not None and now > target:
        best: tuple[float, Unit] | None = None
        for unit in left[:candidates] if rank is not None else left:
            if cancelled is not None and cancelled():
                return PruningCurve(tuple(points), reached=False)
            kl = effect(before, run(edits_of((*removed, unit)))).kl
            best = min(best, (kl, unit)) if best is not None else (kl, unit)
        assert best is not None
        removed = (*removed, best[1])
        left.remove(best[1])
        points.append(_point(run, before, labels, cost, removed))
        if progress is not None:
            progress(len(removed), points[-1].cost or 0.0)
    return PruningCurve(tuple(points), reached=points[-1].cost is not None and points[-1].cost <= target)


def pareto_front(costs: Sequence[float | None], accuracies: Sequence[float]) -> tuple[int, ...]:
    """The points that no other one beats in one of cost and accuracy without losing in the other, cheapest first."""
    known = [(cost, -accuracy, i) for i, (cost, accuracy) in enumerate(zip(costs, accuracies, strict=True)) if cost is not None]
    front, best = [], np.inf
    for _, loss, index in sorted(known):
        if loss < best:
            front.append(index)
            best = loss
    return tuple(front)


def _point(run: Run, before: np.ndarray, labels: np.ndarray | None, cost: Cost | None, removed: tuple[Unit, ...]) -> PruningPoint:
    edits = edits_of(removed)
    after = run(edits) if removed else before
    return PruningPoint(removed, effect(before, after, labels), None if cost is None else float(cost(edits)))
