"""How the axes of one attention tensor fold into batch, windows, heads, queries and keys.

Models put windows or tiles into the batch axis (Swin), beside the heads (Hiera) or before them (Twins), and fuse heads
into the batch (3-d bmm). A `Fold` opens such a tensor to [B, W, H, Q, K] and closes it again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from model_adapters.errors import AdapterError
from model_adapters.role import FIRST, BatchPlace

_HEAD_NAMES = ("num_heads", "num_attention_heads", "n_heads", "n_head", "nhead", "heads", "num_head", "nh")


@dataclass(frozen=True)
class Fold:
    """The leading axes of a raw tensor [..., Q, K] and what they mean."""

    lead: tuple[int, ...]
    batch: int
    windows: int
    heads: int
    order: str = "bwh"
    """Which part stands where: the items of the batch, windows, heads."""

    @property
    def is_plain(self) -> bool:
        """Whether the axes are [B, W, H, Q, K], perhaps with B and W in one."""
        return self.order == "bwh"

    def open(self, raw: torch.Tensor) -> torch.Tensor:
        """[..., Q, X] -> [B, W, H, Q, X]; a view wherever torch can give one."""
        tail = raw.shape[-2:]
        sizes = {"b": self.batch, "w": self.windows, "h": self.heads}
        parts = raw.reshape(*(sizes[part] for part in self.order), *tail)
        return parts if self.is_plain else parts.permute(*(self.order.index(part) for part in "bwh"), 3, 4)

    def close(self, opened: torch.Tensor) -> torch.Tensor:
        """[B, W, H, Q, X] -> the raw shape."""
        if not self.is_plain:
            opened = opened.permute(*("bwh".index(part) for part in self.order), 3, 4)
        return opened.reshape(*self.lead, *opened.shape[-2:])


def rows(opened: torch.Tensor) -> torch.Tensor:
    """[B, W, H, Q, X] -> [B, H, W * Q, X]: the form in which rows are kept."""
    b, w, h, q, x = opened.shape
    return opened.transpose(1, 2).reshape(b, h, w * q, x)


def declared_heads(modules: list[nn.Module]) -> int | None:
    """The number of heads that the innermost module with an opinion declares (never read from one call's shape)."""
    for module in reversed(modules):
        for owner in (module, getattr(module, "config", None)):
            for name in _HEAD_NAMES:
                value = getattr(owner, name, None)
                if isinstance(value, int) and value > 0:
                    return 1 if _one_by_one(module, value) else value
    return None


def _one_by_one(module: nn.Module, heads: int) -> bool:
    """Whether a module keeps a list with an entry per head: then it runs its heads one after the other."""
    return heads > 1 and any(isinstance(child, nn.ModuleList) and len(child) == heads for child in module.children())


def head_count(lead: tuple[int, ...], heads: int | None) -> int:
    """How many heads a tensor [*lead, Q, K] has, given what its module declares."""
    if len(lead) == 1:
        return heads if heads and lead[0] % heads == 0 else 1
    if len(lead) == 2:
        return lead[1]
    return lead[1] if lead[1] == heads or lead[2] != heads else lead[2]


def heads_of(lead: tuple[int, ...], batch: int, heads: int | None, place: BatchPlace) -> int:
    """How many heads a tensor [*lead, Q, K] has, wherever the items of a batch lie in it."""
    return head_count(lead, heads) if place in (FIRST, _UNKNOWN) else fold_of(lead, batch, heads, place).heads


def fold_of(lead: tuple[int, ...], batch: int, heads: int | None, place: BatchPlace = FIRST) -> Fold:
    """Read the leading axes of a tensor [*lead, Q, K].

    Args:
        lead: the sizes of the leading axes.
        batch: how many items the model was given at once.
        heads: the number of heads that its module declares.
        place: where the items lie among the leading axes.
    """
    if len(lead) > 3:
        raise AdapterError(f"Attention of {len(lead) + 2} dimensions was met, shape {lead} before queries and keys; 3 to 5 work.")
    if not place.known and batch > 1:
        raise AdapterError(
            f"A batch of {batch} was asked for, but where its images lie in this attention of shape {lead} could not be told "
            "from two that ran together. Give them one at a time."
        )
    if not lead or lead[place.axis] % batch:
        raise AdapterError(
            f"A batch of {batch} was asked for, but this attention runs over a leading axis of {lead[:1]}: the images "
            "of the batch are packed or tiled unevenly. Give them one at a time, or keep only the sites of the decoder."
        )
    return _first(lead, batch, heads) if place in (FIRST, _UNKNOWN) else _elsewhere(lead, batch, heads, place)


_UNKNOWN = BatchPlace(known=False)


def _first(lead: tuple[int, ...], batch: int, heads: int | None) -> Fold:
    """The items of the batch come first in the first axis."""
    if len(lead) == 1:
        count = head_count((lead[0] // batch,), heads)
        return Fold(lead, batch, lead[0] // batch // count, count)
    if len(lead) == 2:
        return Fold(lead, batch, lead[0] // batch, lead[1])
    outer = lead[0] // batch
    if outer == 1 and (lead[1] == heads or lead[2] != heads):
        return Fold(lead, batch, lead[2], lead[1], "bhw")
    return Fold(lead, batch, outer * lead[1], lead[2])


def _elsewhere(lead: tuple[int, ...], batch: int, heads: int | None, place: BatchPlace) -> Fold:
    """The items lie inside or behind other parts: around them are heads, windows, or windows and heads."""
    own = lead[place.axis] // batch
    inner = own if place.inner is None else place.inner
    before = math.prod(lead[: place.axis]) * (own // max(inner, 1))
    after = inner * math.prod(lead[place.axis + 1 :])
    whole = before * after
    apart = lead[1 - place.axis] if len(lead) == 2 else after if after > 1 else before
    count = heads if heads and whole % heads == 0 else apart
    if own % max(inner, 1) == 0 and count in (before, after) and whole // count in (before, after):
        around = "hbw" if count == before and (count != after or after == 1) else "wbh"
        return Fold(lead, batch, whole // count, count, around)
    raise AdapterError(
        f"A batch of {batch} lies inside the axes {lead} of this attention, between parts of {before} and {after}, which are "
        f"no whole windows and heads ({heads or 'not declared'}). Give the images one at a time."
    )
