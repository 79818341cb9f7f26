"""Token reduction by the accuracy that is left, with the tokens really dropped or merged."""

from collections.abc import Iterable

import model_adapters as ma
from analysis.evaluation.figures import ratio
from analysis.token_plan import TokenPlan
from world.trust.cases import Case
from world.trust.entries_tokens import BUDGETS, patches_left
from world.trust.registry import Entry, Score, score_of
from world.vocabulary import CATEGORIES


def score_pruners(entries: Iterable[Entry], cases: Iterable[Case]) -> list[Score]:
    """Accuracy, and how many patches are left on average, at every budget."""
    entries = tuple(entries)
    right: dict[tuple[Entry, int], list[bool]] = {(entry, budget): [] for entry in entries for budget in BUDGETS}
    left: dict[tuple[Entry, int], list[int]] = {place: [] for place in right}
    for case in cases:
        for entry, budget in right:
            plan = entry.function(case, budget)
            right[entry, budget].append(right_under(case, plan))
            left[entry, budget].append(patches_left(plan))
    scores = []
    for entry in entries:
        for name, found, chance in (("accuracy", right, 1 / len(CATEGORIES)), ("patches left", left, float("nan"))):
            for budget in BUDGETS:
                figure = ratio(found[entry, budget])
                ends = figure.low, figure.high
                scores.append(score_of(entry, f"{budget} patches", figure.value, ends, chance, figure.images, against=name))
    return scores


def right_under(case: Case, plan: TokenPlan) -> bool:
    """Whether the model still names the object when its tokens are reduced so."""
    return int(ma.run(case.model, case.inputs, plan.edits)[0].argmax()) == case.label
