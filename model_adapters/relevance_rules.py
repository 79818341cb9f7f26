"""Relevance in one backward pass: while the mode is entered, gradients become those of layer-wise relevance propagation.

Input times gradient is then the relevance by the rules of AttnLRP. The answer of the model does not change: each function
still gives its own value, and only what flows back through it is another. Nothing is known of any architecture, only of
functions of torch, by their names:

- linear layers, sums, convolutions, softmax: the ordinary gradient (the epsilon rule with an epsilon of zero, and the Taylor
  expansion of the softmax);
- products of two things that both depend on the picture (queries and keys, weights and values): an equal share each;
- normalisations: what they divide by is a constant;
- functions of single numbers that are 0 at 0 (GELU, SiLU, tanh, powers ...): output over input is a constant, so relevance
  passes whole;
- gates that are not (sigmoid, softplus): a constant, so what is gated takes all. The paper knows no such gate. Its rule for
  functions would divide by their input, which in a squeeze-and-excitation block is often near 0: relevance would explode.

Any other function keeps its ordinary gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import HigherOrderOperator, OpOverload, OpOverloadPacket
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from model_adapters.errors import AdapterError
from model_adapters.events import sdpa_arguments

Function = Callable[..., Any]
Place = int | str
"""Where an argument stands: its number, or its name."""

FACTORS: dict[str, tuple[Place, ...]] = {
    **dict.fromkeys(("mul", "multiply", "__mul__", "__rmul__"), (0, 1, "input", "other")),
    **dict.fromkeys(("matmul", "__matmul__", "__rmatmul__", "bmm", "mm", "mv", "dot"), (0, 1, "input", "other", "mat2")),
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d"), (0, 1, "input", "weight")),
    **dict.fromkeys(("baddbmm", "addmm"), (1, 2, "batch1", "batch2", "mat1", "mat2")),
}
"""Products, and which of their arguments are multiplied with each other."""
QUOTIENTS = frozenset({"div", "divide", "true_divide", "__truediv__", "__rdiv__", "__rtruediv__"})
CONSTANT = frozenset({"rsqrt", "reciprocal", "sigmoid", "hardsigmoid", "softplus"})
"""What is made to scale something else."""
ELEMENTWISE = frozenset({"gelu", "silu", "tanh", "mish", "hardswish", "elu", "selu", "celu", "pow", "__pow__", "square"})
OPEN = frozenset({"aten", "prims"})
"""Groups of operations that are torch's own."""


class RelevanceRules(TorchFunctionMode):
    """`with RelevanceRules(): score = model(picture)`; the gradient of the score times the picture is its relevance."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        args, kwargs = tree_map(_constant_weight, args), tree_map(_constant_weight, kwargs or {})
        if not any(_depends(each) for each in tree_leaves((args, kwargs))):
            return func(*args, **kwargs)
        _check_open(func)
        name = str(getattr(func, "__name__", "")).split(".")[0]
        plain = name[:-1] if name.endswith("_") and not name.endswith("__") else name
        rule = _rule_of(plain)
        if rule is None:
            return func(*args, **kwargs)
        if plain == name:
            return rule(func, args, kwargs)
        # In place: the product is made beside its first factor, and written over it.
        made = rule(getattr(torch, plain), (args[0].clone(), *args[1:]), kwargs)
        return args[0].copy_(made)


class _Carried(torch.autograd.Function):
    """The first tensor, with the gradient of the second."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, carrier: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, gradients[0]


def _carried(value: Tensor, carrier: Tensor) -> Tensor:
    return _Carried.apply(value.detach(), carrier.to(value.dtype))  # type: ignore[no-untyped-call]


def _share(tensor: Tensor, share: float) -> Tensor:
    """The tensor as it is, with a share of its gradient."""
    return tensor if share == 1 or not _depends(tensor) else _carried(tensor, tensor * share)


def _depends(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _constant_weight(value: Any) -> Any:
    """A weight of the model is no part of the picture, so it gets no relevance, whether it can learn or not."""
    return value.detach() if isinstance(value, nn.Parameter) and value.requires_grad else value


def _check_open(func: Any) -> None:
    if isinstance(func, HigherOrderOperator | OpOverload | OpOverloadPacket) and str(func).split(".")[0] not in OPEN:
        raise AdapterError(
            f"the model calls the compiled operation {func}, through which relevance cannot be followed. Load it with its plain "
            "attention (attn_implementation='sdpa' or 'eager'), or use a map by gradients."
        )


# ---- the rules


def _rule_of(name: str) -> Function | None:
    if name in FACTORS:
        return _product
    if name in ELEMENTWISE:
        return _elementwise
    if name in QUOTIENTS:
        return _quotient
    return _constant if name in CONSTANT else _NAMED.get(name)


def _shared(func: Function, args: tuple, kwargs: dict, shares: dict[Place, float]) -> Any:
    """The function, with shares of the gradient for the arguments at these places."""
    args = tuple(_share(a, shares.get(place, 1)) for place, a in enumerate(args))
    return func(*args, **{name: _share(a, shares.get(name, 1)) for name, a in kwargs.items()})


def _product(func: Function, args: tuple, kwargs: dict) -> Any:
    given = {**dict(enumerate(args)), **kwargs}
    factors = [place for place in FACTORS[func.__name__.split(".")[0]] if _depends(given.get(place))]
    return _shared(func, args, kwargs, dict.fromkeys(factors, 1 / max(1, len(factors))))


def _einsum(func: Function, args: tuple, kwargs: dict) -> Any:
    operands = list(args[1]) if isinstance(args[1], list | tuple) else list(args[1:])
    count = sum(map(_depends, operands))
    return func(args[0], *(_share(each, 1 / count) for each in operands), **kwargs)


def _quotient(func: Function, args: tuple, kwargs: dict) -> Any:
    if func.__name__ in ("__rdiv__", "__rtruediv__"):
        return func(args[0].detach(), *args[1:], **kwargs)
    kwargs = {name: a.detach() if name == "other" and isinstance(a, Tensor) else a for name, a in kwargs.items()}
    return func(args[0], *(a.detach() if isinstance(a, Tensor) else a for a in args[1:]), **kwargs)


def _constant(func: Function, args: tuple, kwargs: dict) -> Any:
    return func(*args, **kwargs).detach()


def _elementwise(func: Function, args: tuple, kwargs: dict) -> Any:
    given = args[0] if args else kwargs["input"]
    rest = [a for a in (*args[1:], *kwargs.values()) if a is not given]
    if any(map(_depends, rest)) or not _depends(given):
        return func(*args, **kwargs)
    if any(isinstance(a, int | float) and a < 0 for a in rest) and func.__name__ in ("pow", "__pow__"):
        return _constant(func, args, kwargs)  # one over a root
    bare = given.detach()
    value = func(bare.clone(), *args[1:], **{name: a for name, a in kwargs.items() if name != "input"})
    tiny = torch.finfo(bare.dtype).eps
    return _carried(value, given * (value / torch.where(bare < 0, bare - tiny, bare + tiny)))


def _glu(func: Function, args: tuple, kwargs: dict) -> Any:
    given, dim = args[0], args[1] if len(args) > 1 else kwargs.get("dim", -1)
    content, gate = given.chunk(2, dim)
    return _carried(func(given.detach(), dim), content * gate.detach().sigmoid())


def _layer_norm(
    x: Tensor, normalized_shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5, *_: Any
) -> Tensor:
    dims = tuple(range(-len(normalized_shape), 0))
    return _scaled(x - x.mean(dims, keepdim=True), dims, eps, weight)


def _rms_norm(x: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    return _scaled(x, tuple(range(-len(normalized_shape), 0)), torch.finfo(x.dtype).eps if eps is None else eps, weight)


def _group_norm(
    x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5, *_: Any
) -> Tensor:
    groups = x.reshape(len(x), num_groups, -1)
    scaled = _scaled(groups - groups.mean(-1, keepdim=True), (-1,), eps, None).reshape(x.shape)
    return scaled if weight is None else scaled * weight.view(-1, *(1,) * (x.dim() - 2))


def _unit_length(x: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: None = None) -> Tensor:
    return x / x.detach().norm(p, dim, keepdim=True).clamp_min(eps)


def _scaled(centred: Tensor, dims: tuple[int, ...], eps: float, weight: Tensor | None) -> Tensor:
    """Divided by the root of the mean square, which counts as a constant, and weighted."""
    scale = (centred.detach().pow(2).mean(dims, keepdim=True) + eps).rsqrt()
    return centred * (scale if weight is None else scale * weight)


def _norm(linear: Callable[..., Tensor]) -> Function:
    """The function's own value, with the gradient of `linear`, which has the same arguments."""

    def rule(func: Function, args: tuple, kwargs: dict) -> Any:
        x = args[0] if args else kwargs["input"]
        rest = {name: a for name, a in kwargs.items() if name not in ("input", "cudnn_enabled", "cudnn_enable")}
        with torch.no_grad():
            value = func(*args, **kwargs)
        return _carried(value, linear(x, *args[1:], **rest))

    return rule


def _attention(func: Function, args: tuple, kwargs: dict) -> Any:
    """Two products and a softmax between them, by the model's own kernel: shares multiply on the way to queries and keys."""
    call = sdpa_arguments(args, kwargs)
    by_scores = _depends(call.query) or _depends(call.key) or _depends(call.mask)
    outer = 0.5 if by_scores and _depends(call.value) else 1.0
    inner = outer * (0.5 if _depends(call.query) and _depends(call.key) else 1.0)
    shares: dict[Place, float] = {0: inner, "query": inner, 1: inner, "key": inner, 2: outer, "value": outer}
    return _shared(func, args, kwargs, {**shares, 3: outer, "attn_mask": outer})


def _multi_head(func: Function, args: tuple, kwargs: dict) -> Any:
    """Torch's attention with its projections inside: what is projected is linear, so the shares may be taken in front."""
    with torch.no_grad():
        value, weights = func(*args, **kwargs)
    given = {**dict(enumerate(args)), **kwargs}
    query, key, content = (next(given[p] for p in (n, name) if p in given) for n, name in enumerate(("query", "key", "value")))
    outer = 0.5 if _depends(content) and (_depends(query) or _depends(key)) else 1.0
    inner = outer * (0.5 if _depends(query) and _depends(key) else 1.0)
    shares: dict[Place, float] = {0: inner, "query": inner, 1: inner, "key": inner, 2: outer, "value": outer}
    return _carried(value, _shared(func, args, kwargs, shares)[0]), weights


_NAMED: dict[str, Function] = {
    "einsum": _einsum,
    "glu": _glu,
    "layer_norm": _norm(_layer_norm),
    "rms_norm": _norm(_rms_norm),
    "group_norm": _norm(_group_norm),
    "normalize": _norm(_unit_length),
    "scaled_dot_product_attention": _attention,
    "multi_head_attention_forward": _multi_head,
}
