"""Square and other matrices of named things."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.importance_results import Trust
from analysis.layer_similarity import LayerSimilarity
from analysis.results import Agreement
from ui.figures.bars import forest
from ui.figures.frame import framed, heat, humane, limits
from ui.figures.rules import Look, rule

_FEW = 12
"""Up to so many names, numbers stand in the cells."""


@rule.register
def _(result: Agreement, look: Look) -> go.Figure:
    signed = bool(np.nanmin(result.values, initial=0) < 0)
    ends = (-1.0, 1.0) if signed else (0.0, max(1.0, limits(result.values, False)[1]))
    names = list(result.names)
    texts = np.array([[_interval(result, a, b) for b in range(len(names))] for a in range(len(names))], object)
    cells = heat(result.values, signed=signed, label=result.label or "agreement", ends=ends, x=names, y=names, customdata=texts)
    cells.hovertemplate = "%{y} and %{x}: %{customdata}<extra></extra>"
    if len(names) <= _FEW:
        cells.text, cells.texttemplate = [[humane(v) for v in row] for row in result.values], "%{text}"
    figure = framed(go.Figure(cells), height=min(560, 160 + 36 * len(names)))
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure.update_xaxes(showgrid=False)


def _interval(result: Agreement, a: int, b: int) -> str:
    text = humane(result.values[a, b])
    if result.low is None or result.high is None:
        return text
    return f"{text} ({humane(result.low[a, b])} to {humane(result.high[a, b])})"


@rule.register
def _(result: LayerSimilarity, look: Look) -> go.Figure:
    cells = heat(result.values, label=result.label or "CKA", ends=(0.0, 1.0), x=list(result.second), y=list(result.first))
    cells.hovertemplate = "layers %{y} and %{x}: %{z:.2f}<extra></extra>"
    figure = framed(go.Figure(cells), x="Layer of the second", y="Layer of the first", height=420)
    return figure.update_xaxes(showgrid=False).update_yaxes(showgrid=False)


@rule.register
def _(result: Trust, look: Look) -> go.Figure:
    """The first statistic of every metric; the rest is in the table."""
    return forest(
        result.metrics, result.values[:, 0], result.low[:, 0], result.high[:, 0],
        chance=float(result.chance[0]), label=result.statistics[0],
    )  # fmt: skip
