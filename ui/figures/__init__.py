"""Results as Plotly figures: one rule per type of result. Knows Plotly and no Streamlit.

The rules are loaded with the first drawing, because the types of results bring torch along.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import plotly.graph_objects as go
    from plotly.graph_objects import Figure as Figure

    from analysis.results import HeadMatrix, Profile

_LOADING = threading.Lock()


def _load() -> None:
    """All rules, whole: another thread may be in the middle of importing them."""
    with _LOADING:
        import ui.figures.every_rule  # noqa: F401


def draw(
    result: Any, *, chosen: tuple[int, int] | None = None, image: np.ndarray | None = None, names: Sequence[str] | None = None
) -> go.Figure:
    """The picture of a result.

    Args:
        result: what a method returned.
        chosen: (row, head) that is outlined, where heads are shown.
        image: [height, width, 3] uint8 below a map.
        names: what to call the points of an embedding or the things of a clustering, one each.
    """
    _load()
    from ui.figures.rules import Look, rule

    return rule(result, Look(chosen, image, tuple(names) if names is not None else None))


def figure_of(parts: dict[str, Any]) -> go.Figure:
    """The figure of a page that writes its own as a plain dictionary."""
    import plotly.graph_objects as go

    return go.Figure(parts)


def has_rule(kind: Any) -> bool:
    """Whether results of this type can be drawn."""
    _load()
    from ui.figures.rules import known

    return known(kind)


def draw_matrix_pair(first: HeadMatrix, second: HeadMatrix, *, chosen: tuple[int, int] | None = None) -> go.Figure:
    """Two head matrices side by side on one scale."""
    _load()
    from ui.figures.heads import matrix_pair

    return matrix_pair(first, second, chosen)


def draw_scatter(exact: HeadMatrix, cheap: HeadMatrix, *, chosen: tuple[int, int] | None = None) -> go.Figure:
    """An exact against a cheap number per head, with their rank correlation."""
    _load()
    from ui.figures.points import metric_scatter

    return metric_scatter(exact, cheap, chosen)


def draw_sparklines(profile: Profile, *, chosen: tuple[int, int] | None = None) -> go.Figure:
    """A small curve per head, layers down and heads across."""
    _load()
    from ui.figures.heads import sparklines

    return sparklines(profile, chosen)


def draw_forest(
    names: Sequence[str],
    values: Sequence[float] | np.ndarray,
    low: Sequence[float] | np.ndarray,
    high: Sequence[float] | np.ndarray,
    *,
    chance: float | None = None,
    label: str = "",
    baselines: Sequence[str] = (),
) -> go.Figure:
    """Scores with their intervals, best on top, and a line where chance lies."""
    _load()
    from ui.figures.bars import forest

    return forest(names, values, low, high, chance=chance, label=label, baselines=baselines)


__all__ = ["draw", "draw_forest", "draw_matrix_pair", "draw_scatter", "draw_sparklines", "has_rule"]
