"""What a word listened to, and how sure the model was of it."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.words.word_confidence import WordConfidence
from analysis.words.word_shares import AnswerShares, WordShares
from ui import colours
from ui.figures.frame import framed, humane
from ui.figures.heads import layer_names
from ui.figures.rules import Look, rule


@rule.register
def _(result: WordConfidence, look: Look) -> go.Figure:
    """What could have stood in its place, the likeliest on top."""
    names = [token.strip() or repr(token) for token, _ in result.alternatives]
    values = [probability for _, probability in result.alternatives]
    figure = go.Figure(go.Bar(x=values, y=list(range(len(names))), orientation="h", marker={"color": colours.CATEGORICAL[0]}))
    figure.update_traces(text=[humane(v) for v in values], textposition="none", hovertemplate="%{text}<extra></extra>")
    figure.update_yaxes(autorange="reversed", tickvals=list(range(len(names))), ticktext=names)
    figure.update_xaxes(range=[0, 1])
    told = f"Probability of the first token; “{result.word}” as a whole {humane(result.probability)}"
    return framed(figure, x=told, height=90 + 26 * len(names))


@rule.register
def _(result: WordShares, look: Look) -> go.Figure:
    """Layer by layer, the mean over heads."""
    layers = layer_names(result.sites)
    figure = _stacked(result.groups, np.nanmean(result.values, axis=1), list(range(len(layers))))
    figure.update_xaxes(tickvals=list(range(len(layers))), ticktext=layers)
    return framed(figure, x="Layer", y=f"Share of the attention of “{result.word}”", legend=True)


@rule.register
def _(result: AnswerShares, look: Look) -> go.Figure:
    """Token by token, the mean over layers and heads."""
    figure = _stacked(result.groups, np.nanmean(result.values, axis=1), list(range(len(result.values))))
    return framed(figure, x="Token of the answer", y="Share of its attention", legend=True)


def _stacked(groups: tuple[str, ...], shares: np.ndarray, steps: list[int]) -> go.Figure:
    """Bars of shares [S, G] that add up to one."""
    figure = go.Figure()
    for number, group in enumerate(groups):
        texts = [f"{group} {humane(share, '%')}" for share in shares[:, number]]
        figure.add_bar(
            x=steps, y=shares[:, number], name=group, marker={"color": colours.category(number)}, text=texts, textposition="none",
            hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
    return figure.update_layout(barmode="stack", bargap=0.1).update_yaxes(range=[0, 1])
