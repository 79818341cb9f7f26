"""What counts as attention: the three functions through which weights are made, and their arguments in one form."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

ATTENTION_NAME = re.compile(r"att(n|ention)|mhsa|shsa|xca|mqa|gpsa", re.IGNORECASE)
NOT_ATTENTION_NAME = re.compile(r"indexer|hyper|router|_hc$|gate$|norm|drop|mask(?!unit)|deformable", re.IGNORECASE)

SDPA = F.scaled_dot_product_attention
MHA = F.multi_head_attention_forward
SOFTMAX = frozenset({F.softmax, torch.softmax, torch.Tensor.softmax, torch.special.softmax})

_MHA_SIGNATURE = inspect.signature(MHA)


@dataclass(frozen=True)
class Sdpa:
    """The arguments of one `scaled_dot_product_attention` call."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    mask: torch.Tensor | None
    causal: bool
    scale: float
    grouped: bool
    dropout: float


@dataclass(frozen=True)
class Softmax:
    """The arguments of one softmax that makes attention weights."""

    scores: torch.Tensor
    dim: int
    """-1, or -2 where each feature spreads over the tokens (factorised attention)."""


def sdpa_arguments(args: tuple, kwargs: dict) -> Sdpa:
    """Read a call of `scaled_dot_product_attention`, whichever way its arguments were given."""

    def take(name: str, position: int, default: Any) -> Any:
        return args[position] if len(args) > position else kwargs.get(name, default)

    query = take("query", 0, None)
    scale = kwargs.get("scale")
    return Sdpa(
        query=query,
        key=take("key", 1, None),
        value=take("value", 2, None),
        mask=take("attn_mask", 3, None),
        causal=bool(take("is_causal", 5, False)),
        scale=float(scale) if scale is not None else query.shape[-1] ** -0.5,
        grouped=bool(kwargs.get("enable_gqa", False)),
        dropout=float(take("dropout_p", 4, 0.0)),
    )


def says_attention(name: str, module: nn.Module) -> bool:
    """Whether a module's class, or the last part of its name, says that it computes attention."""
    words = (type(module).__name__, name.rsplit(".", 1)[-1])
    return any(ATTENTION_NAME.search(w) for w in words) and not any(NOT_ATTENTION_NAME.search(w) for w in words)


def attention_softmax(func: Any, args: tuple, kwargs: dict, place: tuple[str, nn.Module] | None) -> Softmax | None:
    """The softmax as an attention event, or None where it is something else (a router, a codebook, a class head).

    `place` is the innermost module running, with its dotted name.
    """
    if place is None or not says_attention(*place):
        return None
    scores = args[0] if args else kwargs.get("input")
    if not isinstance(scores, torch.Tensor) or not 3 <= scores.dim() <= 5:
        return None
    dim = args[1] if len(args) > 1 else kwargs.get("dim", -1)
    if not isinstance(dim, int):
        return None
    dim = dim if dim < 0 else dim - scores.dim()
    return Softmax(scores, dim) if dim in (-1, -2) else None


def mha_arguments(args: tuple, kwargs: dict) -> dict[str, Any]:
    """All arguments of torch's `multi_head_attention_forward` by name."""
    return dict(_MHA_SIGNATURE.bind(*args, **kwargs).arguments)


def softmax_dtype(scores: torch.Tensor, args: tuple, kwargs: dict) -> torch.dtype:
    """The precision that the model's own softmax would have returned."""
    asked = [a for a in (*args, *kwargs.values()) if isinstance(a, torch.dtype)]
    return asked[0] if asked else scores.dtype
