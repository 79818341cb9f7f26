"""A figure as SVG, PNG or PDF without a browser: the same traces, axes and colours, drawn by matplotlib.

Plotly's own export starts Chrome; this works with Python packages alone. It reads the few kinds of traces that the
figures are made of and refuses any other, so that nothing is left out in silence.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

Format = Literal["svg", "png", "pdf"]
DOTS = 200
"""Dots per inch of a PNG."""
_INK, _GREY = "#16242b", "#7c888d"
_WIDTH = 6.4
_TALL = 96.0
"""Plotly's pixels per inch of the drawing."""
_LETTERS = 90
"""Width of a legend."""
_MARKS = {
    "circle": "o", "square": "s", "diamond": "D", "cross": "P", "x": "X", "triangle-up": "^", "star": "*", "hexagon": "h",
    "triangle-down": "v", "pentagon": "p", "line-ns-open": "|",
}  # fmt: skip
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none", "pdf.fonttype": 42, "font.size": 9, "axes.edgecolor": _GREY, "text.color": _INK,
    "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK, "axes.linewidth": 0.8, "svg.hashsalt": "headlight",
}  # fmt: skip


def still(figure: Any, form: Format, title: str = "") -> bytes:
    """The file of a figure.

    Args:
        figure: a Plotly figure of `ui.figures`.
        form: svg, png or pdf.
        title: stands above it, and in the file as its title.
    """
    # Trace by trace: the figure as a whole would encode its arrays.
    layout: dict[str, Any] = figure.layout.to_plotly_json()
    data: list[dict[str, Any]] = [trace.to_plotly_json() for trace in figure.data]
    stream = io.BytesIO()
    with rc_context(_SETTINGS):
        drawn = Figure((_WIDTH, layout.get("height", 360) / _TALL), layout="constrained")
        FigureCanvasAgg(drawn)
        pairs = sorted({(trace.get("xaxis") or "x", trace.get("yaxis") or "y") for trace in data})
        frames = drawn.subplots(1, len(pairs), squeeze=False)[0]
        for pair, axes in zip(pairs, frames, strict=True):
            _panel(axes, [t for t in data if (t.get("xaxis") or "x", t.get("yaxis") or "y") == pair], layout, pair)
        if title:
            drawn.suptitle(title, fontsize=10)
        about: dict[str, Any] = {"Title": title} if title else {}
        undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[form]
        drawn.savefig(stream, format=form, dpi=DOTS, metadata=about | undated)
    return stream.getvalue()


def _panel(axes: Axes, traces: list[dict[str, Any]], layout: dict[str, Any], pair: tuple[str, str]) -> None:
    axes.set_axisbelow(True)
    bars = [number for number, trace in enumerate(traces) if trace["type"] == "bar"]
    stacked = layout.get("barmode") == "stack"
    below: Any = 0.0
    for number, trace in enumerate(traces):
        if trace["type"] not in _DRAWN:
            raise TypeError(f"a trace of type {trace['type']!r} has no still picture. Drawn are {sorted(_DRAWN)}.")
        if trace["type"] == "bar":
            trace = trace | {"_sharing": (1, 0) if stacked else (len(bars), bars.index(number)), "_below": below}
            below = below + np.asarray(trace["y"], float) if stacked else 0.0
        _DRAWN[trace["type"]](axes, trace)
    if all(_whole(trace.get("x")) for trace in traces):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for shape in layout.get("shapes", ()):
        _shape(axes, shape, pair)
    for note in layout.get("annotations", ()):
        _note(axes, note, pair)
    for letter, name in zip("xy", pair, strict=True):
        _axis(axes, letter, layout.get(name.replace(letter, f"{letter}axis", 1), {}))
    if layout.get("showlegend") and any(t.get("name") and t.get("showlegend") is not False for t in traces):
        longest = max(len(t["name"]) for t in traces if t.get("name"))
        columns = max(1, _LETTERS // (longest + 6))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, frameon=False, fontsize=8)


def _heatmap(axes: Axes, trace: dict[str, Any]) -> None:
    z = np.asarray(trace["z"], float)
    colours = LinearSegmentedColormap.from_list("scale", [(at, _colour(c)) for at, c in trace["colorscale"]])
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
            ink = "#ffffff" if _light(colours(float(share))) < 0.5 else _INK
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
        (axes.set_xticks if letter == "x" else axes.set_yticks)(range(count), [str(name) for name in given])
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
    z = np.asarray(trace["z"], np.uint8)
    x, y = _edges(axes, trace, "x", z.shape[1]), _edges(axes, trace, "y", z.shape[0])
    axes.imshow(z, extent=(x[0], x[-1], y[-1], y[0]), aspect="equal", interpolation="nearest")


def _scatter(axes: Axes, trace: dict[str, Any]) -> None:
    marker, line = trace.get("marker", {}), trace.get("line", {})
    colour = marker.get("color")
    if isinstance(colour, str) and _colour(colour)[3] == 0 and not marker.get("line", {}).get("width"):
        return  # the layer that takes clicks
    x, y = _places(axes, trace, "x"), _places(axes, trace, "y")
    mode = trace.get("mode", "lines")
    if trace.get("fill") == "toself":
        for part in _parts(x, y):
            axes.fill(*part, color=_colour(trace["fillcolor"]), linewidth=0, label=None)
        _named_patch(axes, trace)
    if "lines" in mode and line.get("width", 1) > 0:
        style = "--" if line.get("dash") == "dash" else "-"
        label = _label(trace) if "markers" not in mode and trace.get("fill") != "toself" else None
        axes.plot(x, y, style, color=_colour(line.get("color", _GREY)), linewidth=0.75 * line.get("width", 2), label=label)
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
    colour = marker.get("color", _GREY)
    if not isinstance(colour, str) and _numeric(colour) and "colorscale" in marker:
        scale = LinearSegmentedColormap.from_list("scale", [(at, _colour(c)) for at, c in marker["colorscale"]])
        spots = axes.scatter(
            x, y, c=np.asarray(colour, float), cmap=scale, vmin=marker.get("cmin"), vmax=marker.get("cmax"), **more
        )
        return _scale(axes, spots, marker.get("colorbar", {}))
    shades = _colour(colour) if isinstance(colour, str) else [_colour(c) for c in colour]
    if around.get("width"):
        more["edgecolors"] = _colour(around["color"])
    axes.scatter(x, y, color=None if around.get("width") else shades, facecolor=shades if around.get("width") else None, **more)


def _bars_of_error(axes: Axes, trace: dict[str, Any], x: np.ndarray, y: np.ndarray) -> None:
    for letter in "xy":
        found = trace.get(f"error_{letter}")
        if found:
            ends = np.maximum(np.stack([np.asarray(found["arrayminus"], float), np.asarray(found["array"], float)]), 0)
            axes.errorbar(x, y, **{f"{letter}err": ends}, fmt="none", ecolor=_colour(found["color"]), elinewidth=1, capsize=2)


def _bar(axes: Axes, trace: dict[str, Any]) -> None:
    upright = trace.get("orientation", "v") == "v"
    names, long = ("x", "y") if upright else ("y", "x")
    place, size = _places(axes, trace, names), np.asarray(trace[long], float)
    colour = trace.get("marker", {}).get("color", _GREY)
    shades = _colour(colour) if isinstance(colour, str) else [_colour(c) for c in colour]
    sharing, number = trace.get("_sharing", (1, 0))
    width = np.asarray(trace["width"], float) if trace.get("width") is not None else 0.8 / sharing
    place = place + (number - (sharing - 1) / 2) * 0.8 / sharing
    more: dict[str, Any] = {"color": shades, "label": _label(trace)}
    start = trace.get("_below", 0.0)
    (axes.bar(place, size, width, bottom=start, **more) if upright else axes.barh(place, size, width, left=start, **more))
    error = {"x": place, "y": size} if upright else {"x": size, "y": place}
    _bars_of_error(axes, trace, error["x"], error["y"])


_DRAWN: dict[str, Callable[[Axes, dict[str, Any]], None]] = {
    "heatmap": _heatmap, "image": _image, "scatter": _scatter, "scattergl": _scatter, "bar": _bar,
}  # fmt: skip


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
    (axes.set_xticks if letter == "x" else axes.set_yticks)(range(len(known)), known)
    return np.asarray([known.index(str(name)) for name in given], float)


def _axis(axes: Axes, letter: str, told: dict[str, Any]) -> None:
    upright = letter == "y"
    (axes.set_ylabel if upright else axes.set_xlabel)(_words(told.get("title", {}).get("text") or ""))
    if told.get("type") == "log":
        (axes.set_yscale if upright else axes.set_xscale)("log")
    if told.get("range") is not None:
        # A range on a logarithmic axis is in powers of ten.
        ends = [10.0**end for end in told["range"]] if told.get("type") == "log" else told["range"]
        (axes.set_ylim if upright else axes.set_xlim)(*ends)
    elif told.get("autorange") == "reversed":
        (axes.invert_yaxis if upright else axes.invert_xaxis)()
    if told.get("rangemode") == "tozero" and told.get("range") is None and told.get("type") != "log":
        low, high = axes.get_ylim() if upright else axes.get_xlim()
        (axes.set_ylim if upright else axes.set_xlim)(min(low, 0), max(high, 0))
    if told.get("tickvals") is not None:
        texts = told.get("ticktext")
        texts = [str(v) for v in (texts if texts is not None else told["tickvals"])]
        (axes.set_yticks if upright else axes.set_xticks)(list(told["tickvals"]), texts)
    if told.get("visible") is False or told.get("showticklabels") is False:
        (axes.set_yticks if upright else axes.set_xticks)([])
    if told.get("visible") is False:
        axes.spines[:].set_visible(False)
    if told.get("scaleanchor"):
        axes.set_aspect("equal", adjustable="box" if told.get("constrain") else "datalim")
    axes.spines[["top", "right"]].set_visible(False)


def _shape(axes: Axes, shape: dict[str, Any], pair: tuple[str, str]) -> None:
    line = shape.get("line", {})
    look = {"color": _colour(line.get("color", _GREY)), "linewidth": 0.6 * line.get("width", 1)}
    across, up = shape.get("xref", "x"), shape.get("yref", "y")
    if across not in (pair[0], f"{pair[0]} domain") or up not in (pair[1], f"{pair[1]} domain"):
        return
    if shape["type"] == "rect":
        x0, y0, x1, y1 = (shape[name] for name in ("x0", "y0", "x1", "y1"))
        edge = {"edgecolor": look["color"], "linewidth": look["linewidth"]}
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, zorder=4, **edge))
    elif up.endswith("domain"):
        axes.axvline(shape["x0"], linestyle="--", **look)
    else:
        axes.axhline(shape["y0"], linestyle="--", **look)


def _note(axes: Axes, note: dict[str, Any], pair: tuple[str, str]) -> None:
    text = _words(note.get("text", ""))
    if note.get("yref", "").endswith("domain") and note.get("xref") == pair[0]:
        axes.text(note["x"], 1.0, text, transform=axes.get_xaxis_transform(), ha="left", va="bottom", fontsize=8)
    elif note.get("xref", "").endswith("domain") and note.get("yref") == pair[1]:
        axes.text(1.0, note["y"], text, transform=axes.get_yaxis_transform(), ha="right", va="bottom", fontsize=8)


def _scale(axes: Axes, drawn: Any, told: dict[str, Any]) -> None:
    bar: Colorbar = axes.figure.colorbar(drawn, ax=axes, fraction=0.04, pad=0.02)
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.set_label(_words(told.get("title", {}).get("text") or ""))


def _named_patch(axes: Axes, trace: dict[str, Any]) -> None:
    if label := _label(trace):
        axes.fill([np.nan], [np.nan], color=_colour(trace["fillcolor"]), label=label)


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


def _whole(given: Any) -> bool:
    """Steps that are counted: between them there is nothing to mark."""
    return given is not None and len(given) > 1 and all(isinstance(v, (int, np.integer)) for v in given)


def _words(text: str) -> str:
    """Text without Plotly's mark-up."""
    return re.sub(r"<[^>]+>", " ", text)


def _light(colour: Any) -> float:
    return float(0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2])


def _colour(text: str) -> tuple[float, float, float, float]:
    """Hex or rgba() as four numbers from 0 to 1."""
    if text.startswith("#"):
        red, green, blue = (int(text[n : n + 2], 16) / 255 for n in (1, 3, 5))
        return red, green, blue, 1.0
    numbers = [float(n) for n in re.findall(r"[\d.]+", text)]
    return numbers[0] / 255, numbers[1] / 255, numbers[2] / 255, numbers[3] if len(numbers) > 3 else 1.0
