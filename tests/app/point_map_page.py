"""A page for the browser tests of the map of points: a lattice of dots over two pictures, and a table of patterns."""

import numpy as np
import streamlit as st

from ui.point_map import Gallery, Group, PointMap, Tokens, pattern_bytes, point_map

SIDE = 101
PATTERNS = 144


@st.cache_resource
def lattice() -> PointMap:
    """10,201 dots, the middle one at (0, 0); each looks most at its right neighbour."""
    x, y = np.meshgrid(np.arange(SIDE) - SIDE // 2, np.arange(SIDE) - SIDE // 2)
    points = np.stack([x.ravel(), y.ravel()], 1).astype(float)
    count = len(points)
    row, column = np.arange(count) // SIDE, np.arange(count) % SIDE
    box = np.stack([column, row, column + 1, row + 1], 1) / SIDE
    tokens = Tokens(
        (np.arange(count) >= count // 2).astype(int), box, np.stack([row, column], 1), np.zeros(count, int), ("boat",),
        (points[:, 0] > 0).astype(int), ("query", "key"),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (96, 96, 3), np.uint8) for _ in range(2)]
    links = np.minimum(np.arange(count) + 1, count - 1)[:, None]
    return PointMap(
        "A lattice", points, tokens.kind, (Group("queries", "#e07a00"), Group("keys", "#3f7fd0")), tokens=tokens,
        links=links, strength=np.full((count, 1), 0.25), gallery=Gallery.of(images, ["first", "second"]),
    )  # fmt: skip


@st.cache_resource
def patterns() -> PointMap:
    """144 heads with random patterns of the size of a 14 x 14 grid."""
    rng = np.random.default_rng(1)
    maps = pattern_bytes(rng.random((PATTERNS, 27, 27)))
    names = tuple(f"Head {n}" for n in range(PATTERNS))
    legend = (Group("local", "#007a58", 72), Group("global", "#cc70e0", 72))
    return PointMap("Heads", rng.normal(size=(PATTERNS, 2)), np.arange(PATTERNS) % 2, legend, marks="patterns",
                    patterns=maps, names=names, notes=("local",) * PATTERNS)  # fmt: skip


st.session_state.runs = st.session_state.get("runs", 0) + 1
shown = patterns() if st.query_params.get("show") == "patterns" else lattice()
answer = point_map(
    shown, key="map", chosen=st.session_state.get("chosen", -1), height=420,
    on_choose=lambda item: st.session_state.update(chosen=item),
)  # fmt: skip
told = {"runs": st.session_state.runs, "chosen": st.session_state.get("chosen", -1), "picked": len(answer.picked)}
st.text("; ".join(f"{name} {number}" for name, number in {**told, "sum": sum(answer.picked)}.items()))
