"""The same classes in two runs, side by side."""

from __future__ import annotations

import plotly.graph_objects as go

from ui import colours
from ui.figures.frame import framed, humane
from ui.figures.rules import Look, rule
from ui.results.compare import Answers


@rule.register
def _(result: Answers, look: Look) -> go.Figure:
    figure = go.Figure()
    names = list(result.names)[::-1]
    for place, (side, values) in enumerate(zip(result.sides, (result.first, result.second), strict=True)):
        figure.add_bar(
            y=names, x=values[::-1], orientation="h", name=side, marker={"color": colours.category(place)},
            text=[humane(v) for v in values[::-1]], textposition="outside", cliponaxis=False,
            hovertemplate=f"%{{y}}, {side}: %{{x:.3f}}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(barmode="group", bargap=0.3, legend_traceorder="normal")
    framed(figure, x="Probability", height=90 + 38 * len(names), legend=True, right=40)
    return figure.update_xaxes(range=[0, 1.05])
