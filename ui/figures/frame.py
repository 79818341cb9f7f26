"""What all figures share: transparent ground, quiet axes, scales with units, numbers as people write them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ui import colours

CLEAR = "rgba(0,0,0,0)"
BAND = 0.18
"""Opacity of bands."""


def humane(value: Any, unit: str = "") -> str:
    """A number as people write it: 0.83, 12 %, 1,240; a dash where there is none."""
    if value is None or not np.isfinite(value):
        return "–"
    if unit == "%":
        return f"{100 * value:.0f} %"
    size = abs(value)
    if size >= 1000:
        text = f"{value:,.0f}"
    elif size >= 10 or float(value).is_integer():
        text = f"{value:.0f}" if size >= 100 or float(value).is_integer() else f"{value:.1f}"
    elif size >= 0.1:
        text = f"{value:.2f}"
    else:
        text = f"{value:.2g}"
    return f"{text} {unit}".strip()


def named(label: str, unit: str = "") -> str:
    """A label with its unit, beginning large."""
    text = f"{label} ({unit})" if unit and label else label or unit
    return text[:1].upper() + text[1:]


def limits(values: Any, signed: bool) -> tuple[float, float]:
    """Ends of a scale: from zero (or below, where numbers are), or as far on both sides of zero."""
    numbers = np.asarray(values, float)
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    if signed:
        reach = max(-low, high) or 1.0
        return -reach, reach
    low, high = min(low, 0.0), max(high, 0.0)
    return (low, high) if high > low else (0.0, 1.0)


def framed(figure: go.Figure, *, x: str = "", y: str = "", height: int = 360, legend: bool = False, right: int = 12) -> go.Figure:
    """The layout of every figure."""
    # Whole values are set at once: merged into what is there they take plotly twice as long.
    figure.update_layout(
        overwrite=True,
        height=height,
        margin={"l": 48, "r": right, "t": 28 if legend else 8, "b": 40},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        showlegend=legend,
        legend={"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom", "title": {"text": ""}},
        hoverlabel={"align": "left"},
        dragmode=False,
        modebar={"remove": ["toImage", "autoScale2d", "zoomIn2d", "zoomOut2d"]},
    )
    quiet = {"gridcolor": colours.FAINT, "zerolinecolor": colours.FAINT, "automargin": True}
    figure.update_xaxes(overwrite=True, title={"text": x}, **quiet)
    figure.update_yaxes(overwrite=True, title={"text": y}, **quiet)
    return figure


def bar_of(label: str, unit: str = "") -> dict[str, Any]:
    """The colour bar beside a picture."""
    return {"title": {"text": named(label, unit), "side": "right"}, "thickness": 12, "outlinewidth": 0, "nticks": 5, "len": 1.0}


def heat(
    values: np.ndarray, *, signed: bool = False, label: str = "", unit: str = "", ends: Any = None, **more: Any
) -> go.Heatmap:
    """Cells in the common colours; what is not a number is a gap."""
    low, high = ends or limits(values, signed)
    return go.Heatmap(
        z=values,
        zmin=low,
        zmax=high,
        colorscale=colours.plotly_scale(signed),
        colorbar=bar_of(label, unit),
        hoverongaps=False,
        **more,
    )


def band(steps: Iterable[float], low: Iterable[float], high: Iterable[float], colour: str, name: str = "") -> go.Scatter:
    """A filled band as one outline."""
    steps, low, high = list(steps), list(low), list(high)
    return go.Scatter(
        x=steps + steps[::-1],
        y=high + low[::-1],
        fill="toself",
        fillcolor=colours.translucent(colour, BAND),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        name=name,
        showlegend=bool(name),
    )


def whiskers(values: np.ndarray, low: np.ndarray | None, high: np.ndarray | None) -> dict[str, Any] | None:
    """Error bars from the ends of intervals; None where there are none."""
    if low is None or high is None:
        return None
    up, down = np.asarray(high, float) - values, values - np.asarray(low, float)
    return {
        "type": "data",
        "symmetric": False,
        "array": up,
        "arrayminus": down,
        "color": colours.NEUTRAL,
        "thickness": 1.5,
        "width": 4,
    }


def outline(figure: go.Figure, column: float, row: float, **axes: str) -> None:
    """The mark of what is chosen: dark around light, so that it is seen on every colour."""
    # Inside the cell: at the edge of the figure half of its line would be cut off.
    reach = 0.44
    for colour, width in (("#10181c", 5), ("#ffffff", 2)):
        figure.add_shape(
            type="rect",
            x0=column - reach,
            x1=column + reach,
            y0=row - reach,
            y1=row + reach,
            line={"color": colour, "width": width},
            **axes,
        )


def level(figure: go.Figure, value: float, text: str, *, upright: bool = False) -> None:
    """A dashed line of reference with its name."""
    line = {"color": colours.NEUTRAL, "width": 1.5, "dash": "dash"}
    if upright:
        figure.add_vline(
            x=value, line=line, annotation={"text": text, "yanchor": "bottom", "xanchor": "left", "showarrow": False}
        )
    else:
        figure.add_hline(
            y=value, line=line, annotation={"text": text, "xanchor": "right", "yanchor": "bottom", "showarrow": False}
        )
