"""A map of heads, each drawn as its position-aligned pattern: the point map, filled with heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from ui import colours
from ui.point_map.points import Group, PointMap, pattern_bytes

if TYPE_CHECKING:
    from analysis.clusters import Clusters
    from analysis.head_types import HeadTypes
    from analysis.patterns import AlignedMaps
    from analysis.results import Embedding
    from ui.results.patterns import Place

Colouring = Literal["type", "group", "layer"]


def head_map(
    maps: AlignedMaps,
    embedding: Embedding,
    places: Sequence[Place],
    types: HeadTypes,
    *,
    by: Colouring = "type",
    clusters: Clusters | None = None,
) -> PointMap:
    """All heads at their places, framed in the colour of their type, group or layer.

    Args:
        maps: the patterns.
        embedding: [P, 2] where each head lies.
        places: [P] row and number of each head.
        types: of all heads.
        by: what the frames tell.
        clusters: the groups, where frames tell those.
    """
    named = [(str(types.types[at]), str(types.parts[at]), float(types.confidence[at])) for at in _cells(maps, types)]
    if by == "group" and clusters is not None:
        group, legend = _by_group(clusters.labels)
    elif by == "layer":
        group, legend = _by_layer([place.row for place in places])
    else:
        group, legend = _by_type([kind for kind, _, _ in named])
    notes = [f"{kind if kind != 'hybrid' else parts}\nconfidence {sure:.0%}".replace("%", " %") for kind, parts, sure in named]
    return PointMap(
        f"Map of {len(places)} heads, like patterns near each other. Arrow keys move, Enter chooses, Space gathers.",
        embedding.points,
        group,
        legend,
        marks="patterns",
        patterns=pattern_bytes(maps.values),
        names=tuple(str(place).capitalize() for place in places),
        notes=tuple(notes),
    )


def _cells(maps: AlignedMaps, types: HeadTypes) -> list[tuple[int, int]]:
    rows = {site: row for row, site in enumerate(types.sites)}
    return [(rows[site], head) for site, head in maps.heads]


def _by_type(kinds: Sequence[str]) -> tuple[np.ndarray, tuple[Group, ...]]:
    order = [*colours.TYPES, "hybrid", "unclear"]
    present = sorted(set(kinds), key=order.index)
    shades = {"unclear": "#b9c2c5"}
    legend = [Group(name, shades.get(name, colours.colour_of(name)), kinds.count(name)) for name in present]
    return np.array([present.index(kind) for kind in kinds]), tuple(legend)


def _by_group(labels: np.ndarray) -> tuple[np.ndarray, tuple[Group, ...]]:
    present = [int(label) for label in np.unique(labels)]
    names = {-1: "in no group"} | {label: f"group {label}" for label in present if label >= 0}
    shade = {label: colours.NEUTRAL if label < 0 else colours.category(label) for label in present}
    legend = [Group(names[label], shade[label], int((labels == label).sum())) for label in present]
    return np.searchsorted(present, labels), tuple(legend)


def _by_layer(rows: Sequence[int]) -> tuple[np.ndarray, tuple[Group, ...]]:
    count = max(rows) + 1
    scale = colours.sequential(count + 1)[1:]
    return np.array(rows), tuple(Group(f"layer {row}", scale[row]) for row in range(count))
