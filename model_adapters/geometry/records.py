"""What passes of a dye saw at the attention sites: which rows of queries, keys and values were reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from model_adapters.errors import AdapterError
from model_adapters.fold import fold_of

Key = tuple[str, int]
"""A site: the name of the module that ran it, and its call number in one forward pass."""
VARIES = "How many rows this attention has depends on what the picture shows, so their places cannot be measured."
_SIDES = ("queries", "keys", "values", "elements")


@dataclass
class Seen:
    """The dyed rows of one site, one line per dye, rows window by window."""

    kind: str = "sdpa"
    windows: int = 1
    queries: np.ndarray | None = None
    """[dyes, windows * Q] bool."""
    keys: np.ndarray | None = None
    """[dyes, windows * K] bool."""
    values: np.ndarray | None = None
    """[dyes, windows * K] bool."""
    elements: np.ndarray | None = None
    """[dyes, windows * Q * K] bool: for weights that are no product of queries and keys."""
    mixed: bool = False
    """Rows are dyed only in a part of their features: they are channels, not tokens."""
    shape: tuple[int, int] = (0, 0)
    """Query rows and key rows per window."""
    reason: str = ""
    """Why its rows cannot be told apart by dye; empty where they can."""

    def joined(self, other: Seen) -> Seen:
        """The dyes of both; without any where the two had other rows."""
        reason = self.reason or other.reason
        if reason or any(_rows(getattr(self, n)) != _rows(getattr(other, n)) for n in _SIDES):
            return Seen(self.kind, self.windows, shape=self.shape, reason=reason or VARIES)
        both: dict[str, Any] = {
            name: None if (a := getattr(self, name)) is None or (b := getattr(other, name)) is None else np.concatenate([a, b])
            for name in _SIDES
        }
        return Seen(self.kind, self.windows, mixed=self.mixed or other.mixed, shape=self.shape, **both)

    def take(self, dyes: np.ndarray) -> Seen:
        """Only these dyes."""
        some: dict[str, Any] = {name: None if (a := getattr(self, name)) is None else a[dyes] for name in _SIDES}
        return Seen(self.kind, self.windows, mixed=self.mixed, shape=self.shape, reason=self.reason, **some)

    @property
    def reached(self) -> int:
        """How many rows were dyed in all."""
        return sum(int(a.sum()) for a in (self.queries, self.keys, self.values) if a is not None)


@dataclass
class Sightings:
    """All sites of one pass, in the order of execution."""

    batch: int
    sites: dict[Key, Seen] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)

    def meet(self, name: str, kind: str) -> Key:
        """A new attention event in this module."""
        key = (name, self.calls.get(name, 0))
        self.calls[name] = key[1] + 1
        self.sites[key] = Seen(kind)
        return key

    def put(self, key: Key, field_name: str, raw: torch.Tensor, heads: int | None) -> None:
        """Note the dyed rows [*lead, N] of one side of a site."""
        seen = self.sites[key]
        try:
            fold = fold_of(tuple(raw.shape[:-1]), self.batch, heads)
        except AdapterError as error:
            if self.batch > 1:  # alone, the picture may still be followed
                raise
            seen.reason = str(error)
            return
        opened = fold.open(raw.unsqueeze(-1))[..., 0]
        if field_name in ("queries", "elements"):
            seen.windows = fold.windows
        setattr(seen, field_name, opened.any(2).flatten(1).cpu().numpy())


def _rows(hits: np.ndarray | None) -> int | None:
    return None if hits is None else hits.shape[1]


def joined(parts: list[dict[Key, Seen]]) -> dict[Key, Seen]:
    """The dyes of several passes, for the sites that all of them met."""
    result = parts[0]
    for part in parts[1:]:
        result = {key: seen.joined(part[key]) for key, seen in result.items() if key in part}
    return result
