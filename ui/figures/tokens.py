"""Tokens: lengths, sinks, massive numbers, and which of them survive."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.massive import MassiveActivations
from analysis.sinks import SinkTokens, TokenNorms
from analysis.token_plan import TokenPlan
from ui import colours
from ui.figures.curves import line
from ui.figures.frame import band, framed, humane, level, named
from ui.figures.rules import Look, rule


@rule.register
def _(result: TokenNorms, look: Look) -> go.Figure:
    """The spread of lengths layer by layer: half of the tokens, nearly all, and the longest."""
    layers = list(result.layers)
    flat = result.values.reshape(len(layers), -1)
    low, quarter, middle, upper, high = np.nanquantile(flat, [0.05, 0.25, 0.5, 0.75, 0.95], axis=1)
    colour = colours.CATEGORICAL[0]
    figure = go.Figure([band(layers, low, high, colour, "90 %"), band(layers, quarter, upper, colour, "50 %")])
    figure.add_trace(line(layers, middle, colour, "median"))
    figure.add_trace(line(layers, np.nanmax(flat, 1), colours.CATEGORICAL[1], "longest"))
    framed(figure, x="Layer whose input it is", y="Length of the hidden state", legend=True)
    return figure.update_yaxes(rangemode="tozero")


@rule.register
def _(result: SinkTokens, look: Look) -> go.Figure:
    """The histogram and the cut through it."""
    edges, counts = result.threshold.edges, result.threshold.counts
    above = edges[1:] > result.threshold.value
    middle = (edges[:-1] + edges[1:]) / 2
    shades = [colours.CATEGORICAL[1] if high else colours.CATEGORICAL[0] for high in above]
    texts = [f"{humane(a)} to {humane(b)}: {n} tokens" for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)]
    figure = go.Figure(
        go.Bar(x=middle, y=counts, width=np.diff(edges), marker={"color": shades}, text=texts, textposition="none")
    )
    figure.update_traces(hovertemplate="%{text}<extra></extra>")
    text = (
        f"{'set' if result.threshold.given else 'found'} at {humane(result.threshold.value)}: {humane(result.share, '%')} above"
    )
    framed(figure, x=named(result.label), y="Tokens").update_layout(margin={"t": 24})
    if (edges > 0).all():
        figure.update_xaxes(type="log", range=[float(np.log10(edges[0])), float(np.log10(edges[-1]))])
    level(figure, result.threshold.value, text, upright=True)
    return figure.update_yaxes(rangemode="tozero")


@rule.register
def _(result: MassiveActivations, look: Look) -> go.Figure:
    """The largest magnitude of each layer beside the median one."""
    layers = list(result.layers)
    figure = go.Figure()
    for rank in range(min(3, result.values.shape[1])):
        texts = [
            f"dimension {d}, token {t}, image {i}: {humane(v)}{', massive' if m else ''}"
            for d, t, i, v, m in zip(
                result.dims[:, rank], result.tokens[:, rank], result.images[:, rank], result.values[:, rank],
                result.is_massive[:, rank], strict=True,
            )
        ]  # fmt: skip
        name = ("largest", "second", "third")[rank]
        figure.add_trace(line(layers, np.abs(result.values[:, rank]), colours.category(rank), name, text=texts))
    figure.add_trace(line(layers, result.medians, colours.NEUTRAL, "median", text=[humane(m) for m in result.medians]))
    figure.update_traces(hovertemplate="layer %{x}: %{text}<extra></extra>")
    framed(figure, x="Layer", y="Magnitude (logarithmic)", legend=True)
    return figure.update_yaxes(type="log")


@rule.register
def _(result: TokenPlan, look: Look) -> go.Figure:
    """How many tokens are left after each step."""
    counts = np.asarray(result.counts)
    names = ["start", *(f"layer {step.layer}" for step in result.steps)]
    figure = go.Figure(
        go.Bar(
            x=names,
            y=counts,
            marker={"color": colours.CATEGORICAL[0]},
            text=counts,
            hovertemplate="%{x}: %{y} tokens<extra></extra>",
        )
    )
    return framed(figure, x="After the step in", y="Tokens that are left")
