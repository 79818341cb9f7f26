"""From places on the processed input to rows on the original image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_adapters.geometry.originals import Originals
from model_adapters.geometry.places import Places, SitePlaces
from model_adapters.geometry.tiles import TileMap
from model_adapters.layout import Layout, Rows


@dataclass(frozen=True)
class Assembler:
    """Knows the tiles of the processed input and the originals they show."""

    maps: Sequence[TileMap]
    originals: Originals
    prefix: Sequence[str] = ()
    """The roles of a tower's tokens that are parameters, in their order."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the first original, or of the processed image where there is none."""
        if self.originals.known:
            return self.originals.size
        return int(self.maps[0].inside[2]), int(self.maps[0].inside[3])

    def tower(self, place: SitePlaces) -> Layout:
        """The layout of a site inside a tower."""
        queries, keys, values = (self.rows(side, self.tower_roles(place, side)) for side in place.sides)
        quality, reason = _quality(place)
        return Layout(queries, keys, values, place.windows, quality, reason, self.size)

    def rows(self, places: Places, roles: np.ndarray) -> Rows:
        """Rows with boxes in pixels of their originals; patches that show no part of an original are padding."""
        boxes = np.full((len(places), 4), np.nan, np.float32)
        image, tile, frame = (np.full(len(places), -1, np.int16) for _ in range(3))
        for number in np.unique(places.tile[places.placed]):
            mine = np.flatnonzero((places.tile == number) & places.placed)
            shown = self.maps[number]
            boxes[mine] = shown.boxes(places.boxes[mine], self._size_of(shown))
            mine = mine[~np.isnan(boxes[mine, 0])]
            image[mine], frame[mine] = self._address(shown.source)
            tile[mine] = self._tile_number(int(number))
        roles = roles.copy()
        roles[places.placed & np.isnan(boxes[:, 0])] = "pad"
        return Rows(roles, boxes, image, tile, frame)

    def tower_roles(self, place: SitePlaces, places: Places) -> np.ndarray:
        """patch, pad, or the roles of the prefix in the order its rows stand."""
        roles = np.full(len(places), "patch", dtype=object)
        if place.channels:
            roles[:] = "channel"
            return roles
        if place.kind == "factorised" and places is place.queries:
            roles[:] = "feature"
            return roles
        roles[~places.placed] = "unknown"
        roles[places.padding] = "pad"
        for group in _runs(roles == "unknown", max(len(places) // place.windows, 1)):
            if len(group) <= len(self.prefix):
                roles[group] = self.prefix[: len(group)]
        if not places.placed.any() and any(side.placed.any() for side in place.sides):
            roles[roles == "unknown"] = "query"
        return roles

    def _size_of(self, shown: TileMap) -> tuple[int, int]:
        if self.originals.known and shown.source >= 0:
            return self.originals.pictures[shown.source].size
        return int(shown.inside[2]), int(shown.inside[3])

    def _address(self, source: int) -> tuple[int, int]:
        return self.originals.address(source) if self.originals.known else (source, 0)

    def _tile_number(self, number: int) -> int:
        source = self.maps[number].source
        return sum(m.source == source for m in self.maps[:number])


def _runs(mask: np.ndarray, window: int) -> list[np.ndarray]:
    """The runs of consecutive rows in a mask, none longer than a window reaches."""
    rows = np.flatnonzero(mask)
    breaks = np.flatnonzero((np.diff(rows) > 1) | (rows[1:] % window == 0)) + 1
    return [run for run in np.split(rows, breaks) if len(run)]


def _quality(place: SitePlaces) -> tuple:
    """The worst of the sides that have a place at all; none where no side has one."""
    kinds = [side.quality for side in place.sides]
    if place.queries.quality == "element" or place.kind == "factorised":
        return "none", place.queries.reason
    if all(kind == "none" for kind in kinds) or (place.channels and "none" in kinds):
        return "none", place.queries.reason
    for side in place.sides:
        if side.quality == "box":
            return "box", side.reason
    return "tile", ""
