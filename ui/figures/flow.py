"""Bands of attention through the layers, what each layer would say, and the word of every patch drawn on the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from analysis.results import Curve
from analysis.words.exit_curve import ExitCurve
from analysis.words.logit_lens import PatchWords
from ui import colours
from ui.figures import draw
from ui.figures.curves import line
from ui.figures.frame import CLEAR, framed, heat, humane, level, outline

if TYPE_CHECKING:
    from analysis.words import Word
    from ui.results.flow import Bands, Spoken

_BLOCK = 0.34
"""Width of a layer's blocks; what is left between two of them is the band."""
_POINTS = 16
"""Points of a layer's blocks that take clicks."""
_UNSEEN = {"marker": {"opacity": 0}}
_CURVE = 14
"""Points of the curve of a band between two layers."""
_WRITTEN = 0.08
"""Shares from this on are written into their blocks, in percent."""
_FEW_LAYERS, _FEW_CELLS, _FEW_PATCHES = 14, 260, 400


def bands_figure(found: Bands, chosen: int | None = None, height: int = 400) -> go.Figure:
    """An alluvial picture: a block per group and layer, as high as its share, and bands that join a group's blocks.

    Args:
        found: the shares.
        chosen: the layer that is outlined.
        height: pixels.
    """
    figure = go.Figure()
    tops = np.cumsum(found.shares, axis=1)
    bottoms = tops - found.shares
    at = np.arange(len(found.layers))
    for number in range(len(found.groups)):
        x, low, high = _band(at, bottoms[:, number], tops[:, number])
        figure.add_scatter(
            x=np.concatenate([x, x[::-1]]), y=np.concatenate([high, low[::-1]]), fill="toself", mode="lines",
            line={"width": 0}, fillcolor=colours.translucent(colours.category(number), 0.38), hoverinfo="skip", showlegend=False,
        )  # fmt: skip
    for number, group in enumerate(found.groups):
        shares = found.shares[:, number]
        figure.add_bar(
            x=at, y=shares, width=_BLOCK, name=group, marker={"color": colours.category(number), "line": {"width": 0}},
            hoverinfo="skip", text=[f"{100 * s:.0f}" if s >= _WRITTEN and len(at) <= _FEW_LAYERS else "" for s in shares],
            textposition="inside", insidetextanchor="middle", textangle=0, constraintext="none",
            textfont={"color": "#ffffff", "size": 12},
        )  # fmt: skip
    figure.add_trace(_blocks(found, tops))
    framed(figure, x="Layer of the decoder", y=f"Where the attention of {found.reader} goes", height=height, legend=True)
    figure.update_layout(barmode="stack", bargap=0, legend_traceorder="normal", clickmode="event+select")
    if chosen is not None and chosen in found.layers:
        place = found.layers.index(chosen)
        line_of = {"color": colours.NEUTRAL, "width": 2}
        figure.add_shape(type="rect", x0=place - _BLOCK / 2 - 0.03, x1=place + _BLOCK / 2 + 0.03, y0=0, y1=1, line=line_of)
    every = max(1, len(at) // 24)
    figure.update_xaxes(
        tickvals=at[::every].tolist(), ticktext=[str(n) for n in found.layers[::every]], showgrid=False, zeroline=False,
        range=[-0.5, len(at) - 0.5],
    )  # fmt: skip
    return figure.update_yaxes(range=[0, 1.001], tickformat=".0%", showgrid=False, zeroline=False)


def _band(at: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The lower and upper edge of a band: level along the blocks, eased between them."""
    share = np.linspace(0, 1, _CURVE)
    eased = share**2 * (3 - 2 * share)
    x, down, up = [at[:1] - _BLOCK / 2], [low[:1]], [high[:1]]
    for n in range(len(at) - 1):
        x.append(at[n] + _BLOCK / 2 + share * (1 - _BLOCK))
        down.append(low[n] + eased * (low[n + 1] - low[n]))
        up.append(high[n] + eased * (high[n + 1] - high[n]))
    return (
        np.concatenate([*x, at[-1:] + _BLOCK / 2]), np.concatenate([*down, low[-1:]]), np.concatenate([*up, high[-1:]])
    )  # fmt: skip


def _blocks(found: Bands, tops: np.ndarray) -> go.Scatter:
    """Unseen points over the blocks: they take the clicks, (layer, group), and tell the shares."""
    heights = (np.arange(_POINTS) + 0.5) / _POINTS
    places = [
        (layer, int(min(np.searchsorted(tops[layer], height), len(found.groups) - 1)), float(height))
        for layer in range(len(found.layers))
        for height in heights
    ]
    return go.Scatter(
        x=[layer for layer, _, _ in places], y=[height for _, _, height in places], mode="markers",
        marker={"color": CLEAR, "size": 22, "symbol": "square", "line": {"width": 0}}, selected=_UNSEEN, unselected=_UNSEEN,
        customdata=[(layer, group) for layer, group, _ in places], showlegend=False, name="blocks",
        text=[_told(found, layer, group) for layer, group, _ in places], hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip


def _told(found: Bands, layer: int, group: int) -> str:
    share, even = found.shares[layer, group], found.tokens[group]
    return (
        f"layer {found.layers[layer]}: {humane(share, '%')} of the attention of {found.reader} goes to the {found.groups[group]}"
        f"<br>({humane(even, '%')} if it were even over tokens)"
    )


def exit_figure(found: ExitCurve, word: Word, exit_at: int, height: int = 250) -> go.Figure:
    """The exit curve with the chosen word in it, and the layer from which the image can be hidden."""
    figure = draw(found)
    own = found.divergence[:, word.steps[0]]
    texts = [f"“{word.text}”: KL {humane(kl)}" for kl in own]
    figure.add_trace(line(found.layers, own, colours.CATEGORICAL[1], f"“{word.text}”", text=texts))
    figure.update_traces(hovertemplate="from layer %{x}: %{text}<extra></extra>", selector={"name": f"“{word.text}”"})
    level(figure, exit_at, "no longer needed", upright=True)
    layers = found.layers.tolist()
    figure.update_xaxes(tickvals=layers, ticktext=[*map(str, layers[:-1]), "never"])
    return figure.update_layout(height=height)


def lens_grid(said: Spoken, chosen: tuple[int, int] | None, height: int | None = None) -> go.Figure:
    """Layer down, word across: how likely the word already was, what would have been said; every cell can be clicked.

    Args:
        said: what each layer would say.
        chosen: (place of the layer, column) that is outlined.
        height: pixels.
    """
    values, layers = said.probability, said.reading.layers
    best = said.reading.best_texts
    would = np.array([[best[row][step][0].strip() for step in said.steps] for row in range(len(layers))], object)
    cells = heat(values, label="probability", ends=(0.0, 1.0), xgap=1, ygap=1, hoverinfo="skip")
    if values.size <= _FEW_CELLS:
        cells.text, cells.texttemplate, cells.textfont = would, "%{text}", {"size": 9}
    texts = np.array(
        [
            [
                f"input of layer {layers[row]} would say “{would[row, n]}”<br>“{word.text}” has {values[row, n]:.2f}"
                for n, word in enumerate(said.words)
            ]
            for row in range(len(layers))
        ],
        object,
    )
    figure = go.Figure([cells, _touch(texts)])
    framed(figure, y="Layer whose input is read", height=height or int(np.clip(120 + 32 * len(layers), 240, 620)))
    figure.update_xaxes(
        tickvals=list(range(len(said.words))), ticktext=[word.text for word in said.words], showgrid=False, zeroline=False,
        side="top", tickangle=-40, range=[-0.5, len(said.words) - 0.5],
    )  # fmt: skip
    names = [str(n) for n in layers[:-1]] + ["output"]
    figure.update_yaxes(
        tickvals=list(range(len(layers))), ticktext=names, showgrid=False, zeroline=False, range=[len(layers) - 0.5, -0.5]
    )
    if chosen is not None:
        outline(figure, chosen[1], chosen[0])
    return figure.update_layout(clickmode="event+select", margin={"t": 50, "b": 8})


def _touch(texts: np.ndarray) -> go.Scatter:
    """Unseen points over the cells: clicking a heat map selects nothing, clicking these says (row, column)."""
    rows, columns = (part.ravel() for part in np.indices(texts.shape))
    return go.Scatter(
        x=columns, y=rows, mode="markers", marker={"color": CLEAR, "size": 26, "symbol": "square", "line": {"width": 0}},
        selected=_UNSEEN, unselected=_UNSEEN, customdata=np.array([rows, columns]).T, text=texts.ravel(), showlegend=False,
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip


def patch_words_figure(found: PatchWords, image: np.ndarray, height: int = 440) -> go.Figure:
    """The picture with the word of each patch written on it where there is room, over how sure it is."""
    figure = draw(found, image=image)
    placed = np.flatnonzero(found.map.rows.placed)
    if len(placed) <= _FEW_PATCHES:
        boxes, size = found.map.rows.boxes[placed], found.map.size
        widest = (boxes[:, 2] - boxes[:, 0]).mean() / max(size) * height
        letters = int(np.clip(widest / 6, 3, 12))
        for place, box in zip(placed, boxes, strict=True):
            word = found.texts[place][0].strip() or "·"
            figure.add_annotation(
                x=float(box[[0, 2]].mean()), y=float(box[[1, 3]].mean()), text=word[:letters], showarrow=False,
                font={"size": 9, "color": "#ffffff", "shadow": "0 0 3px #000, 0 0 2px #000, 0 0 1px #000"},
            )  # fmt: skip
    return figure.update_layout(height=height)


def settled_figure(found: Curve, height: int = 200) -> go.Figure:
    """The share of the words that are decided by each layer."""
    figure = draw(found)
    figure.update_traces(hovertemplate="input of layer %{x}: %{y:.0%} of the words<extra></extra>")
    return figure.update_layout(height=height).update_yaxes(range=[0, 1.05], tickformat=".0%")


def flows_figure(result: object, height: int = 300) -> go.Figure:
    """The four flows, small, with their names below."""
    below = {"orientation": "v", "x": 0, "y": -0.32, "yanchor": "top", "font": {"size": 10}}
    return draw(result).update_layout(height=height, legend=below, margin={"t": 8, "b": 4})


__all__: Sequence[str] = (
    "bands_figure", "exit_figure", "flows_figure", "lens_grid", "patch_words_figure", "settled_figure",
)  # fmt: skip
