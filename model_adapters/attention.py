"""The arithmetic of attention: rows of weights from queries and keys, in chunks, with every mask torch knows.

Works on raw tensors [..., H, Q, D] as a kernel receives them. Nothing here knows a module, a site or an edit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import nn

from model_adapters.events import Sdpa
from model_adapters.scratch import Scratch

CHUNK_BYTES = 48 * 2**20
"""Rows of weights are made at most this many bytes at a time."""


def unpacked(call: Sdpa, modules: list[nn.Module], heads: int | None) -> Sdpa:
    """Undo the decoding trick that moves the heads of one group into the query axis.

    With grouped heads, one new token and a mask, transformers gives the kernel queries [B, kv, group, D], which reads as
    `kv` heads with `group` queries. They are `kv * group` heads with one query, kv-major.
    """
    query, key = call.query, call.key
    if heads is None or query.dim() != 4 or query.shape[1] == heads or query.shape[1] != key.shape[1]:
        return call
    group = next((g for m in reversed(modules) if isinstance(g := getattr(m, "num_key_value_groups", None), int)), 1)
    if group < 2 or query.shape[2] != group or query.shape[1] * group != heads:
        return call
    mask = call.mask
    if mask is not None and mask.dim() == 4 and mask.shape[2] == group:
        mask = mask[:, :, :1]
    return replace(call, query=query.reshape(query.shape[0], heads, 1, query.shape[3]), mask=mask, grouped=True)


def chunks(call: Sdpa, count: int) -> Iterator[slice]:
    """Slices of `count` query rows, each small enough to hold its weights."""
    per_row = call.query[..., :1, 0].numel() * call.key.shape[-2] * 4
    step = max(1, min(count, CHUNK_BYTES // max(per_row, 1)))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def scores(call: Sdpa, rows: torch.Tensor | slice | None = None, room: Scratch | None = None) -> torch.Tensor:
    """Masked scores [..., H, R, K] in float32 of the given query rows (all by default), in `room` where there is one."""
    query = call.query if rows is None else call.query[..., rows, :]
    result = _products(query, call.key, call.grouped, call.scale, room)
    if call.mask is None and not call.causal:
        return result
    if call.causal:
        index = torch.arange(call.query.shape[-2], device=query.device)
        index = index if rows is None else index[rows]
        hidden = torch.arange(call.key.shape[-2], device=query.device) > index[:, None]
        result.masked_fill_(hidden, float("-inf"))
    if call.mask is not None:
        mask = call.mask
        if rows is not None and mask.dim() > 1 and mask.shape[-2] > 1:
            mask = mask[..., rows, :]
        if mask.dtype == torch.bool:
            result.masked_fill_(~mask, float("-inf"))
        else:
            result.add_(mask.float())
    return result


def softmax_rows(scored: torch.Tensor, *, masked: bool = True) -> torch.Tensor:
    """Weights of scored rows; a row whose keys are all masked gets weights of zero, as the kernels' outputs have it."""
    with torch._C.DisableTorchFunction():  # another tap around this one must not take it for the model's own
        weights = scored.softmax(-1) if scored.requires_grad else torch.softmax(scored, -1, out=scored)
    if not masked:
        return weights
    # A fully masked row is NaN throughout, so its first entry tells.
    empty = torch.isnan(weights[..., :1])
    return weights.masked_fill(empty, 0.0) if bool(empty.any()) else weights


def weights(call: Sdpa, rows: torch.Tensor | slice | None = None, room: Scratch | None = None) -> torch.Tensor:
    """The attention weights [..., H, R, K], float32, in `room` where there is one."""
    return softmax_rows(scores(call, rows, room), masked=call.mask is not None)


def mix(call: Sdpa, weights: torch.Tensor) -> torch.Tensor:
    """Weights @ values [..., H, R, D], grouped heads included."""
    value = call.value
    weights = weights.to(value.dtype)
    if not _grouped(weights, value, call.grouped):
        return weights @ value
    b, h, r, k = weights.shape
    kv = value.shape[1]
    return (weights.reshape(b, kv, h // kv * r, k) @ value).reshape(b, h, r, value.shape[-1])


def explicit(call: Sdpa, edit: Callable[[torch.Tensor, slice], torch.Tensor]) -> torch.Tensor:
    """The output of attention with `edit(scores, rows) -> weights` in the middle, chunk by chunk."""
    parts = [mix(call, edit(scores(call, rows), rows)) for rows in chunks(call, call.query.shape[-2])]
    return parts[0] if len(parts) == 1 else torch.cat(parts, -2)


def select_heads(call: Sdpa, index: torch.Tensor) -> Sdpa:
    """The same call for some of its heads only (rank 4: heads are axis 1)."""
    ratio = call.query.shape[1] // call.key.shape[1]
    mask = call.mask
    if mask is not None and mask.dim() == 4 and mask.shape[1] > 1:
        mask = mask[:, index]
    return replace(
        call, query=call.query[:, index], key=call.key[:, index // ratio], value=call.value[:, index // ratio],
        mask=mask, grouped=False,
    )  # fmt: skip


def select_items(call: Sdpa, index: slice) -> Sdpa:
    """The same call for some entries of its first axis (rank 4)."""
    mask = call.mask
    if mask is not None and mask.dim() == 4 and mask.shape[0] > 1:
        mask = mask[index]
    return replace(call, query=call.query[index], key=call.key[index], value=call.value[index], mask=mask)


def _grouped(many: torch.Tensor, few: torch.Tensor, grouped: bool) -> bool:
    return grouped and many.dim() == 4 and many.shape[1] != few.shape[1]


def _products(query: torch.Tensor, key: torch.Tensor, grouped: bool, scale: float, room: Scratch | None) -> torch.Tensor:
    query, key = query.float(), key.float()
    shape = (*query.shape[:-1], key.shape[-2])
    if _grouped(query, key, grouped):
        b, h, r, d = query.shape
        query = query.reshape(b, key.shape[1], h // key.shape[1] * r, d)
    if room is None or query.shape[:-2] != key.shape[:-2]:
        return (query * scale @ key.transpose(-2, -1)).reshape(shape)
    query, key = query.flatten(0, -3), key.flatten(0, -3)
    made = room.like((*query.shape[:-1], key.shape[-2]), query.device)
    return torch.baddbmm(made, query, key.transpose(-2, -1), beta=0, alpha=scale, out=made).view(shape)
