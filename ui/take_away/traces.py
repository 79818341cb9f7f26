"""Plotly's traces drawn by matplotlib, kind by kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LinearSegmentedColormap, Normalize

from ui.figures.pixels import pixels_of
from ui.take_away.ink import GREY, INK, PLAIN, rgba, words

_MARKS = {
    "circle": "o", "square": "s", "diamond": "D", "cross": "P", "x": "X", "triangle-up": "^", "star": "*", "hexagon": "h",
    "triangle-down": "v", "pentagon": "p", "line-ns-open": "|",
}  # fmt: skip


def _heatmap(axes: Axes, trace: dict[str, Any]) -> None:
    z = np.asarray(trace["z"], float)
    colours = LinearSegmentedColormap.from_list("scale", [(at, rgba(c)) for at, c in trace["colorscale"]])
    norm = Normalize(trace.get("zmin"), trace.get("zmax"))
    x, y = _edges(axes, trace, "x", z.shape[1]), _edges(axes, trace, "y", z.shape[0])
    mesh = axes.pcolormesh(
        x,
        y,
        np.ma.masked_invalid(z),
        cmap=colours,
        norm=norm,
        alpha=trace.get("opacity", 1.0),
        rasterized=z.size > 4000,
        linewidth=0,
    )
    if trace.get("texttemplate"):
        for (row, column), text in np.ndenumerate(np.asarray(trace["text"], object)):
            share = norm(z[row, column]) if np.isfinite(z[row, column]) else 0.0
            ink = "#ffffff" if _light(colours(float(share))) < 0.5 else INK
            axes.text(
                (x[column] + x[column + 1]) / 2,
                (y[row] + y[row + 1]) / 2,
                str(text),
                ha="center",
                va="center",
                color=ink,
                fontsize=7,
            )
    if trace.get("showscale", True):
        _scale(axes, mesh, trace.get("colorbar", {}))


def _edges(axes: Axes, trace: dict[str, Any], letter: str, count: int) -> np.ndarray:
    """Where cells begin and end; named cells are counted and named on the axis."""
    given = trace.get(letter)
    if given is not None and len(given) and not _numeric(given):
        (axes.set_xticks if letter == "x" else axes.set_yticks)(range(count), [str(name) for name in given], **PLAIN)
        if letter == "x" and max(len(str(name)) for name in given) > 5:
            axes.tick_params(axis="x", rotation=35)
        given = None
    if given is not None and count > 1:
        middle = np.asarray(given, float)
        between = (middle[1:] + middle[:-1]) / 2
        return np.concatenate([[2 * middle[0] - between[0]], between, [2 * middle[-1] - between[-1]]])
    start, step = trace.get(f"{letter}0", 0.0), trace.get(f"d{letter}", 1.0)
    return start + step * (np.arange(count + 1) - 0.5)


def _image(axes: Axes, trace: dict[str, Any]) -> None:
    z = pixels_of(trace)
    x, y = _edges(axes, trace, "x", z.shape[1]), _edges(axes, trace, "y", z.shape[0])
    axes.imshow(z, extent=(x[0], x[-1], y[-1], y[0]), aspect="equal", interpolation="nearest")


def _scatter(axes: Axes, trace: dict[str, Any]) -> None:
    marker, line = trace.get("marker", {}), trace.get("line", {})
    colour = marker.get("color")
    if isinstance(colour, str) and rgba(colour)[3] == 0 and not marker.get("line", {}).get("width"):
        return  # the layer that takes clicks
    x, y = _places(axes, trace, "x"), _places(axes, trace, "y")
    mode = trace.get("mode", "lines")
    if trace.get("fill") == "toself":
        for part in _parts(x, y):
            axes.fill(*part, color=rgba(trace["fillcolor"]), linewidth=0, label=None)
        _named_patch(axes, trace)
    if "lines" in mode and line.get("width", 1) > 0:
        style = "--" if line.get("dash") == "dash" else "-"
        label = _label(trace) if "markers" not in mode and trace.get("fill") != "toself" else None
        axes.plot(x, y, style, color=rgba(line.get("color", GREY)), linewidth=0.75 * line.get("width", 2), label=label)
    if "markers" in mode:
        _bars_of_error(axes, trace, x, y)
        _dots(axes, trace, x, y)


def _dots(axes: Axes, trace: dict[str, Any], x: np.ndarray, y: np.ndarray) -> None:
    marker = trace.get("marker", {})
    size = (0.75 * marker.get("size", 6)) ** 2
    shape = _MARKS[marker.get("symbol", "circle")]
    around = marker.get("line", {})
    more: dict[str, Any] = {"marker": shape, "s": size, "label": _label(trace), "alpha": marker.get("opacity"), "zorder": 3}
    more["linewidths"] = 0.75 * around.get("width", 1.5 if shape == "|" else 0)
    colour = marker.get("color", GREY)
    if not isinstance(colour, str) and _numeric(colour) and "colorscale" in marker:
        scale = LinearSegmentedColormap.from_list("scale", [(at, rgba(c)) for at, c in marker["colorscale"]])
        spots = axes.scatter(
            x, y, c=np.asarray(colour, float), cmap=scale, vmin=marker.get("cmin"), vmax=marker.get("cmax"), **more
        )
        return _scale(axes, spots, marker.get("colorbar", {}))
    shades = rgba(colour) if isinstance(colour, str) else [rgba(c) for c in colour]
    if around.get("width"):
        more["edgecolors"] = rgba(around["color"])
    axes.scatter(x, y, color=None if around.get("width") else shades, facecolor=shades if around.get("width") else None, **more)


def _bars_of_error(axes: Axes, trace: dict[str, Any], x: np.ndarray, y: np.ndarray) -> None:
    for letter in "xy":
        found = trace.get(f"error_{letter}")
        if found:
            ends = np.maximum(np.stack([np.asarray(found["arrayminus"], float), np.asarray(found["array"], float)]), 0)
            axes.errorbar(x, y, **{f"{letter}err": ends}, fmt="none", ecolor=rgba(found["color"]), elinewidth=1, capsize=2)


def _bar(axes: Axes, trace: dict[str, Any]) -> None:
    upright = trace.get("orientation", "v") == "v"
    names, long = ("x", "y") if upright else ("y", "x")
    place, size = _places(axes, trace, names), np.asarray(trace[long], float)
    colour = trace.get("marker", {}).get("color", GREY)
    shades = rgba(colour) if isinstance(colour, str) else [rgba(c) for c in colour]
    sharing, number = trace.get("_sharing", (1, 0))
    width = np.asarray(trace["width"], float) if trace.get("width") is not None else 0.8 / sharing
    place = place + (number - (sharing - 1) / 2) * 0.8 / sharing
    more: dict[str, Any] = {"color": shades, "label": _label(trace)}
    start = trace.get("_below", 0.0)
    (axes.bar(place, size, width, bottom=start, **more) if upright else axes.barh(place, size, width, left=start, **more))
    error = {"x": place, "y": size} if upright else {"x": size, "y": place}
    _bars_of_error(axes, trace, error["x"], error["y"])


DRAWN: dict[str, Callable[[Axes, dict[str, Any]], None]] = {
    "heatmap": _heatmap, "image": _image, "scatter": _scatter, "scattergl": _scatter, "bar": _bar,
}  # fmt: skip
"""How each kind is drawn; a kind that is missing here has no still picture."""


def _places(axes: Axes, trace: dict[str, Any], letter: str) -> np.ndarray:
    """Coordinates; names are counted in the order in which they come, over all traces of a panel."""
    given = trace.get(letter)
    if given is None:
        return np.arange(len(trace["y" if letter == "x" else "x"]), dtype=float)
    if _numeric(given):
        return np.asarray([np.nan if v is None else v for v in given], float)
    known: list[str] = axes.__dict__.setdefault(f"_names_{letter}", [])
    for name in given:
        if str(name) not in known:
            known.append(str(name))
    (axes.set_xticks if letter == "x" else axes.set_yticks)(range(len(known)), known, **PLAIN)
    return np.asarray([known.index(str(name)) for name in given], float)


def _scale(axes: Axes, drawn: Any, told: dict[str, Any]) -> None:
    bar: Colorbar = axes.figure.colorbar(drawn, ax=axes, fraction=0.04, pad=0.02)
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.set_label(words(told.get("title", {}).get("text") or ""))


def _named_patch(axes: Axes, trace: dict[str, Any]) -> None:
    if label := _label(trace):
        axes.fill([np.nan], [np.nan], color=rgba(trace["fillcolor"]), label=label)


def _label(trace: dict[str, Any]) -> str | None:
    return trace.get("name") if trace.get("showlegend") is not False and trace.get("name") else None


def _parts(x: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The outlines between gaps."""
    gaps = np.flatnonzero(~(np.isfinite(x) & np.isfinite(y)))
    pieces = zip(np.split(x, gaps), np.split(y, gaps), strict=True)
    cleaned = [(a[np.isfinite(a) & np.isfinite(b)], b[np.isfinite(a) & np.isfinite(b)]) for a, b in pieces]
    return [part for part in cleaned if len(part[0]) > 2]


def _numeric(given: Any) -> bool:
    return all(v is None or isinstance(v, (int, float, np.number)) for v in given)


def _light(colour: Any) -> float:
    return float(0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2])
