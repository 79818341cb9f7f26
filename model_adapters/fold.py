"""How the axes of one attention tensor fold into batch, windows, heads, queries and keys.

Models put windows or tiles into the batch axis (Swin), beside the heads (Hiera) or before them (Twins), and fuse heads
into the batch (3-d bmm). A `Fold` opens such a tensor to [B, W, H, Q, K] and closes it again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from model_adapters.errors import AdapterError

_HEAD_NAMES = ("num_heads", "num_attention_heads", "n_heads", "n_head", "nhead", "heads", "num_head", "nh")


@dataclass(frozen=True)
class Fold:
    """The leading axes of a raw tensor [..., Q, K] and what they mean."""

    lead: tuple[int, ...]
    batch: int
    windows: int
    heads: int
    heads_first: bool = False
    """Windows come after the heads: [B, H, W, Q, K]."""

    def open(self, raw: torch.Tensor) -> torch.Tensor:
        """[..., Q, X] -> [B, W, H, Q, X]; a view wherever torch can give one."""
        tail = raw.shape[-2:]
        if self.heads_first:
            return raw.reshape(self.batch, self.heads, self.windows, *tail).transpose(1, 2)
        return raw.reshape(self.batch, self.windows, self.heads, *tail)

    def close(self, opened: torch.Tensor) -> torch.Tensor:
        """[B, W, H, Q, X] -> the raw shape."""
        if self.heads_first:
            opened = opened.transpose(1, 2)
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


def fold_of(lead: tuple[int, ...], batch: int, heads: int | None) -> Fold:
    """Read the leading axes of a tensor [*lead, Q, K], given the batch size and the declared number of heads."""
    if not lead or lead[0] % batch:
        raise AdapterError(
            f"A batch of {batch} was asked for, but this attention runs over a leading axis of {lead[:1]}: the images "
            "of the batch are packed or tiled unevenly. Give them one at a time, or keep only the sites of the decoder."
        )
    if len(lead) == 1:
        count = head_count((lead[0] // batch,), heads)
        return Fold(lead, batch, lead[0] // batch // count, count)
    if len(lead) == 2:
        return Fold(lead, batch, lead[0] // batch, lead[1])
    if len(lead) == 3:
        outer = lead[0] // batch
        if outer == 1 and (lead[1] == heads or lead[2] != heads):
            return Fold(lead, batch, lead[2], lead[1], heads_first=True)
        return Fold(lead, batch, outer * lead[1], lead[2])
    raise AdapterError(f"Attention of {len(lead) + 2} dimensions was met, shape {lead} before queries and keys; 3 to 5 work.")
