"""How few visual tokens each layer needs for one answer: a search from shallow to deep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import model_adapters as ma
from analysis.visual_tokens import BudgetSearch, answer_loss, search_budgets
from analysis.words import answer_runner
from ui.jobs import Progress

if TYPE_CHECKING:
    from ui.results.answering import Answered

ALLOWED = (0.01, 0.05, 0.2, 0.5)
"""Losses that may be allowed: mean KL of the answer's tokens, in nats."""
STEPS = 16
"""A layer's number is found to a sixteenth of all visual tokens."""


def precision_of(tokens: int) -> int:
    """To how many tokens a layer's number is found."""
    return max(1, tokens // STEPS)


def searched(answered: Answered, capture: ma.Capture, tokens: int, allowed: float, progress: Progress) -> BudgetSearch:
    """The plan that reads least while the answer loses no more than is allowed."""
    ids = answered.answer.ids.tolist()
    scores = answer_runner(ma.run, answered.model, ma.continued(answered.model, answered.inputs, ids), len(ids))
    return search_budgets(
        capture, answer_loss(scores), allowed=allowed, precision=precision_of(tokens), progress=progress.step,
        cancelled=lambda: progress.cancelled,
    )  # fmt: skip


def passes_of(tokens: int, depth: int) -> int:
    """About how often prompt and answer are read: once per halving and layer."""
    return 2 + (depth - 1) * max(1, (tokens // precision_of(tokens)).bit_length())
