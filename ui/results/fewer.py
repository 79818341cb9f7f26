"""Fewer visual tokens: a pruner as data, what it leaves at every budget, the answer with what is left, and what that costs."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import analysis
import model_adapters as ma
from analysis.offers import offers
from analysis.registry import Option, Range
from analysis.visual_tokens import VisualPlan, dropping, masking, why_no_plan
from analysis.words.answer import log_softmax
from analysis.words.words import Word, words_of
from model_adapters.running_cost import AnsweringCost, answering_cost

if TYPE_CHECKING:
    from analysis.registry import Method
    from model_adapters.decoding import Decoding

WANTED = ("hidden", "queries")
KNOBS = ("keep", "window", "exit", "blind")
STOPS = 48
"""At about so many budgets the survivors are worked out beforehand."""
BUDGETS_DIFFER = (
    "Before the decoder a budget is what all layers read; inside it, what the last layer reads, so such a pruner reads more at "
    "the same budget."
)


@dataclass(frozen=True)
class Pruner:
    """A registered way to leave out visual tokens with its options, but for the budget: hashable."""

    method: str
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def title(self) -> str:
        """As registered."""
        return analysis.find(self.method).title

    @property
    def knob(self) -> str:
        """The option that is the budget."""
        return knob_of(self.method)

    def said(self, amount: int, tokens: int) -> str:
        """One budget in words."""
        words = {
            "window": f"window {amount} × {amount}",
            "exit": f"none from layer {amount} on",
            "blind": f"{amount} % of the heads blind",
        }
        return words.get(self.knob, f"{amount} of {tokens}")

    def plan(self, capture: ma.Capture, amount: int) -> VisualPlan:
        """Which visual tokens stay at one budget."""
        return analysis.find(self.method).function(capture, **{self.knob: amount}, **dict(self.options))


def pruners() -> list[Method]:
    """The registered methods that make a plan."""
    return [each for each in analysis.methods("visual tokens") if each.result is VisualPlan]


def knob_of(method: str) -> str:
    """The option that is the budget: how many stay, how wide a window is, where all leave, or how many heads are blind."""
    names = inspect.signature(analysis.find(method).function).parameters
    return next(name for name in KNOBS if name in names)


def fitted(method: Method, depth: int) -> Method:
    """The method without its budget, with layers that the model has."""
    low = 1 if any(o.name == "layer" and o.range is not None for o in method.options) else 0

    def fit(option: Option) -> Option:
        if option.name in ("cut", "always"):
            return replace(option, range=Range(0, depth - 1), default=min(option.default, depth - 1))
        if option.name != "layer" or option.default < 0:
            return option
        return replace(option, range=Range(low, depth - 1), default=min(max(option.default, low), depth - 1))

    left = tuple(fit(option) for option in method.options if option.name != knob_of(method.name))
    return replace(method, options=left)


def seen(model: ma.Model, inputs: ma.Inputs) -> ma.Capture:
    """All that pruners read, from one pass over the prompt."""
    capture = ma.capture(model, inputs, want=WANTED)
    if reason := why_no_plan(capture):
        raise ValueError(reason)
    return capture


def why_not(capture: ma.Capture, method: Method) -> str:
    """The sentence that says why a pruner is not offered; empty where it is."""
    offered = offers(capture, "decoder") | offers(capture, "vision")
    if reason := method.why_not(offered):
        return reason
    try:
        usual(method, capture).plan(capture, 1)
    except ValueError as error:
        return f"{method.title}: {error}"
    return ""


def usual(method: Method, capture: ma.Capture) -> Pruner:
    """A method with its defaults, as far as the model has the layers."""
    return Pruner(method.name, tuple((option.name, option.default) for option in fitted(method, depth_of(capture)).options))


def depth_of(capture: ma.Capture) -> int:
    """How many layers the decoder has."""
    return 1 + max(site.layer for site in capture.sites if site.tower == "decoder")


def visual_tokens(capture: ma.Capture) -> int:
    """How many visual tokens the decoder reads."""
    return len(Pruner("random_visual").plan(capture, 1))


@dataclass(frozen=True, eq=False)
class Survival:
    """What is left of the visual tokens of one prompt at every budget that was worked out."""

    pruner: Pruner
    amounts: tuple[int, ...]
    """[B] budgets, rising."""
    own: np.ndarray
    """[B, N] how many layers read each token as itself."""
    lasts: np.ndarray
    """[B, N] how many layers read it at all, as itself or merged into another."""
    counts: np.ndarray
    """[B, depth] how many visual tokens each layer reads."""
    plan: VisualPlan
    """The plan with the largest budget: rows and places are the same in all."""
    reads: np.ndarray | None = None
    """[B, depth, N] bool: which layer reads each token as itself; given where tokens that a layer does not read come back."""

    @property
    def depth(self) -> int:
        """How many layers the decoder has."""
        return self.counts.shape[1]

    def nearest(self, amount: int) -> int:
        """The worked out budget that is nearest to one."""
        return min(self.amounts, key=lambda each: abs(each - amount))


def amounts_of(pruner: Pruner, tokens: int, depth: int) -> tuple[int, ...]:
    """The budgets that are worked out: evenly spread, one and all among them; odd windows, every layer, shares of heads."""
    if pruner.knob == "exit":
        return tuple(range(1, depth + 1))
    if pruner.knob == "blind":
        return tuple(range(0, 101, 5))
    if pruner.knob == "window":
        across = 2 * int(np.sqrt(tokens)) + 1
        return tuple(range(1, min(across, 63) + 1, 2))
    step = max(1, -(-tokens // STOPS))
    return tuple(sorted({1, *range(step, tokens + 1, step), tokens}))


def survival(capture: ma.Capture, pruner: Pruner, report: Callable[[float], None] = lambda share: None) -> Survival:
    """The plans of all budgets, from one and the same capture."""
    tokens = visual_tokens(capture)
    amounts = amounts_of(pruner, tokens, depth_of(capture))
    plans = []
    for number, amount in enumerate(amounts):
        report(number / len(amounts))
        plans.append(pruner.plan(capture, amount))
    returning = any(plan.rounds is not None for plan in plans)
    return Survival(
        pruner, amounts, np.stack([plan.alive.sum(0) for plan in plans]), np.stack([plan.lasting.sum(0) for plan in plans]),
        np.stack([plan.counts for plan in plans]), plans[-1], np.stack([plan.alive for plan in plans]) if returning else None,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Reduced:
    """The answer of a model whose visual tokens were really dropped, beside its full answer."""

    plan: VisualPlan
    generation: ma.Generation
    kl: float
    """Mean divergence of what the next token is chosen from, up to where the answers part (nats)."""
    same: int
    """How many tokens the answers begin with in common."""
    agrees: bool
    masked_differs: float | None
    """Largest difference of a log-probability of the first new token between dropping and hiding; None where tokens merge or go
    round layers."""

    @property
    def sequence(self) -> tuple[int, int]:
        """Tokens of the prompt that the first and the last layer read."""
        others = len(self.plan.rows) - len(self.plan)
        return others + int(self.plan.counts[0]), others + self.plan.kept


def reduced(
    model: ma.Model, inputs: ma.Inputs, plan: VisualPlan, full: ma.Generation, longest: int, decoding: Decoding
) -> Reduced:
    """Answer with the tokens of a plan really dropped, and compare with the full answer."""
    said = ma.generate(model, inputs, max_new_tokens=longest, edits=dropping(plan), decoding=decoding, keep=ma.Keep(sites="none"))
    if not isinstance(said, ma.Generation):
        raise TypeError("one prompt has one answer.")
    ids, before = [t.id for t in said.tokens], [t.id for t in full.tokens]
    same = next((n for n, (a, b) in enumerate(zip(ids, before, strict=False)) if a != b), min(len(ids), len(before)))
    return Reduced(plan, said, divergence(full, said), same, ids == before, _masked_differs(model, inputs, plan))


def words_in(text: str) -> tuple[Word, ...]:
    """The words and marks of a text."""
    return words_of(text, np.zeros((0, 2), int))


def divergence(full: ma.Generation, other: ma.Generation) -> float:
    """Mean KL of the full model's next token to the other's, up to and with the first that differs; NaN of nothing."""
    found = []
    for one, two in zip(full.tokens, other.tokens, strict=False):
        before, after = log_softmax(one.logits), log_softmax(two.logits)
        found.append(float((np.exp(before) * (before - after)).sum()))
        if one.id != two.id:
            break
    return float(np.mean(found)) if found else float("nan")


def _masked_differs(model: ma.Model, inputs: ma.Inputs, plan: VisualPlan) -> float | None:
    if plan.merges or plan.rounds is not None:
        return None
    one, two = (log_softmax(_first(ma.run(model, inputs, how(plan)))) for how in (dropping, masking))
    return float(np.abs(one - two).max())


def _first(logits: Any) -> np.ndarray:
    """[V] the scores of the first new token."""
    scores = logits.detach().float().cpu().numpy()
    return np.asarray(scores.reshape(-1, scores.shape[-1])[-1], np.float64)


@dataclass(frozen=True)
class Costs:
    """What answering costs with all visual tokens and with those that are left."""

    whole: AnsweringCost
    fewer: AnsweringCost
    unsure: frozenset[str] = frozenset()
    """Times whose change is smaller than its spread over the rounds."""

    def share(self, name: str) -> float:
        """What is left of one number."""
        whole = getattr(self.whole, name)
        return getattr(self.fewer, name) / whole if whole else float("nan")


TIMES = ("prefill_seconds", "token_seconds")
ROUNDS, PATIENCE = 5, 3.0
"""So often both are timed in turn, and after so many seconds not again."""


def costs_of(model: ma.Model, inputs: ma.Inputs, plan: VisualPlan) -> Costs:
    """Both measured in turn, on the same prompt; a time per token that the noise is larger than is NaN."""
    begun, edits = time.perf_counter(), dropping(plan)
    rounds: list[tuple[AnsweringCost, AnsweringCost]] = []
    while len(rounds) < ROUNDS and (not rounds or time.perf_counter() - begun < PATIENCE):
        rounds.append((answering_cost(model, inputs), answering_cost(model, inputs, edits)))
    unsure = frozenset(name for name in TIMES if _crosses([getattr(few, name) - getattr(whole, name) for whole, few in rounds]))
    return Costs(_shortest([whole for whole, _ in rounds]), _shortest([few for _, few in rounds]), unsure)


def _crosses(changes: Sequence[float]) -> bool:
    """Whether the middle half of some changes lies on both sides of zero."""
    low, high = np.quantile(changes, [0.25, 0.75])
    return bool(low <= 0 <= high)


def _shortest(found: Sequence[AnsweringCost]) -> AnsweringCost:
    """Other work on the machine only ever makes a run longer."""
    prefill = min(cost.prefill_seconds for cost in found)
    token = min((cost.token_seconds for cost in found if cost.token_seconds > 0), default=0.0)
    return replace(found[0], prefill_seconds=prefill, token_seconds=token if token > 0 else float("nan"))
