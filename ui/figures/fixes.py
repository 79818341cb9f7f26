"""Fixes: how likely each word is with and without one, and what it is worth over many pictures."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.evaluation import ChairResult, Figure, PopeResult
from ui import colours
from ui.figures.bars import forest
from ui.figures.frame import framed, humane, whiskers
from ui.figures.rules import Look, rule
from ui.results.fix import WordLogs
from ui.results.fix_measured import FixMeasured

_ROW = 17
"""Pixels of a word."""
NEW, KEPT = colours.CATEGORICAL[1], colours.CATEGORICAL[0]


@rule.register
def _(result: WordLogs, look: Look) -> go.Figure:
    """A row per word: to the model under the fix, and to the model as it is, which reads the same words."""
    places = np.arange(len(result.words))
    texts = [
        f"“{word}”: log-probability {own:.2f}" + (f", without the fix {plain:.2f}" if result.fix else "")
        for word, own, plain in zip(result.words, result.own, result.plain, strict=True)
    ]
    shades = [KEPT if same else NEW for same in result.same]
    joins = np.stack([result.plain, result.own, np.full(len(places), np.nan)], 1).ravel()
    figure = go.Figure(
        go.Scatter(
            x=joins, y=np.repeat(places, 3), mode="lines", line={"color": colours.NEUTRAL, "width": 1.5}, hoverinfo="skip",
            showlegend=False,
        )
    )  # fmt: skip
    shared = {"y": places, "text": texts, "hovertemplate": "%{text}<extra></extra>", "mode": "markers"}
    bare = {"symbol": "diamond", "size": 8, "color": colours.NEUTRAL}
    if result.fix:
        figure.add_scatter(x=result.plain, name="without", marker=bare, **shared)
    figure.add_scatter(x=result.own, name="with the fix", marker={"size": 8, "color": shades}, **shared)
    framed(figure, x="Log-probability", height=86 + _ROW * len(places), legend=bool(result.fix))
    ticks = {"tickvals": places, "ticktext": list(result.words), "range": [len(places) - 0.5, -0.5], "tickfont": {"size": 11}}
    return figure.update_yaxes(showgrid=False, zeroline=False, **ticks)


@rule.register
def _(result: FixMeasured, look: Look) -> go.Figure:
    """Every share without and with the fix, with its interval over pictures."""
    pairs = [pair for pair in result.pairs if pair.share]
    names = [pair.name for pair in pairs]
    figure = go.Figure()
    ways = (("without", "plain", colours.NEUTRAL, 0.16), ("with the fix", "fixed", colours.CATEGORICAL[0], -0.16))
    for name, way, colour, off in ways:
        figures = [getattr(pair, way) for pair in pairs]
        values, low, high = (np.array([getattr(f, end) for f in figures], float) for end in ("value", "low", "high"))
        told = [f"{humane(f.value, '%')} ({humane(f.low, '%')} to {humane(f.high, '%')})" for f in figures]
        texts = [f"{what}, {name}: {number}" for what, number in zip(names, told, strict=True)]
        figure.add_scatter(
            x=values, y=np.arange(len(pairs)) - off, mode="markers", marker={"color": colour, "size": 9}, name=name, text=texts,
            error_x=whiskers(values, low, high), hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
    framed(figure, x="Share", height=110 + 34 * len(pairs), legend=True)
    figure.update_xaxes(tickformat=".0%", range=[-0.02, 1.02])
    ticks = {"tickvals": list(range(len(names))), "ticktext": names, "range": [len(names) - 0.5, -0.5]}
    return figure.update_yaxes(showgrid=False, zeroline=False, **ticks)


@rule.register
def _(result: PopeResult, look: Look) -> go.Figure:
    """Every share with its interval, under the official rule."""
    return _shares(result.figures(), f"POPE, {result.kind}")


@rule.register
def _(result: ChairResult, look: Look) -> go.Figure:
    """CHAIR and recall; lengths are no shares and stand in the table."""
    return _shares({name: figure for name, figure in result.figures().items() if name not in ("mentions", "words")}, "CHAIR")


def _shares(figures: dict[str, Figure], label: str) -> go.Figure:
    known = {name: figure for name, figure in figures.items() if np.isfinite(figure.value)}
    values, low, high = ([getattr(figure, end) for figure in known.values()] for end in ("value", "low", "high"))
    return forest(list(known), values, low, high, label=label)
