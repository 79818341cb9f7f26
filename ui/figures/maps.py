"""Numbers that lie on the image, and patterns with the query in the middle."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from analysis.patterns import AlignedMaps
from analysis.position_artefact import PositionArtefact
from analysis.projections import PatchColours
from analysis.results import TokenMap
from model_adapters import Rows
from ui import colours
from ui.figures.frame import framed, heat, humane, named
from ui.figures.pixels import cells_of, picture_trace
from ui.figures.rules import Look, rule

_GAP = 1


@rule.register
def _(result: TokenMap, look: Look) -> go.Figure:
    (width, height), cells = result.size, cells_of(result.rows.boxes[result.rows.placed], result.size)
    step = width / cells[0], height / cells[1]
    placed = {"x0": step[0] / 2, "dx": step[0], "y0": step[1] / 2, "dy": step[1]}
    figure = go.Figure()
    if look.image is not None:
        # The picture lies below in grey light, so that colour belongs to the map alone.
        figure.add_trace(picture_trace(Image.fromarray(look.image), result.size))
    painted = heat(result.raster(cells), signed=result.signed, label=result.label, unit=result.unit, **placed)
    painted.opacity = 1.0 if look.image is None else 0.6
    painted.hovertemplate = "%{z:.3g}<extra></extra>"
    figure.add_trace(painted)
    return _on_picture(figure, result.size)


def _on_picture(figure: go.Figure, size: tuple[int, int], height: int = 440) -> go.Figure:
    framed(figure, height=height)
    figure.update_xaxes(range=[0, size[0]], visible=False, constrain="domain")
    figure.update_yaxes(range=[size[1], 0], visible=False, scaleanchor="x", constrain="domain")
    return figure.update_layout(margin={"l": 8, "r": 8, "t": 8, "b": 8})


@rule.register
def _(result: AlignedMaps, look: Look) -> go.Figure:
    """All patterns as small maps in one picture, each on its own scale: shape counts here, not strength."""
    mosaic, columns, (rows_each, columns_each) = _mosaic(result)
    layers = sorted({(site.layer, site.call) for site, _ in result.heads})
    figure = go.Figure(heat(mosaic, label="share of largest", ends=(0.0, 1.0), hoverinfo="skip"))
    places = [_place(result, n, columns, layers) for n in range(len(result.heads))]
    figure.add_scatter(
        x=[c * (columns_each + _GAP) + columns_each / 2 for _, c in places],
        y=[r * (rows_each + _GAP) + rows_each / 2 for r, _ in places],
        mode="markers", marker={"color": "rgba(0,0,0,0)", "size": 20, "symbol": "square"}, showlegend=False,
        customdata=[(layers.index((site.layer, site.call)), head) for site, head in result.heads],
        hovertemplate="layer %{customdata[0]}, head %{customdata[1]}<extra></extra>",
    )  # fmt: skip
    framed(figure, x="Head", y="Layer", height=min(640, 80 + 34 * len(layers)))
    figure.update_xaxes(
        tickvals=[n * (columns_each + _GAP) + columns_each / 2 for n in range(columns)],
        ticktext=list(range(columns)),
        showgrid=False,
    )
    figure.update_yaxes(
        tickvals=[n * (rows_each + _GAP) + rows_each / 2 for n in range(len(layers))],
        ticktext=[str(layer) for layer, _ in layers], autorange="reversed", showgrid=False, scaleanchor="x", constrain="domain",
    )  # fmt: skip
    return figure.update_layout(clickmode="event+select")


def _place(result: AlignedMaps, number: int, columns: int, layers: list[tuple[int, int]]) -> tuple[int, int]:
    site, head = result.heads[number]
    return layers.index((site.layer, site.call)), head


def _mosaic(result: AlignedMaps) -> tuple[np.ndarray, int, tuple[int, int]]:
    layers = sorted({(site.layer, site.call) for site, _ in result.heads})
    columns = max(head for _, head in result.heads) + 1
    rows_each, columns_each = result.values.shape[1:]
    whole = np.full((len(layers) * (rows_each + _GAP) - _GAP, columns * (columns_each + _GAP) - _GAP), np.nan)
    for number, pattern in enumerate(result.values):
        row, column = _place(result, number, columns, layers)
        top, left = row * (rows_each + _GAP), column * (columns_each + _GAP)
        largest = np.nanmax(pattern) if np.isfinite(pattern).any() else 1.0
        whole[top : top + rows_each, left : left + columns_each] = pattern / (largest or 1.0)
    return whole, columns, (rows_each, columns_each)


@rule.register
def _(result: PositionArtefact, look: Look) -> go.Figure:
    lengths = np.linalg.norm(result.mean, axis=1)
    if result.rows is not None and result.rows.placed.any():
        figure = rule(TokenMap(lengths, result.rows, _extent(result.rows), label="length of the mean feature"), look)
    else:
        figure = framed(
            go.Figure(go.Bar(x=np.arange(len(lengths)), y=lengths, marker={"color": colours.CATEGORICAL[0]})), x="Token"
        )
    text = f"Position alone explains {humane(result.explained, '%')} of the variance"
    return figure.update_xaxes(visible=True, showticklabels=False, showgrid=False, title={"text": text})


def _extent(rows: Rows) -> tuple[int, int]:
    """(width, height) that holds all boxes."""
    right, bottom = np.nanmax(rows.boxes[:, 2:], axis=0)
    return int(np.ceil(right)), int(np.ceil(bottom))


@rule.register
def _(result: PatchColours, look: Look) -> go.Figure:
    """Patches in their colours, row by row as they come: one strip of the grid per image."""
    strips = []
    for image in result.colours:
        patches = image[np.isfinite(image).all(1)]
        side = int(round(len(patches) ** 0.5))
        rows = side if side * side == len(patches) else 1
        strips += [patches.reshape(rows, -1, 3), np.ones((1, len(patches) // rows, 3))]
    picture = np.round(255 * np.concatenate(strips[:-1])).astype(np.uint8)
    figure = framed(go.Figure(go.Image(z=picture, hoverinfo="skip")), height=440)
    shares = ", ".join(humane(share, "%") for share in result.explained)
    figure.update_xaxes(
        showticklabels=False, showgrid=False, title={"text": f"{named('red, green, blue')} tell {shares} of the variance"}
    )
    return figure.update_yaxes(visible=False, scaleanchor="x", constrain="domain")
