"""A figure as SVG, PNG or PDF without a browser: the same traces, axes and colours, drawn by matplotlib.

Plotly's own export starts Chrome; this works with Python packages alone. It reads the few kinds of traces that the
figures are made of and refuses any other, so that nothing is left out in silence.
"""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ui.take_away.ink import GREY, INK, PLAIN, rgba, words
from ui.take_away.traces import DRAWN

Format = Literal["svg", "png", "pdf"]
DOTS = 200
"""Dots per inch of a PNG."""
_WIDTH = 6.4
_TALL = 96.0
"""Plotly's pixels per inch of the drawing."""
_LETTERS = 90
"""Width of a legend."""
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none", "pdf.fonttype": 42, "font.size": 9, "axes.edgecolor": GREY, "text.color": INK,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.linewidth": 0.8, "svg.hashsalt": "headlight",
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
            drawn.suptitle(title, fontsize=10, parse_math=False)
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
        if trace["type"] not in DRAWN:
            raise TypeError(f"a trace of type {trace['type']!r} has no still picture. Drawn are {sorted(DRAWN)}.")
        if trace["type"] == "bar":
            trace = trace | {"_sharing": (1, 0) if stacked else (len(bars), bars.index(number)), "_below": below}
            below = below + np.asarray(trace["y"], float) if stacked else 0.0
        DRAWN[trace["type"]](axes, trace)
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


def _axis(axes: Axes, letter: str, told: dict[str, Any]) -> None:
    upright = letter == "y"
    (axes.set_ylabel if upright else axes.set_xlabel)(words(told.get("title", {}).get("text") or ""), **PLAIN)
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
        (axes.set_yticks if upright else axes.set_xticks)(list(told["tickvals"]), texts, **PLAIN)
    if told.get("visible") is False or told.get("showticklabels") is False:
        (axes.set_yticks if upright else axes.set_xticks)([])
    if told.get("visible") is False:
        axes.spines[:].set_visible(False)
    if told.get("scaleanchor"):
        axes.set_aspect("equal", adjustable="box" if told.get("constrain") else "datalim")
    axes.spines[["top", "right"]].set_visible(False)


def _shape(axes: Axes, shape: dict[str, Any], pair: tuple[str, str]) -> None:
    line = shape.get("line", {})
    look = {"color": rgba(line.get("color", GREY)), "linewidth": 0.6 * line.get("width", 1)}
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
    text = words(note.get("text", ""))
    if note.get("yref", "").endswith("domain") and note.get("xref") == pair[0]:
        axes.text(note["x"], 1.0, text, transform=axes.get_xaxis_transform(), ha="left", va="bottom", fontsize=8)
    elif note.get("xref", "").endswith("domain") and note.get("yref") == pair[1]:
        axes.text(1.0, note["y"], text, transform=axes.get_yaxis_transform(), ha="right", va="bottom", fontsize=8)


def _whole(given: Any) -> bool:
    """Steps that are counted: between them there is nothing to mark."""
    return given is not None and len(given) > 1 and all(isinstance(v, (int, np.integer)) for v in given)