"""Numbers, types and small curves per head: layers down, heads across."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.head_measures import HeadMeasures
from analysis.head_types import HeadTypes
from analysis.importance_results import ByClass, PartialEffects
from analysis.results import HeadMatrix, Profile
from model_adapters import Site
from ui import colours
from ui.figures.frame import CLEAR, framed, heat, humane, limits, named, outline, whiskers
from ui.figures.rules import Look, rule

_CELL, _LEAST, _MOST, _LEGEND = 30, 220, 620, 60


@rule.register
def _(result: HeadMatrix, look: Look) -> go.Figure:
    figure = go.Figure([_cells(result), _touch(result.values.shape, _texts(result))])
    return _as_heads(figure, result.sites, result.values.shape, look.chosen, right=12)


@rule.register
def _(result: HeadTypes, look: Look) -> go.Figure:
    figure = go.Figure()
    shape = result.types.shape
    for name in _in_order(result.types):
        # One layer of cells per type gives each a legend entry; confidence is how full the colour is.
        own = np.where(result.types == name, result.confidence, np.nan)
        colour = colours.colour_of(name)
        scale = [[0, colours.translucent(colour, 0.35)], [1, colours.translucent(colour, 1)]]
        figure.add_heatmap(z=own, zmin=0, zmax=1, colorscale=scale, showscale=False, hoverinfo="skip", xgap=2, ygap=2)
        count = int((result.types == name).sum())
        figure.add_scatter(
            x=[None], y=[None], mode="markers", marker={"color": colour, "symbol": "square", "size": 10}, name=f"{name} {count}"
        )
    texts = np.array([[_type_text(result, row, head) for head in range(shape[1])] for row in range(shape[0])], object)
    figure.add_trace(_touch(shape, texts))
    return _as_heads(figure, result.sites, shape, look.chosen, legend=True)


@rule.register
def _(result: HeadMeasures, look: Look) -> go.Figure:
    layers, heads, _ = result.values.shape
    order = [(layer, head) for layer in range(layers) for head in range(heads)]
    rows = [f"{layer_names(result.sites)[layer]}.{head}" for layer, head in order]
    figure = go.Figure(heat(result.values.reshape(len(order), -1), label="share", x=list(result.names), y=rows))
    figure.update_traces(hovertemplate="head %{y}, %{x}: %{z:.2f}<extra></extra>")
    figure.update_yaxes(autorange="reversed")
    return framed(figure, x="", y="Layer.head", height=_height(len(order) // 3))


@rule.register
def _(result: ByClass, look: Look) -> go.Figure:
    classes, layers, heads = result.values.shape
    order = [f"{name}.{head}" for name in layer_names(result.sites) for head in range(heads)]
    flat = result.values.reshape(classes, layers * heads)
    figure = go.Figure(heat(flat, signed=True, label=result.label, x=order, y=[str(c) for c in result.classes]))
    figure.update_traces(hovertemplate="class %{y}, head %{x}: %{z:.3g}<extra></extra>")
    figure.update_yaxes(type="category", autorange="reversed")
    figure.update_xaxes(type="category")
    return framed(figure, x="Layer.head", y="Class", height=_height(classes))


@rule.register
def _(result: Profile, look: Look) -> go.Figure:
    return sparklines(result, look.chosen)


@rule.register
def _(result: PartialEffects, look: Look) -> go.Figure:
    figure = go.Figure()
    for place, part in enumerate(result.parts):
        low, high = (None if end is None else end[:, place] for end in (result.low, result.high))
        figure.add_bar(
            x=[f"head {head}" for head in result.heads],
            y=result.values[:, place],
            error_y=whiskers(result.values[:, place], low, high),
            name=part,
            marker={"color": colours.category(place)},
            hovertemplate="%{x}, " + part + ": %{y:.3g}<extra></extra>",
        )
    return framed(figure, x=result.site.label, y=named(result.label), legend=True)


def matrix_pair(first: HeadMatrix, second: HeadMatrix, chosen: tuple[int, int] | None) -> go.Figure:
    """Two head matrices side by side; one scale where both count in the same unit."""
    if first.values.shape != second.values.shape:
        raise ValueError(f"a pair needs matrices of one shape. Got {first.values.shape} and {second.values.shape}.")
    alike = (first.label, first.unit, first.signed) == (second.label, second.unit, second.signed)
    ends = limits(np.stack([first.values, second.values]), first.signed) if alike else None
    figure = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.06 if alike else 0.16)
    for column, matrix in enumerate((first, second), 1):
        cells = _cells(matrix, ends)
        cells.showscale = not alike or column == 2
        cells.colorbar.x = 0.42 if column == 1 else 1.0
        figure.add_trace(cells, 1, column)
        figure.add_trace(_touch(matrix.values.shape, _texts(matrix)), 1, column)
    return _as_heads(figure, first.sites, first.values.shape, chosen, pair=True)


def sparklines(profile: Profile, chosen: tuple[int, int] | None) -> go.Figure:
    """One trace holds all curves: a small area per head, shifted to its cell; subplots would take seconds."""
    layers, heads, steps = profile.values.shape
    low, high = limits(profile.values, False)
    inside = np.linspace(-0.42, 0.42, steps)
    heights = 0.4 - 0.8 * (profile.values - low) / (high - low)
    base = 0.4 - 0.8 * (0 - low) / (high - low)
    column, row = np.meshgrid(np.arange(heads), np.arange(layers))
    x = np.full((layers, heads, steps + 3), np.nan)
    y = np.full((layers, heads, steps + 3), np.nan)
    x[..., 1:-2], y[..., 1:-2] = column[..., None] + inside, row[..., None] + np.nan_to_num(heights, nan=base)
    x[..., 0], x[..., -2] = column + inside[0], column + inside[-1]
    y[..., 0] = y[..., -2] = row + base
    missing = ~np.isfinite(profile.values).any(-1)
    x[missing], y[missing] = np.nan, np.nan
    colour = colours.CATEGORICAL[4]
    figure = go.Figure(
        go.Scatter(
            x=x.ravel(), y=y.ravel(), mode="lines", fill="toself", fillcolor=colours.translucent(colour, 0.35),
            line={"color": colour, "width": 1.2}, hoverinfo="skip",
        )
    )  # fmt: skip
    figure.add_trace(_touch((layers, heads), _profile_texts(profile)))
    return _as_heads(figure, profile.sites, (layers, heads), chosen)


def _profile_texts(profile: Profile) -> np.ndarray:
    texts = np.full(profile.values.shape[:2], "", object)
    for place in np.ndindex(texts.shape):
        curve = profile.values[place]
        if np.isfinite(curve).any():
            top = int(np.nanargmax(curve))
            where = f"{profile.step_label or 'step'} {humane(profile.steps[top])}"
            texts[place] = f"{named(profile.label)}: at most {humane(curve[top], profile.unit)} at {where}"
    return texts


def _cells(matrix: HeadMatrix, ends: tuple[float, float] | None = None) -> go.Heatmap:
    return heat(
        matrix.values, signed=matrix.signed, label=matrix.label, unit=matrix.unit, ends=ends, xgap=1, ygap=1, hoverinfo="skip"
    )


def _texts(matrix: HeadMatrix) -> np.ndarray:
    texts = np.full(matrix.values.shape, "", object)
    for place in np.ndindex(texts.shape):
        if np.isfinite(matrix.values[place]):
            texts[place] = f"{named(matrix.label)}: {humane(matrix.values[place], matrix.unit)}"
            if matrix.low is not None and matrix.high is not None:
                texts[place] += f" ({humane(matrix.low[place])} to {humane(matrix.high[place])})"
    return texts


def _type_text(result: HeadTypes, row: int, head: int) -> str:
    if not result.types[row, head]:
        return ""
    return f"{result.parts[row, head] or result.types[row, head]}, confidence {humane(result.confidence[row, head])}"


def _in_order(types: np.ndarray) -> list[str]:
    found = set(types.ravel()) - {""}
    return sorted(found, key=lambda name: colours.TYPES.index(name) if name in colours.TYPES else 99)


def _touch(shape: tuple[int, ...], texts: np.ndarray) -> go.Scatter:
    """Unseen points over the cells: clicking a heat map selects nothing, clicking these says (row, head)."""
    places = [place for place in np.ndindex(*shape[:2]) if texts[place]]
    rows, columns = [p[0] for p in places], [p[1] for p in places]
    return go.Scatter(
        x=columns,
        y=rows,
        mode="markers",
        marker={"color": CLEAR, "size": 22, "symbol": "square", "line": {"width": 0}},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        customdata=np.array([rows, columns]).T,
        text=[texts[p] for p in places],
        hovertemplate="layer %{customdata[0]}, head %{customdata[1]}<br>%{text}<extra></extra>",
        showlegend=False,
        name="heads",
    )


def layer_names(sites: tuple[Site, ...]) -> list[str]:
    """The number of each row's layer, with the call where a module ran more than once."""
    return [f"{site.layer}.{site.call}" if site.call else str(site.layer) for site in sites]


def _as_heads(
    figure: go.Figure,
    sites: tuple[Site, ...],
    shape: tuple[int, ...],
    chosen: tuple[int, int] | None,
    *,
    legend: bool = False,
    pair: bool = False,
    right: int = 12,
) -> go.Figure:
    layers, heads = shape[:2]
    framed(figure, x="Head", y="Layer", height=_height(layers) + (_LEGEND if legend else 0), legend=legend, right=right)
    every = max(1, heads // (6 if pair else 16))
    figure.update_xaxes(range=[-0.5, heads - 0.5], tickvals=list(range(0, heads, every)), showgrid=False, zeroline=False)
    figure.update_yaxes(
        range=[layers - 0.5, -0.5], tickvals=list(range(layers)), ticktext=layer_names(sites), showgrid=False, zeroline=False
    )
    figure.update_layout(clickmode="event+select")
    if pair:
        figure.update_layout(yaxis2={"title": {"text": ""}})
    if chosen is not None:
        row = chosen[0] % layers if -layers <= chosen[0] < layers else layers - 1
        for axes in ({"xref": "x", "yref": "y"}, {"xref": "x2", "yref": "y2"})[: 2 if pair else 1]:
            outline(figure, min(max(chosen[1], 0), heads - 1), row, **axes)
    return figure


def _height(rows: int) -> int:
    return int(np.clip(rows * _CELL + 80, _LEAST, _MOST))


__all__ = ["layer_names", "matrix_pair", "sparklines"]
