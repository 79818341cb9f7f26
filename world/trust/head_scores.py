"""Importances against exact ablation, and pruners by the accuracy that is left."""

import numpy as np
import torch

import model_adapters as ma
from world.evaluation.figures import ratio, resamples
from world.scenes import Scene
from world.trust.entries import GRID
from world.trust.map_scores import make_case, target_of
from world.trust.registry import Case, Entry, Score, interval
from world.trust.statistics import rank_correlation
from world.vocabulary import CATEGORIES

KEPT = (72, 36, 18)
PRUNED_BEFORE = 3  # the block in which patches are dropped


def cases_of(model: ma.Model, scenes: list[Scene]) -> list[Case]:
    """One case per scene, about its dominant object."""
    return [make_case(model, s, s.objects[target_of(s)].category, n) for n, s in enumerate(scenes)]


def _loss(model: ma.Model, cases: list[Case], edits: tuple = ()) -> np.ndarray:
    logits = ma.run(model, model.prepare(image=[case.image for case in cases]), edits).float()
    targets = torch.tensor([CATEGORIES.index(case.target) for case in cases])
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none").numpy()


def ablation_costs(model: ma.Model, cases: list[Case]) -> np.ndarray:
    """By how much each image's loss rises when a head is silenced, [N, L, H]: the truth importances are held to."""
    whole = _loss(model, cases)
    sites = model.report.seen
    costs = np.zeros((len(cases), len(sites), sites[0].heads))
    for layer, site in enumerate(sites):
        for head in range(site.heads):
            gate = ma.edits.Gate(where=ma.Where(sites=(site.name,), heads=(head,)), value=0.0)
            costs[:, layer, head] = _loss(model, cases, (gate,)) - whole
    return costs


def score_importance(entry: Entry, cases: list[Case], costs: np.ndarray) -> list[Score]:
    """Rank correlation of a method's importance with the mean cost of ablation; images are resampled."""
    claimed = np.asarray(entry.function(cases))
    value = rank_correlation(claimed, costs.mean(axis=0))
    drawn = resamples(len(cases), 300)
    rounds = [rank_correlation(claimed, np.tensordot(row, costs, axes=1) / len(cases)) for row in drawn]
    low, high = interval(np.array(rounds))
    name = "rank correlation with exact ablation"
    return [Score("importance", entry.title, entry.model, name, value, low, high, 0.0, len(cases), entry.baseline)]


def _right_when_pruned(case: Case, kept: np.ndarray) -> bool:
    dropped = tuple(1 + i for i in sorted(set(range(GRID * GRID)) - set(int(i) for i in kept)))
    drop = ma.edits.DropTokens(where=ma.Where(layers=(PRUNED_BEFORE,), queries=dropped))
    logits = ma.run(case.model, case.model.prepare(image=case.image), (drop,))
    return int(logits[0].argmax()) == CATEGORIES.index(case.target)


def score_pruner(entry: Entry, cases: list[Case]) -> list[Score]:
    """Accuracy when only some patches go on behind one block."""
    scores = []
    for kept in KEPT:
        right = ratio([_right_when_pruned(case, np.asarray(entry.function(case, kept))) for case in cases])
        name = f"accuracy with {kept} of {GRID * GRID} patches"
        low, high, chance = right.low, right.high, 1 / len(CATEGORIES)
        value = right.value
        scores.append(Score("pruner", entry.title, entry.model, name, value, low, high, chance, len(cases), entry.baseline))
    return scores
