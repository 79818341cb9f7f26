"""Pruning what-ifs: on a fake model whose best order is known, and on a real one that is really cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import model_adapters as ma
from analysis.pruning import Unit, edits_of, greedy_search, least_important, pareto_front, pruning_curve, units_of
from analysis.results import HeadMatrix
from model_adapters import Site
from model_adapters.edits import Gate, Skip
from model_adapters.running_cost import flops
from model_adapters.slimming import cut_of, slimmed

WORTH = np.array([[3.0, 0.1, 2.0], [0.2, 1.0, 0.3]])
SITES = (Site("a", layer=0, heads=3), Site("b", layer=1, heads=3))
IMPORTANCE = HeadMatrix(WORTH, SITES)
WRONG = HeadMatrix(-WORTH, SITES)


def gone(edits):
    return {(layer, head) for e in edits if isinstance(e, Gate) for layer in e.where.layers for head in e.where.heads}


def run(edits):
    """Each head adds its worth to the margin of the right class."""
    margin = WORTH.sum() - sum(WORTH[h] for h in gone(edits))
    return np.array([[margin - 4, 0.0], [margin - 1, 0.0]])


def cost(edits):
    return 6.0 - len(gone(edits))


def test_units_become_few_edits():
    units = (Unit("head", 0, 2), Unit("head", 0, 1), Unit("mlp", 1), Unit("mlp", 0), Unit("layer", 3), Unit("head", 0, 1))
    edits = edits_of(units)
    assert [type(e) for e in edits] == [Gate, Skip, Skip]
    assert edits[0].where.heads == (1, 2) and {(e.part, e.where.layers) for e in edits[1:]} == {("mlp", (0, 1)), ("both", (3,))}
    assert Unit("attention", 2).edit.part == "attention" and Unit("head", 2, 1).edit.where.heads == (1,)


def test_least_important_by_all_and_by_layer():
    ranked = units_of(IMPORTANCE)
    assert [(u.layer, u.head) for u in least_important(ranked, 0.5)] == [(0, 1), (1, 0), (1, 2)]
    assert {(u.layer, u.head) for u in least_important(ranked, 1 / 3, "layer")} == {(0, 1), (1, 0)}
    assert least_important(ranked, 0) == () and len(least_important(ranked, 1)) == 6
    assert [u.layer for u in least_important(units_of(np.array([2.0, 1.0]), "mlp"), 0.5)] == [1]
    for wrong in (lambda: units_of(IMPORTANCE, "mlp"), lambda: units_of(np.zeros((2, 2)), "mlp")):
        with pytest.raises(ValueError, match=r"one number per layer \[L\]"):
            wrong()


def test_heads_that_are_not_there_are_no_units():
    values = WORTH.copy()
    values[1, 2] = np.nan
    assert len(units_of(HeadMatrix(values, SITES))) == 5


def test_a_good_order_loses_less_than_a_bad_one():
    good = pruning_curve(run, lambda _: units_of(IMPORTANCE), cost=cost, shares=(0.25, 0.5, 0.7))
    bad = pruning_curve(run, lambda _: units_of(WRONG), cost=cost, shares=(0.25, 0.5, 0.7))
    assert good.points[0].effect.kl == 0 and good.points[0].cost == 6
    assert [p.cost for p in good.points] == [p.cost for p in bad.points] == [6, 4, 3, 2]
    assert all(g.effect.kl < b.effect.kl for g, b in zip(good.points[1:], bad.points[1:], strict=True))
    assert [p.effect.accuracy for p in good.points] == [1, 1, 1, 1] and bad.points[-1].effect.accuracy == 0
    labels = np.array([1, 0])
    assert pruning_curve(run, lambda _: units_of(IMPORTANCE), shares=(0.5,), labels=labels).points[0].effect.accuracy == 0.5
    with pytest.raises(ValueError, match="shares must grow"):
        pruning_curve(run, lambda _: units_of(IMPORTANCE), shares=(0.5, 0.2))


def test_iterative_ranks_again_and_each_point_holds_the_ones_before():
    asked = []

    def rank(edits):
        asked.append(gone(edits))
        return units_of(WRONG if gone(edits) else IMPORTANCE)

    curve = pruning_curve(run, rank, shares=(0.2, 0.4), iterative=True)
    assert asked == [set(), {(0, 1)}]
    assert {(u.layer, u.head) for u in curve.points[2].removed} == {(0, 1), (0, 0)}
    once = pruning_curve(run, lambda _: units_of(IMPORTANCE), shares=(0.2, 0.4))
    assert {(u.layer, u.head) for u in once.points[2].removed} == {(0, 1), (1, 0)}


def test_greedy_finds_the_best_order_reports_and_can_be_stopped():
    told = []
    units = list(units_of(IMPORTANCE))
    found = greedy_search(run, units, cost, 3.0, progress=lambda *step: told.append(step))
    assert found.reached and [(u.layer, u.head) for u in found.points[-1].removed] == [(0, 1), (1, 0), (1, 2)]
    assert told == [(1, 5.0), (2, 4.0), (3, 3.0)]
    tries = iter([False] * 8 + [True])
    stopped = greedy_search(run, units, cost, 3.0, cancelled=lambda: next(tries))
    assert not stopped.reached and len(stopped.points) == 2
    assert not greedy_search(run, units, cost, -1.0).reached
    assert len(greedy_search(run, units, cost, 6.0).points) == 1


def test_greedy_tries_only_the_least_important_when_there_is_a_ranking():
    calls = []
    counted = lambda edits: calls.append(edits) or run(edits)  # noqa: E731
    found = greedy_search(counted, list(units_of(WRONG)), cost, 5.0, candidates=1, rank=units_of(WRONG))
    assert [(u.layer, u.head) for u in found.points[-1].removed] == [(0, 0)]
    assert len(calls) == 3


def test_front_is_what_no_other_beats():
    costs, accuracies = [5, 4, 4, 3, 2, None], [0.9, 0.95, 0.8, 0.7, 0.7, 1.0]
    slow = [
        i for i in range(5)
        if not any(
            costs[j] <= costs[i] and accuracies[j] >= accuracies[i] and (costs[j], accuracies[j]) != (costs[i], accuracies[i])
            for j in range(5)
        )
    ]  # fmt: skip
    assert sorted(pareto_front(costs, accuracies)) == slow == [1, 4]


def test_a_real_model_is_searched_and_then_really_cut(tiny_vit):
    model = ma.wrap(tiny_vit, name="tiny")
    inputs = ma.Inputs(tensors={"x": torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))}, batch=4)
    ask = lambda edits: ma.run(model, inputs, edits).numpy()  # noqa: E731

    def operations(edits):
        return flops(slimmed(tiny_vit, cut_of(edits, 2, 4)), inputs.tensors)

    units = [Unit("head", layer, head) for layer in range(2) for head in range(4)] + [Unit("mlp", layer) for layer in range(2)]
    found = greedy_search(ask, units, operations, 0.8 * operations(()))
    last = found.points[-1]
    assert found.reached and last.cost <= 0.8 * found.points[0].cost
    small = slimmed(tiny_vit, cut_of(last.edits, 2, 4))
    assert small(inputs.tensors["x"]).numpy() == pytest.approx(ask(last.edits), abs=1e-5)
    first = [Unit("head", 0, 0), Unit("head", 0, 0)]
    assert np.array_equal(ask(edits_of(first)), ask(edits_of(first[:1])))
