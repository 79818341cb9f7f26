"""Figures of the page Sinks that are its own, as plain dictionaries of Plotly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ui.colours import CATEGORICAL, FAINT, NEUTRAL

if TYPE_CHECKING:
    from ui.results.sinks_set import Outcome

SINK, RANDOM, BEFORE = CATEGORICAL[3], NEUTRAL, CATEGORICAL[7]


def layout(height: int, **more: Any) -> dict[str, Any]:
    """What all small figures share."""
    found: dict[str, Any] = {
        "height": height, "margin": {"l": 8, "r": 8, "t": 8, "b": 8}, "showlegend": False, "bargap": 0.05,
        "xaxis": {"automargin": True, "gridcolor": FAINT, "zeroline": False},
        "yaxis": {"automargin": True, "gridcolor": FAINT, "zeroline": False},
        "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
    }  # fmt: skip
    for name, value in more.items():
        found[name] = {**found[name], **value} if isinstance(value, dict) and name in found else value
    return found


def outcome(found: Outcome, names: list[str]) -> dict[str, Any]:
    """Probabilities as they are, without the sinks, and without random patches (with their spread)."""
    top = found.top
    mean, spread = found.random.mean(0)[top], found.random.std(0)[top]

    def bars(label: str, values: np.ndarray, colour: str, error: np.ndarray | None = None) -> dict[str, Any]:
        made: dict[str, Any] = {
            "type": "bar", "orientation": "h", "name": label, "y": names, "x": values.tolist(), "marker": {"color": colour},
            "hovertemplate": "%{y}: %{x:.3f}<extra>" + label + "</extra>",
        }  # fmt: skip
        return made if error is None else {**made, "error_x": {"type": "data", "array": error.tolist(), "color": NEUTRAL}}

    return {
        "data": [
            bars("random patches instead", mean, RANDOM, spread),
            bars("sinks changed", found.after[top], SINK),
            bars("as it is", found.before[top], BEFORE),
        ],
        "layout": layout(
            60 + 52 * len(top), showlegend=True, barmode="group", bargap=0.25, legend={"traceorder": "reversed"},
            xaxis={"range": [0, 1], "title": {"text": "probability"}}, yaxis={"autorange": "reversed"},
        ),
    }  # fmt: skip
