"""One call of softmax or of an attention kernel, as a survey met it, and whether it is attention."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from model_adapters.events import says_attention
from model_adapters.role import Place

_PROBE = 7
"""Seed of the vector that tells whether weights were changed on their way."""


@dataclass(eq=False)
class Event:
    """One call of softmax, or of an attention kernel."""

    name: str
    module: nn.Module
    place: Place
    kind: str
    """softmax, sdpa or mha."""
    shape: tuple[int, ...]
    dim: int = -1
    """The axis that the softmax sums over, counted from the end."""
    of_products: bool = False
    """Its scores are a product of two activations."""
    sketch: torch.Tensor | None = None
    """Weights times a random vector over the keys: what is left of them to compare."""
    lead: torch.Tensor | None = None
    """Of a kernel, one number for each entry of the leading axes, which tells the items of a batch apart."""
    orders: list[tuple[int, ...]] = field(default_factory=list)
    """For each product with values, which axis of the softmax is which of [..., queries, keys]."""
    changed: bool = False
    spread: bool = False
    """The weights were multiplied element by element with something of another shape."""
    inputs: tuple[tuple[int, ...], ...] = ()
    """The shapes of what the modules around it were given."""
    values: int = 0
    """The width of the values."""


def is_attention(event: Event) -> bool:
    """Whether what a softmax made is used as attention."""
    named = says_attention(event.name, event.module)
    if event.spread and not event.orders:
        return (event.of_products or named) and event.dim in (-1, -2)
    return bool(event.orders) and (event.of_products or named or _by_tokens(event))


def _by_tokens(event: Event) -> bool:
    """Whether it spreads over more entries than any axis beside it but the batch has."""
    size = event.shape[event.dim]
    return size > 4 and all(size >= beside for beside in event.shape[1:-2])


def sketch(weights: torch.Tensor, dim: int) -> torch.Tensor:
    """Weights times a random vector over their keys, without the axis of the keys."""
    with torch._C.DisableTorchFunction():
        generator = torch.Generator().manual_seed(_PROBE)
        vector = torch.randn(weights.shape[dim], generator=generator).to(weights.device)
        return (torch.nan_to_num(weights.detach().float()).movedim(dim, -1) * vector).sum(-1)


def same(before: torch.Tensor | None, after: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether two sketches hold the same numbers, in whatever order their axes are.

    `dtype` is that of the later weights: putting them into half precision rounds them, which is no change of the model's.
    """
    if before is None or before.numel() != after.numel():
        return False
    one, other = before.flatten().sort().values, after.flatten().sort().values
    within = 1e-2 if dtype in (torch.float16, torch.bfloat16) else 1e-5
    return float((one - other).abs().max()) <= within * max(1.0, float(one.abs().max()))
