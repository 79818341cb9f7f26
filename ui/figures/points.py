"""Points: embeddings, patterns, one metric against another."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.patterns import PatternSummary
from analysis.projections import JointEmbedding, Neighbours
from analysis.results import Embedding, HeadMatrix
from ui import colours
from ui.figures.frame import bar_of, framed, heat, humane, limits, named, whiskers
from ui.figures.rules import Look, rule

_MANY = 4000
"""From so many points on, they are drawn by the graphics card."""


@rule.register
def _(result: Embedding, look: Look) -> go.Figure:
    figure = go.Figure()
    kinds = np.array(result.kinds, object)
    groups = list(dict.fromkeys(result.kinds))
    size = 7 if len(kinds) < 500 else 5
    scatter = go.Scattergl if len(result.points) >= _MANY else go.Scatter
    for number, kind in enumerate(groups):
        own = np.flatnonzero(kinds == kind)
        texts = [look.names[n] if look.names else f"{kind} {result.index[n]}" for n in own]
        colour = colours.colour_of(kind) if kind in colours.TYPES else colours.category(number)
        figure.add_trace(
            scatter(
                x=result.points[own, 0], y=result.points[own, 1], mode="markers", name=str(kind), text=texts,
                customdata=np.stack([own, result.index[own]], 1), hovertemplate="%{text}<extra></extra>",
                marker={"color": colour, "size": size, "symbol": colours.SYMBOLS[number % 10], "opacity": 0.85},
            )
        )  # fmt: skip
    told = "" if result.explained is None else f", {humane(result.explained, '%')} of the variance"
    framed(figure, x=f"{named(result.label or 'first and second dimension')}{told}", height=440, legend=len(groups) > 1)
    figure.update_layout(dragmode="lasso", clickmode="event+select")
    figure.update_yaxes(scaleanchor="x", showticklabels=False, zeroline=False)
    return figure.update_xaxes(showticklabels=False, zeroline=False)


@rule.register
def _(result: JointEmbedding, look: Look) -> go.Figure:
    figure = rule(result.embedding, look)
    text = f"Near means attended: correlation of distance and product {humane(result.correlation)}"
    return figure.update_xaxes(title={"text": text})


@rule.register
def _(result: PatternSummary, look: Look) -> go.Figure:
    names = look.names or tuple(f"layer {site.layer}, head {head}" for site, head in result.heads)
    figure = rule(result.embedding, Look(look.chosen, None, names))
    return figure.update_xaxes(title={"text": f"Alike patterns lie close; {humane(result.total_error, '%')} of them is left out"})


@rule.register
def _(result: Neighbours, look: Look) -> go.Figure:
    cells = heat(result.distance, label="distance", customdata=result.index)
    cells.hovertemplate = "point %{y}: its neighbour %{x} is point %{customdata}, at %{z:.3g}<extra></extra>"
    figure = framed(go.Figure(cells), x="Neighbour, nearest first", y="Point", height=420)
    return figure.update_yaxes(autorange="reversed")


def metric_scatter(exact: HeadMatrix, cheap: HeadMatrix, chosen: tuple[int, int] | None) -> go.Figure:
    """One point per head: does the cheap number put heads in the order of the exact one?"""
    if exact.values.shape != cheap.values.shape:
        raise ValueError(f"both metrics need the same heads. Got {exact.values.shape} and {cheap.values.shape}.")
    both = np.argwhere(np.isfinite(exact.values) & np.isfinite(cheap.values))
    x, y = cheap.values[tuple(both.T)], exact.values[tuple(both.T)]
    up = None if exact.low is None or exact.high is None else (exact.low[tuple(both.T)], exact.high[tuple(both.T)])
    figure = go.Figure(
        go.Scatter(
            x=x, y=y, mode="markers", error_y=whiskers(y, *up) if up else None, customdata=both, name="heads",
            marker={
                "color": both[:, 0], "colorscale": colours.plotly_scale(), "size": 8, "cmin": 0,
                "cmax": max(len(exact.values) - 1, 1),
                "line": {"color": colours.NEUTRAL, "width": 0.5}, "colorbar": bar_of("layer"),
            },
            hovertemplate="layer %{customdata[0]}, head %{customdata[1]}<br>%{x:.3g} against %{y:.3g}<extra></extra>",
        )
    )  # fmt: skip
    if chosen is not None and (place := np.flatnonzero((both == chosen).all(1))).size:
        figure.add_scatter(
            x=x[place], y=y[place], mode="markers", hoverinfo="skip", showlegend=False,
            marker={"size": 15, "color": "rgba(0,0,0,0)", "line": {"color": colours.CATEGORICAL[1], "width": 3}},
        )  # fmt: skip
    title = f"{named(cheap.label, cheap.unit)} — rank correlation {humane(rank_correlation(x, y))}"
    framed(figure, x=title, y=named(exact.label, exact.unit), height=380)
    figure.update_layout(clickmode="event+select")
    low, high = limits(y, exact.signed)
    return figure.update_yaxes(rangemode="tozero" if low == 0 and high > 0 else "normal")


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's, ties averaged; NaN where one of them is constant or there are fewer than three."""
    from scipy.stats import rankdata

    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])
