"""Fewer visual tokens in large vision-language models: which survive, from which decoder layer on, and which merge where.

Importing this package registers its methods. `dropping(plan)` makes a plan into edits that really drop its tokens.
"""

from analysis.visual_tokens import (
    before_decoder,
    in_cache,
    in_decoder,
    layer_rankings,
    merging,
    neighbours,
    plain,
    thresholds,
    tiles,
    unseen,
)
from analysis.visual_tokens.doing import dropping, masking
from analysis.visual_tokens.family import FAMILY, Member
from analysis.visual_tokens.in_cache import CachePlan, forgetting
from analysis.visual_tokens.measured import Measured, drift, measure, summary
from analysis.visual_tokens.plan import VisualPlan, VisualStep
from analysis.visual_tokens.reading import why_no_plan
from analysis.visual_tokens.searching import BudgetSearch, answer_loss, search_budgets

__all__ = [
    "FAMILY",
    "BudgetSearch",
    "CachePlan",
    "Measured",
    "Member",
    "VisualPlan",
    "VisualStep",
    "answer_loss",
    "before_decoder",
    "drift",
    "dropping",
    "forgetting",
    "in_cache",
    "in_decoder",
    "layer_rankings",
    "masking",
    "measure",
    "merging",
    "neighbours",
    "plain",
    "search_budgets",
    "summary",
    "thresholds",
    "tiles",
    "unseen",
    "why_no_plan",
]
