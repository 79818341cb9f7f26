"""Numbers per head that the viewer's thumbnails can be sorted by."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.results import HeadMatrix
    from model_adapters import Capture

NO_NUMBER = float("nan")


def statistics_of(capture: Capture) -> dict[str, tuple[tuple[float, ...], ...]]:
    """Mean distance, entropy and share on the class token of every kept head; NaN where a layer has no such number.

    A number that is the same for all heads sorts nothing and is left out.
    """
    from analysis.strength import attention_distance, attention_entropy, attention_share

    measures: dict[str, Callable[..., HeadMatrix]] = {
        "distance (px)": attention_distance,
        "entropy": attention_entropy,
        "share on class": attention_share,
    }
    found = {name: _by_site(capture, measure) for name, measure in measures.items()}
    return {name: rows for name, rows in found.items() if len({value for row in rows for value in row if value == value}) > 1}


def _by_site(capture: Capture, measure: Callable[..., HeadMatrix]) -> tuple[tuple[float, ...], ...]:
    rows = {site: (NO_NUMBER,) * capture.weights[site].shape[0] for site in capture.sites}
    for tower in {site.tower for site in capture.sites}:
        try:
            matrix = measure(capture, tower=tower)
        except ValueError:  # this tower has no such tokens: its heads have no such number
            continue
        for site, values in zip(matrix.sites, matrix.values, strict=True):
            rows[site] = tuple(map(float, values[: len(rows[site])]))
    return tuple(rows[site] for site in capture.sites)
