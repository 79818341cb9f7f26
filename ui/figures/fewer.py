"""Curves of several pruners over several budgets."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from ui import colours
from ui.figures.curves import line
from ui.figures.frame import band, framed, humane, level, whiskers
from ui.figures.rules import Look, rule
from ui.results.fewer_curves import AGAINST, BASELINES, MEASURES, FewerCurves

_DASHES = ("dot", "dash")


@rule.register
def _(result: FewerCurves, look: Look) -> go.Figure:
    return fewer_curves(result)


def fewer_curves(result: FewerCurves, measure: str = "agreement", against: str = "read") -> go.Figure:
    """A curve per pruner with its intervals; baselines are grey, and the band is the interval of chance.

    Args:
        result: what was measured.
        measure: of `MEASURES`.
        against: of `AGAINST`.
    """
    values, low, high = result.over_pictures(measure)
    places = result.at(against)
    figure, number = go.Figure(), 0
    for row, (title, method) in enumerate(zip(result.pruners, result.methods, strict=True)):
        order = np.argsort(places[row], kind="stable")
        x = places[row][order]
        plain = method in BASELINES
        colour = colours.NEUTRAL if plain else colours.category(number)
        number += not plain
        if method == BASELINES[0]:
            figure.add_trace(band(x, low[row][order], high[row][order], colour))
        texts = [
            f"{title}<br>{humane(budget, '%')} of the visual tokens, {humane(read, '%')} read per layer: {humane(value)} "
            f"({humane(a)} to {humane(b)})"
            for budget, read, value, a, b in zip(
                np.array(result.shares)[order], result.read[row][order], values[row][order], low[row][order], high[row][order],
                strict=True,
            )
        ]  # fmt: skip
        name = title.split(":")[0]
        trace = line(x, values[row][order], colour, name, text=texts, hovertemplate="%{text}<extra></extra>")
        if not plain:
            trace.error_y = whiskers(values[row][order], low[row][order], high[row][order])
            trace.error_y.color = colours.translucent(colour, 0.5)
        else:
            trace.line.dash = _DASHES[BASELINES.index(method)]
        figure.add_trace(trace)
    if measure == "accuracy" and np.isfinite(result.full_accuracy):
        level(figure, result.full_accuracy, f"all visual tokens: {humane(result.full_accuracy, '%')}")
    framed(figure, x=AGAINST[against], y=MEASURES[measure], height=380, legend=True)
    figure.update_xaxes(tickformat=".0%", range=[0, 1.02])
    if measure == "kl":
        return figure.update_yaxes(rangemode="tozero")
    return figure.update_yaxes(tickformat=".0%", range=[0, 1.05])
