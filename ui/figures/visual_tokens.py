"""Fewer visual tokens: how many each decoder layer reads."""

from __future__ import annotations

import plotly.graph_objects as go

from analysis.visual_tokens.plan import VisualPlan
from ui import colours
from ui.figures.frame import framed
from ui.figures.rules import Look, rule


@rule.register
def _(result: VisualPlan, look: Look) -> go.Figure:
    """A bar per layer, as high as the visual tokens that it reads."""
    counts = result.counts
    figure = go.Figure(
        go.Bar(
            x=list(range(result.depth)),
            y=counts,
            marker={"color": colours.CATEGORICAL[0]},
            text=counts,
            hovertemplate=f"layer %{{x}}: %{{y}} of {len(result)} visual tokens<extra></extra>",
        )
    )
    return framed(figure, x="Decoder layer", y="Visual tokens that it reads")
