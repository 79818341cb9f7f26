"""Pictures of one head: its rings on the image, its pattern, its ranks, the answer with and without it; layers by hops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from analysis.results import Profile
from ui import colours
from ui.figures.frame import CLEAR, framed, heat, named
from ui.figures.pixels import picture_trace
from ui.figures.rules import Look, rule
from ui.results.token_names import token_name
from ui.sentences import probability

if TYPE_CHECKING:
    from model_adapters import Rows
    from ui.results.passport import Kind, Without
    from ui.results.strength import Rings

_ROW = 22
_THIS = colours.CATEGORICAL[1]
_GAP = 12
"""Pixels between two pictures beside each other."""


def trend_map(profile: Profile) -> go.Figure:
    """Layers by hops: how far a layer's heads look on average."""
    layers = [f"{site.layer}.{site.call}" if site.call else str(site.layer) for site in profile.sites]
    cells = heat(profile.values.mean(1), label=profile.label, unit=profile.unit, xgap=1, ygap=1)
    cells.hovertemplate = "layer %{y}, %{x} hops away: %{z:.3g}<extra></extra>"
    figure = go.Figure(cells)
    framed(figure, x="Hops", y="Layer", height=int(np.clip(26 * len(layers) + 80, 220, 560)))
    figure.update_traces(x=[str(int(step)) for step in profile.steps], y=layers)
    figure.update_xaxes(type="category", showgrid=False)
    return figure.update_yaxes(type="category", autorange="reversed", showgrid=False)


def rings_on_image(rings: Rings, queries: Rows, image: np.ndarray, numbers: Sequence[int]) -> go.Figure:
    """One patch's rings over the picture; every patch can be clicked, and carries (row, 0).

    Args:
        rings: of one patch.
        queries: all rows of the site.
        image: [height, width, 3] uint8.
        numbers: the rows that lie on the picture.
    """
    figure = rule(rings.map, Look(image=image))
    x0, y0, x1, y1 = (float(side) for side in queries.boxes[rings.row])
    for colour, width in (("#10181c", 5), ("#ffffff", 2)):
        figure.add_shape(type="rect", x0=x0, x1=x1, y0=y0, y1=y1, line={"color": colour, "width": width})
    boxes = queries.boxes[np.asarray(numbers)]
    figure.add_scatter(
        x=(boxes[:, 0] + boxes[:, 2]) / 2, y=(boxes[:, 1] + boxes[:, 3]) / 2, mode="markers", showlegend=False,
        marker={"color": CLEAR, "size": 14, "symbol": "square", "line": {"width": 0}},
        selected={"marker": {"opacity": 0}}, unselected={"marker": {"opacity": 0}},
        customdata=[(int(number), 0) for number in numbers], text=[token_name(queries, int(number)) for number in numbers],
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip
    _bar_above(figure)
    return figure.update_layout(height=270, margin={"t": 34}, clickmode="event+select")


def _bar_above(figure: go.Figure) -> None:
    """The scale over the picture: beside it, it would take half of a narrow column."""
    above = {"orientation": "h", "x": 0.5, "y": 1.02, "yanchor": "bottom", "thickness": 10, "nticks": 4, "title": {"text": ""}}
    figure.update_traces(colorbar=above, selector={"type": "heatmap"})


def ring_bars(rings: Rings) -> go.Figure:
    """What one patch gives to each ring, beside the head's mean patch."""
    hops = np.arange(len(rings.mass))
    figure = go.Figure(go.Bar(x=hops, y=rings.mass, name="this patch", marker={"color": colours.CATEGORICAL[1]}))
    figure.add_scatter(
        x=hops, y=rings.usual, name="mean patch", mode="lines+markers", line={"color": colours.NEUTRAL, "width": 2}
    )
    figure.update_traces(hovertemplate="%{x} hops: %{y:.3f}<extra></extra>")
    framed(figure, x="Hops away", y="Mass of the ring", height=190, legend=True)
    return figure.update_yaxes(rangemode="tozero")


def ring_curve(profile: Profile, row: int, head: int) -> go.Figure:
    """One head's weight by hops, beside the mean head of its tower."""
    figure = go.Figure(go.Bar(x=profile.steps, y=profile.values[row, head], name="this head", marker={"color": _THIS}))
    mean = np.nanmean(profile.values.reshape(-1, len(profile.steps)), axis=0)
    figure.add_scatter(x=profile.steps, y=mean, name="mean head", mode="lines+markers", line={"color": colours.NEUTRAL})
    figure.update_traces(hovertemplate="%{x} hops: %{y:.3f}<extra></extra>")
    framed(figure, x="Hops away", y=named(profile.label), height=270, legend=True)
    return figure.update_yaxes(rangemode="tozero")


def evidence(kind: Kind) -> go.Figure:
    """The measures that a type is told by, and the thresholds that they have to pass."""
    names = [name for name, _, _ in kind.evidence]
    values, limits = [value for _, value, _ in kind.evidence], [limit for _, _, limit in kind.evidence]
    shades = [
        colours.colour_of(name) if value >= limit else colours.translucent(colours.NEUTRAL, 0.45)
        for name, value, limit in kind.evidence
    ]
    figure = go.Figure(
        go.Bar(
            x=values, y=names, orientation="h", marker={"color": shades}, name="measure", customdata=limits,
            hovertemplate="%{y}: %{x:.2f}, threshold %{customdata:.2f}<extra></extra>",
        )
    )  # fmt: skip
    mark = {"symbol": "line-ns", "size": 14, "line": {"width": 2, "color": colours.NEUTRAL}}
    figure.add_scatter(x=limits, y=names, mode="markers", marker=mark, name="threshold", hoverinfo="skip")
    framed(figure, x="0 is even, 1 is all", height=70 + 21 * len(names))
    figure.update_layout(margin={"t": 4})
    return figure.update_yaxes(type="category", autorange="reversed", showgrid=False)


def pattern(values: np.ndarray) -> go.Figure:
    """One head's mean pattern, the query in the middle."""
    rows, columns = ((size - 1) // 2 for size in values.shape)
    cells = heat(values, x=np.arange(-columns, columns + 1), y=np.arange(-rows, rows + 1))
    cells.hovertemplate = "%{y} down, %{x} right: %{z:.2g}<extra></extra>"
    figure = go.Figure(cells)
    framed(figure, x="Patches right", y="Patches down", height=270)
    _bar_above(figure)
    figure.update_layout(margin={"t": 34})
    figure.update_xaxes(constrain="domain", showgrid=False)
    return figure.update_yaxes(autorange="reversed", scaleanchor="x", constrain="domain", showgrid=False)


def rank_dots(names: Sequence[str], places: Sequence[int], of: int, exact: Sequence[bool]) -> go.Figure:
    """A head's place by each metric, the most important to the right; exact metrics are full dots."""
    figure = go.Figure()
    for is_exact, label, colour, symbol in ((True, "exact", 1, "circle"), (False, "cheap", 3, "diamond-open")):
        here = [n for n, one in enumerate(exact) if one == is_exact]
        figure.add_scatter(
            x=[places[n] for n in here], y=[names[n] for n in here], mode="markers", name=label,
            marker={"color": colours.CATEGORICAL[colour], "size": 10, "symbol": symbol},
            hovertemplate="%{y}: place %{x} of " + str(of) + "<extra></extra>",
        )  # fmt: skip
    framed(figure, x=f"Place among {of} heads", height=70 + _ROW * len(names), legend=True)
    figure.update_xaxes(range=[of + 1, 0])
    return figure.update_yaxes(type="category", categoryorder="array", categoryarray=list(names)[::-1])


def before_after(found: Without) -> go.Figure:
    """Probabilities with and without a head."""
    figure = go.Figure()
    for values, label, colour in ((found.before, "as it is", _THIS), (found.after, "without it", colours.CATEGORICAL[3])):
        figure.add_bar(
            x=values, y=list(found.names), orientation="h", name=label, marker={"color": colour},
            text=[probability(value) for value in values], textposition="outside", cliponaxis=False,
            hovertemplate="%{y}, " + label + ": %{x:.3f}<extra></extra>",
        )  # fmt: skip
    framed(figure, x=named("probability"), height=70 + 2 * _ROW * len(found.names), legend=True)
    figure.update_layout(bargap=0.25)
    figure.update_xaxes(range=[0, 1.4], tickvals=[0, 0.5, 1])
    return figure.update_yaxes(type="category", autorange="reversed", showgrid=False)


def beside(images: Sequence[Image.Image], names: Sequence[str]) -> go.Figure:
    """Pictures in one row, each with its name below."""
    starts = np.cumsum([0, *(image.width + _GAP for image in images)])
    strip = np.full((max(image.height for image in images), starts[-1] - _GAP, 3), 255, np.uint8)
    for start, image in zip(starts, images, strict=False):
        strip[: image.height, start : start + image.width] = np.asarray(image.convert("RGB"))
    figure = framed(go.Figure(picture_trace(Image.fromarray(strip))), height=200)
    middles = [float(start + image.width / 2) for start, image in zip(starts, images, strict=False)]
    figure.update_xaxes(tickvals=middles, ticktext=list(names), showgrid=False, constrain="domain")
    return figure.update_yaxes(visible=False, scaleanchor="x", constrain="domain")
