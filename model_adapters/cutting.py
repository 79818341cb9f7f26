"""Edges cut within the model's own kernel: where edits do nothing but cut, its mask says so, and no scores are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from model_adapters.edits import Block, Edit
from model_adapters.events import Sdpa
from model_adapters.where import Scope


def without_edges(kernel: Callable, call: Sdpa, edits: Sequence[Edit], scope: Scope) -> torch.Tensor | None:
    """The kernel's output [B, H, Q, D] without the edges that the edits cut; None where it has to be made from scores.

    Kernels differ in what they return for a row with no key left, so such rows are made from scores too.
    """
    if call.query.dim() != 4 or scope.windows != 1 or not all(type(edit) is Block for edit in edits):
        return None
    told = {"scale": call.scale, "enable_gqa": call.grouped}
    places = [edit.where for edit in edits if () not in (edit.where.heads, edit.where.queries, edit.where.keys)]
    if not places:
        return kernel(call.query, call.key, call.value, attn_mask=call.mask, is_causal=call.causal, **told)
    cut = _any([scope.mask(where) for where in places])
    if cut is None:
        return None
    seen = _seen(call, cut[:, 0])
    open_edges = seen if seen.dtype == torch.bool else seen > float("-inf")
    if not bool(open_edges.any(-1).all()):
        return None
    return kernel(call.query, call.key, call.value, attn_mask=seen, **told)


def _any(masks: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    """Bool [B, 1, H, q, K] with axes of 1 where all are meant; None where everything is cut."""
    result = masks[0]
    for mask in masks[1:]:
        result = None if mask is None or result is None else result | mask
    return result


def _seen(call: Sdpa, cut: torch.Tensor) -> torch.Tensor:
    """The kernel's mask without the cut edges: True (or its own numbers) where a query may look."""
    if call.causal:
        rows, keys = (torch.arange(each.shape[-2], device=cut.device) for each in (call.query, call.key))
        cut = cut | (keys > rows[:, None])
    if call.mask is None:
        return ~cut
    return call.mask & ~cut if call.mask.dtype == torch.bool else call.mask.masked_fill(cut, float("-inf"))
