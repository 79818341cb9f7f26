"""What counts as attention: the three functions through which weights are made, and their arguments in one form."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from model_adapters.role import Role, role_here

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
    order: tuple[int, ...]
    """Which axis of the scores is which of [..., queries, keys]."""
    factorised: bool = False
    """Each feature spreads over the tokens: no token-to-token weights."""
    role: Role | None = None
    """What the survey of the model has found about it."""

    def opened(self, raw: torch.Tensor) -> torch.Tensor:
        """A tensor of the scores' axes as [..., Q, K]."""
        return raw if self.straight else raw.permute(self.order)

    def closed(self, opened: torch.Tensor) -> torch.Tensor:
        """[..., Q, K] as the model's axes have it."""
        return opened if self.straight else opened.permute(self.places)

    @property
    def places(self) -> tuple[int, ...]:
        """Which axis of [..., Q, K] stands where in the model's tensor."""
        return tuple(self.order.index(i) for i in range(len(self.order)))

    @property
    def dim(self) -> int:
        """-1, or -2 where each feature spreads over the tokens."""
        return -2 if self.factorised else -1

    @property
    def straight(self) -> bool:
        """Whether queries and keys are the last two axes."""
        return self.order == tuple(range(len(self.order)))


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


def softmax_arguments(args: tuple, kwargs: dict) -> tuple[torch.Tensor, int] | None:
    """The scores of a softmax and the axis it sums over, counted from the end; None where it takes something else."""
    scores = args[0] if args else kwargs.get("input", kwargs.get("self"))
    dim = args[1] if len(args) > 1 else kwargs.get("dim", -1)
    if not isinstance(scores, torch.Tensor) or not isinstance(dim, int):
        return None
    return scores, dim if dim < 0 else dim - scores.dim()


def attention_softmax(func: Any, args: tuple, kwargs: dict, place: tuple[str, nn.Module] | None) -> Softmax | None:
    """The softmax as an attention event, or None where it is something else (a router, a codebook, a class head).

    What the survey of the model has found decides; in a model that was never surveyed the name of the module does.
    `place` is the innermost module running, with its dotted name.
    """
    found = softmax_arguments(args, kwargs) if place is not None else None
    if found is None or place is None or not 3 <= found[0].dim() <= 5:
        return None
    scores, dim = found
    role = role_here(place[1])
    if role is not None:
        straight = tuple(range(scores.dim()))
        order = role.order if role.order is not None and len(role.order) == scores.dim() else straight
        return None if role.kind == "other" else Softmax(scores, order, role.kind == "factorised", role)
    if not says_attention(*place) or dim not in (-1, -2):
        return None
    straight = tuple(range(scores.dim()))
    return Softmax(scores, straight if dim == -1 else (*straight[:-2], straight[-1], straight[-2]), dim == -2)


def mha_arguments(args: tuple, kwargs: dict) -> dict[str, Any]:
    """All arguments of torch's `multi_head_attention_forward` by name."""
    return dict(_MHA_SIGNATURE.bind(*args, **kwargs).arguments)


def softmax_dtype(scores: torch.Tensor, args: tuple, kwargs: dict) -> torch.dtype:
    """The precision that the model's own softmax would have returned."""
    asked = [a for a in (*args, *kwargs.values()) if isinstance(a, torch.dtype)]
    return asked[0] if asked else scores.dtype
