"""Token reduction on the ViT: every method leaves the same number of tokens in the same layers.

Steps lie at the fourths of the depth, as in the published schedules. Later steps read the attention of the model that is
already reduced. How many patches ATS keeps is decided by the image, so its samples are set on other pictures such that the
mean comes near the budget.
"""

from collections.abc import Callable
from functools import cache, partial

import numpy as np

import model_adapters as ma
from analysis.registry import find
from analysis.token_plan import Look, TokenPlan
from world.datasets import TRUST_SEED, SceneStream
from world.scenes import UNBIASED
from world.trust.cases import GRID, Case, case_of
from world.trust.registry import Entry, enter

LAYERS = (1, 3, 4)
BUDGETS = (108, 72, 48, 36, 18)
PATCHES = GRID * GRID
CALIBRATION = 12


def look_at(case: Case) -> Look:
    """Edits -> a capture of this picture under them."""
    return lambda edits: ma.capture(case.model, case.inputs, edits=edits, want=("hidden", "values", "queries"))


def lefts(budget: int) -> tuple[int, ...]:
    """How many patches are left after each step, falling by an even share."""
    share = (budget / PATCHES) ** (1 / len(LAYERS))
    return tuple(round(PATCHES * share ** (step + 1)) for step in range(len(LAYERS)))


def kept_by_rate(name: str, case: Case, budget: int) -> TokenPlan:
    """A method that keeps a share of the patches."""
    before = (PATCHES, *lefts(budget))
    rates = tuple(after / was for was, after in zip(before, lefts(budget), strict=False))
    extra = {"seed": case.seed} if name == "random_tokens" else {}
    return find(name).function(case.whole, layers=LAYERS, schedule=rates, look=look_at(case), **extra)


def merged_by_count(name: str, case: Case, budget: int) -> TokenPlan:
    """A method that merges a number of tokens."""
    before = (PATCHES, *lefts(budget))
    counts = tuple(was - after for was, after in zip(before, lefts(budget), strict=False))
    return find(name).function(case.whole, layers=LAYERS, schedule=counts, look=look_at(case))


def sampled(case: Case, budget: int) -> TokenPlan:
    """ATS with the samples that leave the budget on average."""
    return _ats(case, _samples(case.model, budget))


def _ats(case: Case, samples: int) -> TokenPlan:
    return find("ats").function(case.whole, layers=LAYERS, samples=samples, look=look_at(case))


@cache
def _samples(model: ma.Model, budget: int) -> int:
    stream = SceneStream(TRUST_SEED + 400, UNBIASED)
    cases = [case_of(model, scene, number) for number, scene in enumerate(stream.take(CALIBRATION))]

    def left(samples: int) -> float:
        return float(np.mean([patches_left(_ats(case, samples)) for case in cases]))

    low, high = budget // 2, 16 * budget
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if left(middle) < budget else (low, middle)
    return high


def patches_left(plan: TokenPlan) -> int:
    """How many tokens besides the class token a plan leaves."""
    return int(plan.counts[-1]) - 1


Plan = Callable[[Case, int], TokenPlan]
PRUNERS: dict[str, tuple[str, Plan]] = {
    "random_tokens": ("random", partial(kept_by_rate, "random_tokens")),
    "even_tokens": ("evenly spread", partial(kept_by_rate, "even_tokens")),
    "class_top": ("class token's attention, rest dropped", partial(kept_by_rate, "class_top")),
    "evit": ("EViT: rest fused", partial(kept_by_rate, "evit")),
    "ats": ("ATS: sampled", sampled),
    "tome": ("ToMe: likest merged", partial(merged_by_count, "tome")),
    "mctf": ("MCTF: merged by several criteria", partial(merged_by_count, "mctf")),
}
for _name, (_title, _plan) in PRUNERS.items():
    enter(Entry("pruner", _title, "vit", _plan, _name in ("random_tokens", "even_tokens"), _name))
