"""What steps did to each word of an answer."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from ui import colours
from ui.figures.frame import framed
from ui.figures.rules import Look, rule
from ui.results.whatif import WordChanges

_ROW = 19
"""Pixels of a word."""


@rule.register
def _(result: WordChanges, look: Look) -> go.Figure:
    """A bar per word, to the left where it lost; hovering tells both log-probabilities."""
    places = np.arange(len(result.words))
    told = [
        f"“{word}”: log-probability {was:.2f} before, {now:.2f} after"
        for word, was, now in zip(result.words, result.before, result.after, strict=True)
    ]
    lost, won = colours.CATEGORICAL[:2]
    figure = go.Figure(
        go.Bar(
            x=result.change, y=places, orientation="h", marker={"color": [lost if c < 0 else won for c in result.change]},
            text=told, textposition="none", hovertemplate="%{text}<extra></extra>", showlegend=False,
        )
    )  # fmt: skip
    framed(figure, x="Change of log-probability, nats", height=78 + _ROW * len(places))
    reach = max(float(np.abs(result.change).max(initial=0)) * 1.08, 0.1)
    figure.update_xaxes(range=[-reach, reach], zeroline=True)
    ticks = {"tickvals": places, "ticktext": list(result.words), "range": [len(places) - 0.5, -0.5], "tickfont": {"size": 11}}
    return figure.update_yaxes(showgrid=False, zeroline=False, **ticks)
