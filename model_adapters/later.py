"""Rows of new tokens, made together: a cache that only grows holds at the end all keys that each of them has seen.

One product of many queries costs hardly more than that of one, and a generation asks one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import torch

from model_adapters import attention
from model_adapters.events import Sdpa

T = TypeVar("T")
MOST = 64
"""Queries that wait at a site; more would need as much memory for their product as they save time."""


@dataclass
class _Waiting(Generic[T]):
    call: Sdpa
    """The last call: its keys hold all earlier ones."""
    queries: list[torch.Tensor] = field(default_factory=list)
    records: list[T] = field(default_factory=list)

    @property
    def length(self) -> int:
        return self.call.key.shape[-2]


class Later(Generic[T]):
    """The queries of each site that wait for their rows of weights."""

    def __init__(self, done: Callable[[T, torch.Tensor], None]) -> None:
        """`done` is given a record and its weights [1, H, 1, K]."""
        self._done = done
        self._sites: dict[object, _Waiting[T]] = {}

    @staticmethod
    def takes(call: Sdpa) -> bool:
        """Whether this is one query of one answer over all keys of its cache."""
        plain = call.mask is None and not call.causal and call.query.dim() == 4
        return plain and call.query.shape[0] == 1 and call.query.shape[-2] == 1

    def add(self, site: object, call: Sdpa, record: T) -> None:
        """A call that waits. Where the keys are not those of the call before and one more, that one's rows are made first."""
        here = self._sites.get(site)
        if here is not None and (call.key.shape[-2] != here.length + 1 or len(here.records) == MOST):
            self._make(here)
            here = None
        if here is None:
            here = self._sites[site] = _Waiting(call)
        here.call = call
        here.queries.append(call.query)
        here.records.append(record)

    def finish(self) -> None:
        """All rows that wait are made."""
        for here in self._sites.values():
            self._make(here)
        self._sites.clear()

    def clear(self) -> None:
        """They are not needed any more."""
        self._sites.clear()

    def _make(self, here: _Waiting[T]) -> None:
        for record, made in zip(here.records, _rows(here), strict=True):
            self._done(record, made)


def _rows(here: _Waiting) -> Iterator[torch.Tensor]:
    count = len(here.queries)
    scored = attention.scores(replace(here.call, query=torch.cat(here.queries, -2)))
    lengths = torch.arange(here.length - count, here.length, device=scored.device) + 1
    scored.masked_fill_(torch.arange(here.length, device=scored.device) >= lengths[:, None], float("-inf"))
    weights = attention.softmax_rows(scored, masked=False)
    for row, length in enumerate(lengths.tolist()):
        yield weights[..., row : row + 1, :length]
