"""Curves over steps: with bands, against random orders, over costs."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.faithfulness import Comparison, Faithfulness
from analysis.importance_results import JointAblation
from analysis.pattern_autoencoder import AutoencoderSummary
from analysis.pruning import PruningCurve
from analysis.results import Curve
from ui import colours
from ui.figures.frame import band, framed, humane, level, named
from ui.figures.rules import Look, rule

_FEW = 24
"""Up to so many points are marked."""


def line(x: object, y: np.ndarray, colour: str, name: str = "", **more: object) -> go.Scatter:
    """A curve; points are marked where they are few."""
    mode = "lines+markers" if len(y) <= _FEW else "lines"
    return go.Scatter(
        x=x, y=y, mode=mode, line={"color": colour, "width": 2}, marker={"color": colour, "size": 6}, name=name, **more
    )


@rule.register
def _(result: Curve, look: Look) -> go.Figure:
    figure = go.Figure()
    if result.low is not None and result.high is not None:
        figure.add_trace(band(result.steps, result.low, result.high, colours.CATEGORICAL[0]))
    figure.add_trace(line(result.steps, result.values, colours.CATEGORICAL[0], hovertemplate="%{x}: %{y:.3g}<extra></extra>"))
    return _from_zero(framed(figure, x=named(result.step_label), y=named(result.label)), result.values)


@rule.register
def _(result: Comparison, look: Look) -> go.Figure:
    return _compared({"": result})


@rule.register
def _(result: Faithfulness, look: Look) -> go.Figure:
    named_curves = {f"deletion, {fill}": found for fill, found in result.deletion.items()}
    named_curves |= {f"insertion, {fill}": found for fill, found in result.insertion.items()}
    return _compared(named_curves)


def _compared(found: dict[str, Comparison]) -> go.Figure:
    figure = go.Figure()
    for number, (name, each) in enumerate(found.items()):
        colour, curve = colours.category(number), each.curve
        if curve.low is not None and curve.high is not None:
            figure.add_trace(band(curve.steps, curve.low, curve.high, colour))
        random = f"{humane(float(np.mean(each.random_areas)))} ± {humane(float(np.std(each.random_areas)))}"
        text = f"{name} {humane(each.area)}, random {random}".strip() if len(each.random_areas) else f"{name} {humane(each.area)}"
        figure.add_trace(line(curve.steps, curve.values, colour, text, hovertemplate="%{x:.0%}: %{y:.2f}<extra></extra>"))
    first = next(iter(found.values())).curve if found else Curve(np.zeros(1), np.zeros(1))
    framed(figure, x=named(first.step_label or "share of the picture"), y=named(first.label or "probability"), legend=True)
    return _from_zero(figure, first.values)


@rule.register
def _(result: JointAblation, look: Look) -> go.Figure:
    figure = go.Figure()
    if len(result.random):
        low, high = np.quantile(result.random, [0.05, 0.95], axis=0)
        figure.add_trace(band(result.steps, low, high, colours.NEUTRAL, "random heads, 90 %"))
        figure.add_trace(line(result.steps, result.random.mean(0), colours.NEUTRAL, "random heads, mean"))
    for number, (name, values) in enumerate(zip(result.metrics, result.values, strict=True)):
        figure.add_trace(line(result.steps, values, colours.category(number), name))
    figure.update_traces(hovertemplate="%{x} heads: %{y:.3g}<extra>%{fullData.name}</extra>", selector={"mode": "lines+markers"})
    return _from_zero(framed(figure, x="Silent heads", y=named(result.label), legend=True), result.values)


@rule.register
def _(result: PruningCurve, look: Look) -> go.Figure:
    """What is left against what it costs; the front joins the points that no other beats."""
    points = result.points
    costs = [p.cost for p in points]
    priced = all(cost is not None for cost in costs)
    x = costs if priced else [len(p.removed) for p in points]
    accuracy = [p.effect.accuracy for p in points]
    texts = [
        f"{len(p.removed)} taken out<br>accuracy {humane(p.effect.accuracy)}, KL {humane(p.effect.kl)}"
        f"<br>{humane(p.effect.flips, '%')} of the answers changed" for p in points
    ]  # fmt: skip
    figure = go.Figure(
        go.Scatter(
            x=x, y=accuracy, mode="markers+lines", line={"color": colours.FAINT}, text=texts, customdata=list(range(len(points))),
            marker={"color": colours.CATEGORICAL[0], "size": 9}, hovertemplate="%{text}<extra></extra>", name="points",
        )
    )  # fmt: skip
    front = [points[n] for n in result.front] if priced else []
    if front:
        best = sorted((p.cost, p.effect.accuracy) for p in front)
        figure.add_scatter(
            x=[b[0] for b in best], y=[b[1] for b in best], mode="lines", line={"color": colours.CATEGORICAL[1], "width": 2},
            name="front", hoverinfo="skip",
        )  # fmt: skip
    label = "Cost, as a share of the whole model" if priced and max(c for c in costs if c is not None) <= 1 else "Cost"
    return _from_zero(framed(figure, x=label if priced else "Taken out", y="Accuracy"), np.array(accuracy))


@rule.register
def _(result: AutoencoderSummary, look: Look) -> go.Figure:
    return rule(result.summary, look)


def losses(result: AutoencoderSummary) -> go.Figure:
    """How the training of a pattern autoencoder went."""
    figure = go.Figure(line(np.arange(len(result.losses)), result.losses, colours.CATEGORICAL[0], "loss"))
    level(figure, result.pca_error, f"PCA leaves out {humane(result.pca_error, '%')}")
    return framed(figure, x="Step", y="Training loss")


def _from_zero(figure: go.Figure, values: np.ndarray) -> go.Figure:
    """Amounts start at zero; where numbers fall below it, the axis follows them."""
    figure.update_yaxes(rangemode="tozero" if np.nanmin(values, initial=0) >= 0 else "normal")
    return figure
