"""Small pictures of a head: its pattern, and its measures as bars against the thresholds. Knows no Streamlit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ui import colours
from ui.point_map.points import trimmed

if TYPE_CHECKING:
    from analysis.head_types import HeadTypes


def pattern_image(pattern: np.ndarray, side: int = 264) -> np.ndarray:
    """[side, side, 4] uint8: a pattern in the colours of attention, its largest number brightest; the query is outlined."""
    pattern = trimmed(pattern)
    table = np.array([[int(c[n : n + 2], 16) for n in (1, 3, 5)] for c in colours.sequential(256)], np.uint8)
    share = np.nan_to_num(pattern) / max(float(np.nanmax(pattern)), 1e-12)
    picture = np.concatenate([table[np.rint(share * 255).astype(int)], np.full((*pattern.shape, 1), 255, np.uint8)], -1)
    picture[np.isnan(pattern)] = (128, 128, 128, 40)
    zoom = max(1, round(side / max(pattern.shape)))
    large = picture.repeat(zoom, 0).repeat(zoom, 1)
    top, left = ((n // 2) * zoom for n in pattern.shape)
    box = large[top : top + zoom, left : left + zoom]
    for edge in (box[:1], box[-1:], box[:, :1], box[:, -1:]):
        edge[...] = 255
    return large


def bars_against(types: HeadTypes, row: int, head: int) -> str:
    """All measures of a head as bars, each with its threshold."""
    limits = dict(types.thresholds)
    lines = []
    for name, value in zip(types.measures.names, types.measures.values[row, head], strict=True):
        if np.isnan(value):
            continue
        passed, width = value >= limits[name], 100 * float(np.clip(value, 0, 1))
        shade = colours.colour_of(name) if passed else colours.NEUTRAL
        lines.append(
            f"<div style='display:flex;align-items:center;gap:6px;font-size:.8rem;line-height:1.45'>"
            f"<span style='width:4.3em'>{'<b>' if passed else ''}{name}{'</b>' if passed else ''}</span>"
            f"<span style='position:relative;flex:1;height:.7em;background:{colours.FAINT};border-radius:3px'>"
            f"<span style='position:absolute;inset:0 auto 0 0;width:{width:.0f}%;background:{shade};border-radius:3px'></span>"
            f"<span title='threshold {limits[name]:.2f}' style='position:absolute;top:-2px;bottom:-2px;"
            f"left:{100 * limits[name]:.0f}%;width:2px;background:currentColor'></span></span>"
            f"<span style='width:2.4em;text-align:right'>{_number(value)}</span></div>"
        )
    return "".join(lines)


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")
