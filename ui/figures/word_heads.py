"""What sinks, heads, layers and the order of image tokens do to an answer."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.results import HeadMatrix
from analysis.words.encoder_decoder import EncoderDecoder
from analysis.words.image_heads import AlignmentMatrix, ImageHeads
from analysis.words.knockout import Knockout
from analysis.words.patch_importance import PatchImportance
from analysis.words.path_vote import PathVote
from analysis.words.permutation import PermutationSensitivity
from analysis.words.visual_sinks import SinkContribution, VisualSinks
from ui import colours
from ui.figures.curves import line
from ui.figures.frame import framed, heat, humane, level, limits, named, whiskers
from ui.figures.heads import layer_names, matrix_pair
from ui.figures.rules import Look, rule

_DOT = {"color": "#ffffff", "size": 7, "line": {"color": "#10181c", "width": 1.5}}
"""Light in a dark ring, so that it is seen on every colour of the scale."""


@rule.register
def _(result: VisualSinks, look: Look) -> go.Figure:
    """Layer by token: how strongly each carries the sink dimensions, with a dot on the sinks that hold image."""
    names = layer_names(result.sites)
    layers = np.repeat(np.array(names, object)[:, None], result.score.shape[1], axis=1)
    cells = heat(result.score, label="sink score", customdata=layers)
    cells.hovertemplate = "layer %{customdata}, token %{x}: %{z:.3g}<extra></extra>"
    figure = go.Figure(cells)
    rows, tokens = np.nonzero(result.visual)
    figure.add_scatter(x=tokens, y=rows, mode="markers", marker=_DOT, name="sink that holds image", hoverinfo="skip")
    told = f"Token of the prompt; above {humane(result.tau)} it is a sink"
    if not result.dimensions:
        told = "Token of the prompt; no dimension is massive, so there is no sink"
    framed(figure, x=told, y="Layer", height=int(np.clip(160 + 14 * len(names), 260, 620)), legend=bool(len(rows)))
    figure.update_xaxes(showgrid=False, zeroline=False, range=[-0.5, result.score.shape[1] - 0.5])
    every = max(1, len(names) // 16)
    return figure.update_yaxes(
        range=[len(names) - 0.5, -0.5], tickvals=list(range(0, len(names), every)), ticktext=names[::every],
        showgrid=False, zeroline=False,
    )  # fmt: skip


@rule.register
def _(result: SinkContribution, look: Look) -> go.Figure:
    """What sinks get beside what they give, on one scale."""
    label = "share of the sinks"
    got, given = (HeadMatrix(values, result.sites, label=label) for values in (result.weight, result.contribution))
    return _titled(matrix_pair(got, given, look.chosen), "Head: attention to sinks", "Head: what they add")


@rule.register
def _(result: ImageHeads, look: Look) -> go.Figure:
    """Both numbers that decide, with a dot on the heads that were chosen."""
    figure = matrix_pair(result.attention, result.sink_share, look.chosen)
    rows, heads = np.nonzero(result.chosen)
    for column in (1, 2):
        figure.add_trace(
            go.Scatter(
                x=heads, y=rows, mode="markers", marker=_DOT, hoverinfo="skip", name=f"chosen: {len(rows)} heads",
                showlegend=column == 1,
            ), 1, column,
        )  # fmt: skip
    for touch in figure.select_traces({"name": "heads"}):
        touch.showlegend = False
    figure.update_layout(showlegend=True, margin={"t": 28}, legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"})
    return _titled(figure, f"Head: {result.attention.label}", f"Head: {result.sink_share.label}")


def _titled(figure: go.Figure, first: str, second: str) -> go.Figure:
    """What each of a pair shows, below it."""
    figure.update_xaxes(title={"text": first}, row=1, col=1)
    return figure.update_xaxes(title={"text": second}, row=1, col=2)


@rule.register
def _(result: AlignmentMatrix, look: Look) -> go.Figure:
    """Image layer down, text layer across; the last is the output of the last layer."""
    layers = list(result.layers)
    cells = heat(result.values, signed=True, label="cosine", ends=limits(result.values, True), x=layers, y=layers)
    cells.hovertemplate = "image at layer %{y}, text at layer %{x}: %{z:.2f}<extra></extra>"
    figure = framed(go.Figure(cells), x="Layer of the text", y="Layer of the image", height=420)
    shown = layers[:: max(1, len(layers) // 16)]
    figure.update_xaxes(showgrid=False, zeroline=False, tickvals=shown)
    return figure.update_yaxes(showgrid=False, zeroline=False, tickvals=shown, autorange="reversed")


@rule.register
def _(result: Knockout, look: Look) -> go.Figure:
    """A curve per route that was cut."""
    figure = go.Figure(
        [line(result.layers, each, colours.category(n), name) for n, (name, each) in enumerate(result.drops.items())]
    )
    figure.update_traces(hovertemplate="layer %{x}: %{y:.3g} nats<extra>%{fullData.name}</extra>")
    cut = "Layer that is cut" if result.window == 1 else f"First of {result.window} layers that are cut"
    framed(figure, x=cut, y=f"Fall of “{result.word}” (log-probability, nats)", legend=True)
    return figure.update_yaxes(rangemode="tozero")


@rule.register
def _(result: PatchImportance, look: Look) -> go.Figure:
    """Layer by part of the image, row by row of the grid."""
    side, layers = round(result.values.shape[1] ** 0.5), list(result.layers)
    places = [f"row {cell // side}, column {cell % side}" for cell in range(result.values.shape[1])]
    told = np.repeat(np.array(places, object)[None], len(layers), axis=0)
    ends = limits(result.values, True)
    cells = heat(result.values, signed=True, label="per cent", ends=ends, y=layers, customdata=told)
    cells.hovertemplate = "layer %{y}, %{customdata}: %{z:.3g} per cent<extra></extra>"
    what = f"Part of the image, row by row; noise there takes so much of “{result.word}” (per cent of its probability)"
    height = int(np.clip(160 + 26 * len(layers), 260, 620))
    figure = framed(go.Figure(cells), x=what, y="Noise at the input of layer", height=height)
    figure.update_xaxes(showgrid=False, zeroline=False)
    shown = layers[:: max(1, len(layers) // 16)]
    return figure.update_yaxes(showgrid=False, zeroline=False, tickvals=shown, autorange="reversed")


@rule.register
def _(result: PathVote, look: Look) -> go.Figure:
    """A bar per answer, made of the votes of each view."""
    views = sorted({path.view for path in result.paths})
    votes = {view: [_votes(result, view, said) for said in result.answers] for view in views}
    figure = go.Figure(
        [go.Bar(x=list(result.answers), y=each, name=f"view {view + 1}", marker={"color": colours.category(number)})
         for number, (view, each) in enumerate(votes.items())]
    )  # fmt: skip
    figure.update_traces(hovertemplate="%{x}: %{y:.3g}<extra>%{fullData.name}</extra>")
    figure.update_layout(barmode="stack")
    return framed(figure, x="Answer", y="Votes", legend=len(views) > 1)


def _votes(result: PathVote, view: int, said: str) -> float:
    return sum(path.probability * path.certainty for path in result.paths if (path.view, path.said) == (view, said))


@rule.register
def _(result: EncoderDecoder, look: Look) -> go.Figure:
    """Layer by layer, beside the overlap of random tokens."""
    shown = {"rank correlation": result.spearman, f"overlap of the top {result.top}": result.overlap}
    figure = go.Figure([line(result.layers, each, colours.category(n), name) for n, (name, each) in enumerate(shown.items())])
    figure.update_traces(hovertemplate="layer %{x}: %{y:.2f}<extra>%{fullData.name}</extra>")
    level(figure, result.chance, f"overlap by chance {humane(result.chance)}")
    framed(figure, x="Layer of the decoder", y="Agreement with the vision tower", legend=True)
    return figure.update_yaxes(rangemode="tozero")


@rule.register
def _(result: PermutationSensitivity, look: Look) -> go.Figure:
    """The mean fall of every token, with the least and the most of the orders that were tried."""
    draws, length = result.drops.shape
    means, low, high = result.drops.mean(0), result.drops.min(0), result.drops.max(0)
    texts = [
        f"{humane(mean)} nats ({humane(a)} to {humane(b)})<br>stays the likeliest in {humane(kept, '%')}"
        for mean, a, b, kept in zip(means, low, high, result.same.mean(0), strict=True)
    ]
    figure = go.Figure(
        go.Bar(
            x=list(range(length)), y=means, error_y=whiskers(means, low, high), marker={"color": colours.CATEGORICAL[0]},
            text=texts, textposition="none", hovertemplate="%{text}<extra></extra>",
        )
    )  # fmt: skip
    if look.names:
        figure.update_xaxes(tickvals=list(range(length)), ticktext=list(look.names))
    orders = "1 order" if draws == 1 else f"mean, least and most of {draws} orders"
    return framed(figure, x=f"Token of the answer; {orders}", y=named("fall of the log-probability", "nats"))
