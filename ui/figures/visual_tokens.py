"""Fewer visual tokens: how many each decoder layer reads."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.visual_tokens.in_cache import CachePlan
from analysis.visual_tokens.plan import VisualPlan
from analysis.visual_tokens.searching import BudgetSearch
from ui import colours
from ui.figures.frame import framed
from ui.figures.rules import Look, rule


@rule.register
def _(result: VisualPlan, look: Look) -> go.Figure:
    """A bar per layer, as high as the visual tokens that it reads."""
    return _bars(result.counts, len(result), "Visual tokens that it reads")


@rule.register
def _(result: CachePlan, look: Look) -> go.Figure:
    """A bar per layer, as high as the visual tokens that its cache holds while the answer is written."""
    return _bars(result.counts, len(result.image), "Visual tokens that it remembers")


@rule.register
def _(result: BudgetSearch, look: Look) -> go.Figure:
    """The plan that was found."""
    return rule(result.plan, look)


def _bars(counts: np.ndarray, total: int, label: str) -> go.Figure:
    figure = go.Figure(
        go.Bar(
            x=list(range(len(counts))),
            y=counts,
            marker={"color": colours.CATEGORICAL[0]},
            text=counts,
            hovertemplate=f"layer %{{x}}: %{{y}} of {total} visual tokens<extra></extra>",
        )
    )
    return framed(figure, x="Decoder layer", y=label)
