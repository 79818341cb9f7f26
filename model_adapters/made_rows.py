"""Which rows of a site are made at a time, what their numbers are, and how the parts are put together again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch

from model_adapters import attention
from model_adapters.events import Sdpa
from model_adapters.fold import Fold, rows
from model_adapters.site import Site


def untouched(made: torch.Tensor) -> torch.Tensor:
    """All heads as they are: those that are kept were chosen before."""
    return made


def head_number(head: int, site: Site) -> int:
    """A head of a site counted from its first; one that is not there is refused."""
    if not -site.heads <= head < site.heads:
        raise ValueError(f"head {head} of {site.name} was asked for, but it has heads 0 to {site.heads - 1}.")
    return head % site.heads


def inside_windows(kept: torch.Tensor | None, windows: int, queries: int) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Row numbers over all windows as (rows inside every window, rows to pick afterwards)."""
    if kept is None:
        return None, None
    if windows == 1:
        return kept, None
    inside = torch.unique(kept % queries)
    grid = (torch.arange(windows, device=kept.device)[:, None] * queries + inside).flatten()
    after = torch.searchsorted(grid, kept)
    return inside, None if len(after) == len(grid) else after


def items(call: Sdpa, fold: Fold) -> Iterator[tuple[Sdpa, Fold]]:
    """A batch item by item on a processor: what is made of one stays in its cache until it is reduced."""
    if fold.batch == 1 or call.query.device.type != "cpu" or call.query.dim() != 4 or not fold.is_plain:
        yield call, fold
        return
    one = replace(fold, lead=(fold.windows, fold.heads), batch=1)
    for start in range(0, fold.lead[0], fold.windows):
        yield attention.select_items(call, slice(start, start + fold.windows)), one


def row_chunks(call: Sdpa, inside: torch.Tensor | None, queries: int) -> Iterator[Any]:
    """Rows of every window, as many at a time as fit."""
    for chunk in attention.chunks(call, queries if inside is None else len(inside)):
        yield chunk if inside is None else inside[chunk]


def row_numbers(chunk: slice | torch.Tensor, windows: int, queries: int, device: torch.device) -> torch.Tensor:
    """The numbers, among all rows of a site, of a chunk of the rows of every window."""
    if isinstance(chunk, slice):
        return _numbered(chunk.start, chunk.stop, windows, queries, device)
    return (torch.arange(windows, device=device)[:, None] * queries + chunk).flatten()


@lru_cache(maxsize=64)
def _numbered(start: int, stop: int, windows: int, queries: int, device: torch.device) -> torch.Tensor:
    """Shared: every item of a batch asks for it again, in every layer."""
    return row_numbers(torch.arange(start, stop, device=device), windows, queries, device)


def joined(parts: list[torch.Tensor], windows: int) -> torch.Tensor:
    """Chunks [B, H, W * q, ...] -> [B, H, W * Q, ...]: windows stay in the outer order."""
    if windows == 1:
        return torch.cat(parts, 2)
    opened = [p.unflatten(2, (windows, -1)) for p in parts]
    return torch.cat(opened, 3).flatten(2, 3)


def all_heads(tensor: torch.Tensor, fold: Fold) -> torch.Tensor:
    """Keys or values [*lead, K, D] with one entry per query head [B, H, W * K, D]."""
    if tensor.dim() == 4 and len(fold.lead) == 2 and tensor.shape[1] != fold.lead[1]:
        tensor = tensor.repeat_interleave(fold.lead[1] // tensor.shape[1], 1)
    return rows(fold.open(tensor))
