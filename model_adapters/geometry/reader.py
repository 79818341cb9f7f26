"""Reads the places of a site from the dyes that reached its rows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np

from model_adapters.geometry.codes import decode
from model_adapters.geometry.places import Places, SitePlaces, classified
from model_adapters.geometry.records import Seen

_ELEMENT = "Each weight belongs to one token by itself; there are no query rows. Keys are the tokens of each weight."
_NO_PRODUCT = "These rows were not met in a product with attention weights."
_FACTORISED = "Queries are features: each feature spreads over the tokens, so this is no map from token to token."


@dataclass(frozen=True)
class Reader:
    """The dyes that were used: per axis its cells [D, cells], in this order, and the extent of a cell."""

    tables: dict[str, np.ndarray]
    units: dict[str, int]
    extent: np.ndarray
    """[tiles, 2] height and width of every tile or frame."""
    known: dict[tuple[bytes, ...], Places] = field(default_factory=dict, repr=False)
    """What was read before: the sites of a stage mostly show the same."""

    def site(self, seen: Seen, padding: Seen | None, *, channels: bool = False) -> SitePlaces:
        """The places of one site."""
        if seen.reason:
            queries, keys = (Places.nowhere(seen.windows * count, seen.reason) for count in seen.shape)
            return SitePlaces(queries, keys, keys, seen.windows, seen.kind)
        queries, keys, values = (self._named(seen, padding, name) for name in ("queries", "keys", "values"))
        windows = seen.windows
        if seen.keys is None:
            keys = values
        if seen.kind == "factorised":
            queries = replace(queries, reason=_FACTORISED)
        if seen.elements is not None and element_wise(seen):
            windows *= seen.shape[0]
            keys = values = replace(self._side(seen.elements, None), reason=_ELEMENT)
            queries = replace(Places.nowhere(windows, _ELEMENT), quality="element")
        channels = channels and queries.quality == "none"
        return SitePlaces(queries, keys, values, windows, seen.kind, channels, shared=seen.keys is None)

    def _named(self, seen: Seen, padding: Seen | None, name: str) -> Places:
        hits, pads = getattr(seen, name), getattr(padding, name, None)
        if hits is None:
            return Places.nowhere(seen.windows * seen.shape[name != "queries"], _NO_PRODUCT)
        return self._side(hits, pads)

    def _side(self, hits: np.ndarray, pads: np.ndarray | None) -> Places:
        key = tuple(b"" if each is None else hashlib.blake2b(each.tobytes()).digest() for each in (hits, pads))
        if key not in self.known:
            self.known[key] = self._read(hits, pads)
        return self.known[key]

    def _read(self, hits: np.ndarray, pads: np.ndarray | None) -> Places:
        rows, first = hits.shape[1], 0
        sizes = {"y": self.extent[:, 0].max(), "x": self.extent[:, 1].max(), "z": len(self.extent)}
        spans = {name: np.tile([0, size], (rows, 1)) for name, size in sizes.items()}
        reached = np.ones(rows, bool)
        for name, table in self.tables.items():
            decoded = decode(hits[first : first + len(table)], table)
            spans[name] = np.stack([decoded.start, decoded.stop], 1) * self.units[name]
            reached &= decoded.start >= 0
            first += len(table)
        return classified(spans, reached, self.extent, np.zeros(rows, bool) if pads is None else pads[0])


def element_wise(seen: Seen) -> bool:
    """Whether single weights of a row show different dyes."""
    if seen.elements is None or seen.shape[1] < 2:
        return False
    by_row = seen.elements.reshape(len(seen.elements), -1, seen.shape[1])
    return bool((by_row.any(-1) != by_row.all(-1)).any())
