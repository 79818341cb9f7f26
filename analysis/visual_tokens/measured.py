"""What a plan changes and what it saves on one prompt, as plain numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from scipy.special import log_softmax

from analysis.visual_tokens.doing import dropping
from analysis.visual_tokens.plan import VisualPlan
from model_adapters import Generation
from model_adapters.edits import Edit

Answer = Callable[[tuple[Edit, ...]], Generation]
"""Edits -> the answer under them."""


class Cost(Protocol):
    """What running the decoder costs: `model_adapters.running_cost.answering_cost` makes it."""

    flops: int
    prefill_seconds: float
    token_seconds: float
    cache_bytes: int


CostOf = Callable[[tuple[Edit, ...]], Cost]


@dataclass(frozen=True)
class Measured:
    """One plan on one prompt, or the means over several."""

    method: str
    visual: float
    """Visual tokens there are."""
    kept: float
    """Visual tokens that the last layer reads."""
    mean_kept: float
    """Visual tokens that a layer reads on average."""
    agreement: float
    """1 where the answer is that of the full model, token for token."""
    drift: float
    """Mean change of the log-probability of the full model's answer, up to where the answers part (nats)."""
    flops: float = float("nan")
    flops_share: float = float("nan")
    """Of the full model's operations on the prompt."""
    prefill_seconds: float = float("nan")
    token_seconds: float = float("nan")
    cache_bytes: float = float("nan")
    prompts: int = 1


def measure(plans: Sequence[VisualPlan], answer: Answer, cost: CostOf | None = None) -> tuple[Measured, ...]:
    """Every plan of one prompt against the model as it is.

    Args:
        plans: of the same prompt.
        answer: edits to an answer; greedy and of the same length for all.
        cost: edits to what it costs; left out, these numbers are NaN.
    """
    full, whole = answer(()), None if cost is None else cost(())
    return tuple(_one(plan, full, answer, whole, cost) for plan in plans)


def summary(found: Sequence[Measured]) -> Measured:
    """The means over prompts of one method."""
    if len({m.method for m in found}) != 1:
        raise ValueError(f"figures of one method are averaged. Got {sorted({m.method for m in found})}.")
    numbers = [f.name for f in fields(Measured) if f.name not in ("method", "prompts")]
    means: dict[str, Any] = {name: float(np.mean([getattr(m, name) for m in found])) for name in numbers}
    return Measured(found[0].method, prompts=sum(m.prompts for m in found), **means)


def drift(full: Generation, other: Generation) -> float:
    """Mean change of the log-probabilities of the full answer's tokens, up to and with the first that differs."""
    changes = []
    for one, two in zip(full.tokens, other.tokens, strict=False):
        before, after = (log_softmax(t.logits.astype(np.float64))[one.id] for t in (one, two))
        changes.append(abs(after - before))
        if one.id != two.id:
            break
    return float(np.mean(changes)) if changes else float("nan")


def _one(plan: VisualPlan, full: Generation, answer: Answer, whole: Cost | None, cost: CostOf | None) -> Measured:
    edits = dropping(plan)
    said = answer(edits)
    agrees = float([t.id for t in said.tokens] == [t.id for t in full.tokens])
    found = Measured(plan.method, float(len(plan)), float(plan.kept), plan.mean_kept, agrees, drift(full, said))
    if cost is None or whole is None:
        return found
    own = cost(edits)
    more = {name: float(getattr(own, name)) for name in ("flops", "prefill_seconds", "token_seconds", "cache_bytes")}
    return Measured(**{**vars(found), **more, "flops_share": own.flops / whole.flops})
