"""Bars, dots with intervals, and what stands beside chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from analysis.clusters import Clusters
from analysis.localisation import Rated
from analysis.results import Parts
from analysis.signals.combined import CombinedScore
from analysis.sink_whatifs import SinkWhatIf
from ui import colours
from ui.figures.frame import framed, humane, level, limits, named, whiskers
from ui.figures.rules import Look, drawn_together, rule

_ROW = 26
_MOST = 24
"""So many parts are shown; the others are added up."""


def forest(
    names: Sequence[str],
    values: Sequence[float] | np.ndarray,
    low: Sequence[float] | np.ndarray,
    high: Sequence[float] | np.ndarray,
    *,
    chance: float | None = None,
    label: str = "",
    baselines: Sequence[str] = (),
) -> go.Figure:
    """A dot and an interval per name, the highest on top; names that are there to be beaten are grey."""
    numbers = np.asarray(values, float)
    order = np.argsort(-np.nan_to_num(numbers, nan=-np.inf), kind="stable")
    sorted_names = [names[n] for n in order]
    middle, down, up = numbers[order], np.asarray(low, float)[order], np.asarray(high, float)[order]
    shades = [colours.NEUTRAL if name in baselines else colours.CATEGORICAL[0] for name in sorted_names]
    texts = [f"{humane(v)} ({humane(a)} to {humane(b)})" for v, a, b in zip(middle, down, up, strict=True)]
    figure = go.Figure(
        go.Scatter(
            x=middle, y=sorted_names, mode="markers", marker={"color": shades, "size": 9}, error_x=whiskers(middle, down, up),
            text=texts, hovertemplate="%{y}: %{text}<extra></extra>", customdata=[int(n) for n in order],
        )
    )  # fmt: skip
    framed(figure, x=named(label), height=90 + _ROW * max(len(names), 2))
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    figure.update_layout(margin={"t": 24})
    if chance is not None and np.isfinite(chance):
        level(figure, chance, f"chance {humane(chance)}", upright=True)
    return figure


@rule.register
def _(result: Parts, look: Look) -> go.Figure:
    order = np.argsort(-np.abs(result.values), kind="stable")
    shown, rest = order[:_MOST], order[_MOST:]
    names = [result.names[n] for n in shown]
    values = [float(result.values[n]) for n in shown]
    if len(rest):
        names.append(f"{len(rest)} others")
        values.append(float(result.values[rest].sum()))
    shades = [colours.CATEGORICAL[0] if value >= 0 else colours.CATEGORICAL[1] for value in values]
    figure = go.Figure(go.Bar(x=values, y=names, orientation="h", marker={"color": shades}))
    figure.update_traces(text=[humane(v) for v in values], textposition="none", hovertemplate="%{y}: %{text}<extra></extra>")
    figure.update_yaxes(autorange="reversed", type="category")
    return framed(figure, x=f"{named(result.label)}, {humane(result.total)} together".lstrip(", "), height=90 + _ROW * len(names))


@rule.register
def _(result: CombinedScore, look: Look) -> go.Figure:
    """What each signal weighs, per standard deviation."""
    told = f"Weight per standard deviation; AUROC {humane(result.auroc)} on {result.words} words left out of the fit"
    weights = Parts(result.names, np.array(result.weights, float), 0.0, told)
    return rule(weights, look).update_xaxes(title={"text": told})


@rule.register
def _(result: Rated, look: Look) -> go.Figure:
    figure = go.Figure(
        go.Bar(x=[result.value], y=[named(result.label)], orientation="h", marker={"color": colours.CATEGORICAL[0]})
    )
    figure.update_traces(hovertemplate="%{x:.2f}<extra></extra>")
    level(figure, result.chance, f"chance {humane(result.chance)}", upright=True)
    framed(figure, height=110).update_layout(margin={"t": 24})
    return figure.update_xaxes(range=limits([result.value, result.chance, 1.0], False))


@rule.register
def _(result: SinkWhatIf, look: Look) -> go.Figure:
    return _whatifs((result,))


@rule.register
def _(result: tuple, look: Look) -> go.Figure:
    if not result or not all(isinstance(each, SinkWhatIf) for each in result):
        raise TypeError(f"only what-ifs are drawn as a tuple. Got {[type(each).__name__ for each in result]}.")
    return _whatifs(result)


drawn_together(SinkWhatIf)


def _whatifs(found: tuple[SinkWhatIf, ...]) -> go.Figure:
    """What each intervention on the sinks changes, among the same on random tokens."""
    figure = go.Figure()
    spread = [(each.name, effect.kl) for each in found for effect in each.random]
    figure.add_scatter(
        x=[kl for _, kl in spread], y=[name for name, _ in spread], mode="markers", name="random tokens",
        marker={"color": colours.translucent(colours.NEUTRAL, 0.6), "size": 8, "symbol": "line-ns-open"},
        hovertemplate="random tokens: %{x:.3g}<extra></extra>",
    )  # fmt: skip
    texts = [
        f"KL {humane(e.sinks.kl)}, {humane(e.sinks.flips, '%')} flips<br>{humane(e.rank, '%')} of random draws move as much"
        for e in found
    ]
    figure.add_scatter(
        x=[e.sinks.kl for e in found], y=[e.name for e in found], mode="markers", name="sinks", text=texts,
        marker={"color": colours.CATEGORICAL[1], "size": 11}, hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(rangemode="tozero")
    return framed(figure, x="Change of the answer (KL, nats)", height=120 + 34 * len(found), legend=True)


@rule.register
def _(result: Clusters, look: Look) -> go.Figure:
    """How many points each group has; where numbers of groups were tried, their silhouettes."""
    if len(result.tried) > 1:
        figure = go.Figure(
            go.Scatter(x=result.tried, y=result.scores, mode="lines+markers", line={"color": colours.CATEGORICAL[0], "width": 2})
        )
        figure.update_traces(hovertemplate="%{x} groups: %{y:.2f}<extra></extra>")
        return framed(figure, x="Groups", y="Mean silhouette")
    groups, counts = np.unique(result.labels, return_counts=True)
    names = ["in no group" if group < 0 else f"group {group}" for group in groups]
    shades = [colours.NEUTRAL if group < 0 else colours.category(int(group)) for group in groups]
    figure = go.Figure(go.Bar(x=names, y=counts, marker={"color": shades}, hovertemplate="%{x}: %{y}<extra></extra>"))
    return framed(figure, y="Points")
