"""The plot of every setting that was tried on the page Prune: what is left against what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from ui import controls, page, prune_snippets, prune_state
from ui.colours import ACCENT, CATEGORICAL, FAINT, NEUTRAL
from ui.prune_state import Tried
from ui.prune_view import Bench
from ui.results.prune import Parts, why_not_sliced

COSTS = {
    "flops": ("FLOPs", "share of the whole model's FLOPs"),
    "latency": ("Latency", "ms per picture"),
    "off": ("Switched off", "heads, branches and layers that are off"),
}


def _cost(one: Tried, by: str) -> float | None:
    if by == "off":
        return float(len(one.setting.ids)) if isinstance(one.setting, Parts) else None
    return one.operations if by == "flops" else one.milliseconds


def show_tried(bench: Bench, restore: Callable[[Any], None], current: Any) -> None:
    """Everything that was tried: accuracy against cost; a click restores it."""
    found = list(prune_state.tried(bench.key).values())
    start = "off" if why_not_sliced(bench.model) else "flops"
    by = controls.pick("cost", "Against", tuple(COSTS), default=start, format=lambda c: COSTS[c][0])
    costs = [_cost(t, by) for t in found]
    priced = [(n, t, cost) for n, (t, cost) in enumerate(zip(found, costs, strict=True)) if cost is not None]
    if not priced:
        st.caption("Settings appear here with what they really cost, once that has been measured.")
        return
    key = f"tried-{by}"

    def follow() -> None:
        points = st.session_state[key]["selection"]["points"]
        if points and "customdata" in points[0]:
            number = points[0]["customdata"]
            restore(found[int(number[0] if isinstance(number, list) else number)].setting)

    figure = _pareto(priced, by, current, bench.measure)
    st.plotly_chart(figure, key=key, on_select=follow, selection_mode="points", width="stretch", config={"displayModeBar": False})
    st.caption("Each point is a setting that was tried here; bars are intervals over scenes. Click one to have it back.")
    _away(bench, priced, by, figure, current)


def _away(bench: Bench, priced: Sequence[tuple[int, Tried, float]], by: str, figure: dict[str, Any], current: Any) -> None:
    """The menu: every setting that was tried, and the Python of the one that is chosen."""
    from ui.figures import figure_of

    tried = [one for _, one, _ in priced]
    table = {
        "setting": [one.setting.words for one in tried], by: [cost for _, _, cost in priced],
        "value": [one.accuracy for one in tried], "low": [one.judged.low.accuracy for one in tried],
        "high": [one.judged.high.accuracy for one in tried], "kl": [one.judged.effect.kl for one in tried],
    }  # fmt: skip
    title = f"{bench.measure} against {COSTS[by][0]}"
    snippet = prune_snippets.setting(bench, current)
    page.take_away(table, lambda: figure_of(figure), key="tried-away", title=title, snippet=snippet)


def _pareto(priced: Sequence[tuple[int, Tried, float]], by: str, current: Any, measure: str) -> dict[str, Any]:
    from analysis.pruning import pareto_front

    costs = [cost for _, _, cost in priced]
    accuracy = [t.accuracy for _, t, _ in priced]
    # Of what is off, more is better.
    front = pareto_front([-cost if by == "off" else cost for cost in costs], accuracy)
    texts = [f"{t.setting.words}<br>KL {t.judged.effect.kl:.2g}" for _, t, _ in priced]
    points = {
        "type": "scatter", "mode": "markers", "x": costs, "y": accuracy, "text": texts, "customdata": [[n] for n, _, _ in priced],
        "marker": {
            "size": [16 if t.setting == current else 10 for _, t, _ in priced],
            "line": {"width": 1, "color": NEUTRAL},
            "color": [CATEGORICAL[3] if t.setting == current else ACCENT["light"] for _, t, _ in priced],
        },
        "error_y": {
            "type": "data", "symmetric": False, "color": NEUTRAL, "thickness": 1, "width": 0,
            "array": [t.judged.high.accuracy - a for (_, t, _), a in zip(priced, accuracy, strict=True)],
            "arrayminus": [a - t.judged.low.accuracy for (_, t, _), a in zip(priced, accuracy, strict=True)],
        },
        "hovertemplate": "%{text}<br>%{y:.1%} at %{x:.3g}<extra></extra>",
    }  # fmt: skip
    line = {
        "type": "scatter", "mode": "lines", "x": [costs[n] for n in front], "y": [accuracy[n] for n in front],
        "line": {"color": NEUTRAL, "dash": "dot"}, "hoverinfo": "skip",
    }  # fmt: skip
    return {
        "data": [line, points],
        "layout": {
            "height": 300, "margin": {"l": 8, "r": 8, "t": 8, "b": 8}, "showlegend": False,
            "xaxis": {
                "title": {"text": COSTS[by][1]}, "gridcolor": FAINT,
                "automargin": True, "tickformat": ".0%" if by == "flops" else "", "nticks": 5, "range": _ends(costs),
            },
            "yaxis": {
                "title": {"text": measure}, "tickformat": ".0%", "gridcolor": FAINT, "automargin": True,
                "range": _ends([*(t.judged.low.accuracy for _, t, _ in priced), 1.0]),
            },
        },
    }  # fmt: skip


def _ends(values: Sequence[float]) -> list[float]:
    """The ends of an axis, with a little room."""
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or 0.08 * max(abs(high), 0.5)
    return [low - room, high + room]
