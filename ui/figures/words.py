"""What a word listened to, and how sure the model was of it."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.words.exit_curve import ExitCurve
from analysis.words.group_flow import GroupFlow
from analysis.words.logit_lens import LensReading, PatchWords
from analysis.words.word_confidence import WordConfidence
from analysis.words.word_shares import AnswerShares, WordShares
from ui import colours
from ui.figures.curves import line
from ui.figures.frame import framed, heat, humane
from ui.figures.heads import layer_names
from ui.figures.rules import Look, rule

_FEW_CELLS = 400
"""Up to so many cells, words are written into them."""


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
    return figure.update_layout(barmode="stack", bargap=0.1, legend_traceorder="normal").update_yaxes(range=[0, 1])


@rule.register
def _(result: ExitCurve, look: Look) -> go.Figure:
    """How far the answer moves when the image is hidden from a layer on; every token faint, their mean strong."""
    figure = go.Figure()
    if result.divergence.shape[1] > 1:
        each = np.concatenate([result.divergence, np.full((1, result.divergence.shape[1]), np.nan)])
        steps = np.tile([*result.layers, np.nan], result.divergence.shape[1])
        faint = {"color": colours.FAINT, "width": 1}
        figure.add_scatter(x=steps, y=each.T.ravel(), mode="lines", line=faint, name="each token", hoverinfo="skip")
    same = [
        f"KL {humane(kl)}, {humane(s, '%')} of the tokens stay"
        for kl, s in zip(result.divergence.mean(1), result.same.mean(1), strict=True)
    ]
    figure.add_trace(line(result.layers, result.divergence.mean(1), colours.CATEGORICAL[0], "mean", text=same))
    figure.update_traces(hovertemplate="from layer %{x}: %{text}<extra></extra>", selector={"name": "mean"})
    framed(figure, x="Image hidden from layer", y="Change of the choice (KL, nats)", legend=True)
    return figure.update_yaxes(rangemode="tozero")


@rule.register
def _(result: GroupFlow, look: Look) -> go.Figure:
    """The four flows that tell when the image enters the question, and both the answer."""
    flows = {
        "question from image": result.early_fusion, "within the image": result.within_image,
        "within text": result.within_text, "answer from image and question": result.reasoning,
    }  # fmt: skip
    figure = go.Figure([line(result.layers, values, colours.category(n), name) for n, (name, values) in enumerate(flows.items())])
    figure.update_traces(hovertemplate="layer %{x}: %{y:.0%}<extra>%{fullData.name}</extra>")
    framed(figure, x="Layer", y="Share of the attention", legend=True)
    return figure.update_yaxes(rangemode="tozero")


@rule.register
def _(result: LensReading, look: Look) -> go.Figure:
    """Layer by token: how likely the word that was said already was, and what would have been said."""
    probabilities = np.exp(result.log_probabilities)
    texts = [[told[0].strip() if told else "" for told in layer] for layer in result.best_texts]
    said = list(look.names) if look.names else [str(n) for n in range(probabilities.shape[1])]
    cells = heat(probabilities, label="probability", ends=(0.0, 1.0), customdata=texts, xgap=1, ygap=1)
    cells.hovertemplate = "layer %{y}: would say “%{customdata}”; what was said has %{z:.2f}<extra></extra>"
    if probabilities.size <= _FEW_CELLS:
        cells.text, cells.texttemplate = texts, "%{text}"
    figure = framed(
        go.Figure(cells), x="Token of the answer", y="Layer whose input is read", height=130 + 26 * len(result.layers)
    )
    figure.update_xaxes(tickvals=list(range(len(said))), ticktext=said, showgrid=False)
    return figure.update_yaxes(tickvals=list(range(len(result.layers))), ticktext=[str(n) for n in result.layers], showgrid=False)


@rule.register
def _(result: PatchWords, look: Look) -> go.Figure:
    """The map of how sure each patch is, with its word written where there is room."""
    figure = rule(result.map, look)
    placed = np.flatnonzero(result.map.rows.placed)
    boxes = result.map.rows.boxes[placed]
    figure.add_scatter(
        x=(boxes[:, 0] + boxes[:, 2]) / 2, y=(boxes[:, 1] + boxes[:, 3]) / 2, mode="markers",
        customdata=placed, showlegend=False,
        marker={"color": "rgba(0,0,0,0)", "size": 16, "symbol": "square"}, hovertemplate="%{text}<extra></extra>",
        text=[_told(result.texts[n], result.probabilities[n]) for n in placed],
    )  # fmt: skip
    return figure


def _told(texts: tuple[str, ...], probabilities: np.ndarray) -> str:
    return ", ".join(f"{text} {humane(share)}" for text, share in zip(texts, probabilities, strict=True))
