"""Towers that attend to one window of a picture after the other: the windows of a layer as one attention over the picture.

Each window is a computation of its own, as many as the picture needs. A head is the same in all of them, and what lies in
another window it cannot see: its weights there are zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from model_adapters import Capture, Layout, Rows, Site

LARGEST = 1_500_000_000
"""Bytes of joined weights."""
_ROWS_OF_TOKENS = ("values", "queries", "keys", "head_outputs", "head_gradients")
_ROWS_AND_KEYS = ("weights", "gradients")


def joined_windows(capture: Capture) -> Capture:
    """The same capture with the windows of each layer put together; one without such windows is left as it is.

    Args:
        capture: with all rows of the windows, or none of them.
    """
    groups = _groups(capture.sites)
    if not groups:
        return capture
    size = sum(_bytes(capture, sites) for sites in groups.values())
    if size > LARGEST:
        raise ValueError(
            f"Layers of this model attend in windows, one after the other; put together they would take {size / 1e9:.1f} GB, "
            f"more than the {LARGEST / 1e9:.1f} GB that are kept. A smaller picture works."
        )
    changed: dict[str, Any] = {"sites": tuple(site for site in capture.sites if _stays(site, groups))}
    for name in (*_ROWS_OF_TOKENS, *_ROWS_AND_KEYS):
        together = _blocks if name in _ROWS_AND_KEYS else _rows
        changed[name] = _by_site(getattr(capture, name), groups, together)
    changed["shapes"] = _by_site(capture.shapes, groups, _shape)
    changed["rows"] = _by_site(capture.rows, groups, lambda each: np.arange(sum(len(rows) for rows in each)))
    changed["layouts"] = _by_site(capture.layouts, groups, _layout)
    return replace(capture, **changed)


def windowed(sites: Sequence[Site]) -> frozenset[str]:
    """The modules that attend window by window: in a tower where some ran several times and others once, the several."""
    found: set[str] = set()
    for tower in {site.tower for site in sites}:
        calls = Counter(site.name for site in sites if site.tower == tower)
        if min(calls.values()) == 1:
            found |= {name for name, count in calls.items() if count > 1}
    return frozenset(found)


def _groups(sites: Sequence[Site]) -> dict[Site, list[Site]]:
    """The first window of each layer, with all of them."""
    names = windowed(sites)
    return {site: [other for other in sites if other.name == site.name] for site in sites if site.name in names and not site.call}


def _stays(site: Site, groups: dict[Site, list[Site]]) -> bool:
    return site in groups or not any(site in windows for windows in groups.values())


def _bytes(capture: Capture, sites: list[Site]) -> int:
    if not all(site in capture.weights for site in sites):
        return 0
    heads, rows, keys = _shape([capture.weights[site].shape[-3:] for site in sites])
    return 4 * heads * rows * keys * (2 if sites[0] in capture.gradients else 1)


def _by_site(values: Any, groups: dict[Site, list[Site]], together: Any) -> Any:
    from model_adapters import BySite

    made = {}
    for site in values:
        if site in groups:
            made[site] = together([values[window] for window in groups[site]])
        elif _stays(site, groups):
            made[site] = values[site]
    return BySite(made)


def _rows(each: list[np.ndarray]) -> np.ndarray:
    """[..., N, D] of windows one after the other."""
    return np.concatenate(each, axis=-2)


def _blocks(each: list[np.ndarray]) -> np.ndarray:
    """[..., Q, K] of windows as one matrix, zero between windows."""
    *lead, rows, keys = _shape([part.shape for part in each])
    found = np.zeros((*lead, rows, keys), each[0].dtype)
    row = key = 0
    for part in each:
        found[..., row : row + part.shape[-2], key : key + part.shape[-1]] = part
        row, key = row + part.shape[-2], key + part.shape[-1]
    return found


def _shape(each: list[tuple[int, ...]]) -> tuple[int, ...]:
    return (*each[0][:-2], sum(shape[-2] for shape in each), sum(shape[-1] for shape in each))


def _layout(each: list[Layout]) -> Layout:
    names = ("queries", "keys", "values")
    sides: dict[str, Any] = {name: _together([getattr(layout, name) for layout in each]) for name in names}
    return replace(each[0], windows=1, **sides)


def _together(each: list[Rows]) -> Rows:
    from model_adapters import Rows

    names = ("roles", "boxes", "image", "tile", "frame")
    return Rows(*(np.concatenate([getattr(rows, name) for rows in each]) for name in names))
