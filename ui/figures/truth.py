"""The signals of a word, each as a dot on two distributions; what a combined score makes of them; a list of many words."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from analysis.results import Parts
from ui import colours
from ui.figures import draw
from ui.figures.frame import framed, humane
from ui.truth_sentences import auroc, place

if TYPE_CHECKING:
    from ui.results.truth import Places

TRUE, MADE_UP = colours.CATEGORICAL[0], colours.CATEGORICAL[1]
_ROW, _BINS, _HIGH = 34, 48, 0.42
_LETTERS = 22
"""Of a signal's name in one line."""
_ENDS = (0.01, 0.99)
"""The quantiles that a row shows; what lies further out is drawn at its edge."""


def places_figure(found: Places, titles: Mapping[str, str]) -> go.Figure:
    """A row per signal: true words above its line, those made up below it, and the word as a dot; doubt grows to the right.

    Args:
        found: the signals of a word and the words that they are held against.
        titles: what signals are called.
    """
    figure = go.Figure()
    dots, texts = [], []
    for row, (name, value) in enumerate(zip(found.names, found.values, strict=True)):
        true, made_up = (found.reference.of(name, kind) for kind in (False, True))
        edges = _edges(np.concatenate([true, made_up]), value)
        for values, side, colour, label in ((true, -1, TRUE, "true words"), (made_up, 1, MADE_UP, "made-up words")):
            if len(values):
                figure.add_trace(_hill(values, edges, row, side, colour, f"{label} ({len(values)})", row == 0))
        dots.append(float(np.clip((value - edges[0]) / (edges[-1] - edges[0]), 0, 1)))
        less, more = found.reference.shares(name, value, False)
        bad, _ = found.reference.shares(name, value, True)
        texts.append(
            f"{titles.get(name, name)}: {humane(value)}<br>{place(name, titles.get(name, name), less, more)}"
            f"<br>doubted more than {humane(bad, '%')} of made-up words<br>AUROC {auroc(*found.reference.separation[name])}"
        )
    _dots(figure, dots, texts, found.word)
    return _rows(figure, found, titles)


def _edges(values: np.ndarray, value: float) -> np.ndarray:
    low, high = np.quantile(values, _ENDS)
    low, high = min(low, value), max(high, value)
    room = 0.02 * (high - low) or 1e-6
    return np.linspace(low - room, high + room, _BINS + 1)


def _hill(values: np.ndarray, edges: np.ndarray, row: int, side: int, colour: str, name: str, named: bool) -> go.Scatter:
    """A smoothed histogram as one outline that stands on the row's line, or hangs from it."""
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    kernel = np.exp(-0.5 * (np.arange(-4, 5) / 1.6) ** 2)
    smooth = np.convolve(np.pad(counts.astype(float), 4, mode="edge"), kernel / kernel.sum(), mode="valid")
    smooth = (smooth / max(smooth.max(), 1e-12)) ** 0.75  # below 1, so that thin tails can be seen
    x = (np.arange(_BINS) + 0.5) / _BINS
    y = row + side * (0.03 + _HIGH * smooth)
    base = np.full(_BINS, row + side * 0.03)
    return go.Scatter(
        x=np.concatenate([x, x[::-1]]), y=np.concatenate([y, base]), fill="toself", mode="lines", line={"width": 0},
        fillcolor=colours.translucent(colour, 0.55), hoverinfo="skip", name=name, legendgroup=name, showlegend=named,
    )  # fmt: skip


def _dots(figure: go.Figure, at: list[float], texts: list[str], word: str) -> None:
    marker = {"size": 12, "color": "#ffffff", "line": {"color": "#10181c", "width": 2.5}}
    figure.add_scatter(
        x=at, y=list(range(len(at))), mode="markers", marker=marker, text=texts, hovertemplate="%{text}<extra></extra>",
        name=f"“{word}”",
    )  # fmt: skip


def _rows(figure: go.Figure, found: Places, titles: Mapping[str, str]) -> go.Figure:
    height = 96 + _ROW * max(len(found.names), 2)
    framed(figure, x="looks right  →  to be doubted", height=height, legend=True)
    names = ["<br>".join(wrap(titles.get(name, name), _LETTERS)) for name in found.names]
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=names, tickfont={"size": 11}, range=[len(names) - 0.45, -0.55],
        showgrid=False, zeroline=False,
    )  # fmt: skip
    figure.update_xaxes(range=[-0.02, 1.02], showticklabels=False, zeroline=False)
    for row, name in enumerate(found.names):
        value, low, high = found.reference.separation[name]
        fails = not low > 0.5
        figure.add_annotation(
            x=1.0, xref="paper", xanchor="left", y=row, yref="y", showarrow=False, align="left",
            text=f"{humane(value)}{' ✗' if fails else ''}",
            font={"size": 11, "color": colours.NEUTRAL if fails else None},
        )  # fmt: skip
    head = {"xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom", "showarrow": False}
    figure.add_annotation(x=1.0, y=1.0, text="AUROC", font={"size": 11}, **head)
    return figure.update_layout(margin={"r": 62})


def parts_figure(parts: Parts, titles: Mapping[str, str]) -> go.Figure:
    """What each signal of a word adds to the logarithm of the odds that it is made up."""
    named = Parts(tuple(titles.get(name, name) for name in parts.names), parts.values, parts.total, parts.label)
    figure = draw(named)
    return figure.update_layout(height=min(figure.layout.height, 430))
