"""A greedy search for how many visual tokens each layer needs, from shallow to deep (after G-Search)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from analysis.registry import method
from analysis.visual_tokens.choosing import best
from analysis.visual_tokens.doing import dropping
from analysis.visual_tokens.in_decoder import Readers, asked_for
from analysis.visual_tokens.making import Look, Making
from analysis.visual_tokens.plan import VisualPlan
from analysis.words.answer import log_softmax
from analysis.words.runs import AnswerRun
from model_adapters import Capture

Loss = Callable[[VisualPlan], float]
"""What a plan costs in quality: drift, or the share of wrong answers. 0 is none."""


@dataclass(frozen=True, eq=False)
class BudgetSearch:
    """What a search found."""

    plan: VisualPlan
    tried: tuple[tuple[int, int, float], ...]
    """(layer, visual tokens left there, loss) of every try."""
    loss: float
    """Of the plan."""
    finished: bool
    """False after a cancel: the layers behind read as many tokens as the last one that was settled."""


def answer_loss(scores: AnswerRun) -> Loss:
    """The mean KL, in nats, of what an answer's tokens are chosen from with all visual tokens to the same under a plan.

    Args:
        scores: `analysis.words.answer_runner` of the answer that the model gives with all of them.
    """
    full = log_softmax(scores(()))
    if not len(full):
        raise ValueError("the answer is empty, so nothing of it can be lost.")

    def loss(plan: VisualPlan) -> float:
        return float((np.exp(full) * (full - log_softmax(scores(dropping(plan))))).sum(-1).mean())

    return loss


@method(
    title="As few visual tokens as each layer needs (after G-Search)",
    kind="visual tokens",
    cites=("zhao2024gsearch",),
    needs={"weights", "text", "run"},
    range="visual tokens left in each decoder layer, falling with depth",
    misleads="What is enough for one answer may not be for another: search on several questions before a schedule is kept.",
)
def search_budgets(
    capture: Capture,
    loss: Loss,
    *,
    allowed: float,
    look: Look | None = None,
    read: Readers = "last",
    precision: int = 1,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> BudgetSearch:
    """The smallest number of visual tokens in each layer, from shallow to deep, at which the loss stays within bounds.

    Numbers never rise with depth. Each layer is searched by halving, which takes it that fewer tokens are never better;
    the plan that is returned was itself tried.

    Args:
        capture: with the weights of the decoder.
        loss: of a plan, such as `answer_loss`.
        allowed: the highest loss that a plan may have.
        look: edits to a capture under them, so that later layers read what is left.
        read: whose attention ranks the tokens.
        precision: to how many tokens the numbers are found.
        progress: told the share of layers that are settled.
        cancelled: asked before each try; True ends the search with what was found so far.
    """
    making, never = Making(capture, look), lambda: False
    all_kept = float(loss(making.plan("search_budgets")))
    if all_kept > allowed:
        raise ValueError(f"a loss of {allowed} is allowed, but with all visual tokens it is {all_kept:.3g} already.")
    tries, finished = _Tries(loss, allowed, precision, cancelled or never, least=all_kept), True
    for layer in range(1, making.first.depth):
        scores = np.where(making.alive, asked_for(making, layer, read), -np.inf)
        count, finished = tries.fewest(making, layer, scores)
        making.keep(layer, best(scores, count))
        if not finished:
            break
        if progress is not None:
            progress(layer / (making.first.depth - 1))
    said = "After the published idea; tokens are ranked by attention, and each number is found by halving."
    return BudgetSearch(making.plan("search_budgets", said), tuple(tries.made), tries.least, finished)


@dataclass
class _Tries:
    """Plans that were tried, one layer after the other."""

    loss: Loss
    allowed: float
    precision: int
    cancelled: Callable[[], bool]
    least: float
    """The loss of the best plan so far."""
    made: list[tuple[int, int, float]] = field(default_factory=list)

    def fewest(self, making: Making, layer: int, scores: np.ndarray) -> tuple[int, bool]:
        """How few tokens a layer may be left with, found by halving; and whether that was found before a cancel."""
        low, high = 0, int(making.alive.sum())
        while high - low > self.precision:
            if self.cancelled():
                return high, False
            count = (low + high) // 2
            found = float(self.loss(_with(making, layer, best(scores, count)).plan("search_budgets")))
            self.made.append((layer, count, found))
            low, high, self.least = (low, count, found) if found <= self.allowed else (count, high, self.least)
        return high, True


def _with(making: Making, layer: int, chosen: np.ndarray) -> Making:
    """What is made so far and one step more, without changing it."""
    more = Making(making.first.capture, making.look)
    more.steps, more.alive = list(making.steps), making.alive
    more.keep(layer, chosen)
    return more
