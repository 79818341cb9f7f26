"""How the axes of a tensor move through a torch function: which axis of the result is which axis of the argument.

Axes are followed by their strides. Functions that only look at a tensor in another way are run on a stand-in whose
strides name its axes; reshapes keep an axis whose size and place in memory order stay.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

Axes = tuple[int, ...]
"""For each axis of a tensor the number it was given at the start; -1 for an axis that came in on the way."""

_LOOKS = frozenset(
    {
        "transpose", "swapaxes", "swapdims", "permute", "movedim", "moveaxis", "t", "adjoint", "getitem", "narrow", "select",
        "chunk", "split", "tensor_split", "unbind", "unsafe_chunk", "unsafe_split", "squeeze", "unsqueeze",
    }
)  # fmt: skip
_PROPERTIES: dict[Any, str] = {
    torch.Tensor.mT.__get__: "mT", torch.Tensor.T.__get__: "T", torch.Tensor.mH.__get__: "mH", torch.Tensor.H.__get__: "H",  # type: ignore[attr-defined]
}  # fmt: skip
_RESHAPES = frozenset({"reshape", "view", "flatten", "unflatten", "view_as", "reshape_as", "ravel", "contiguous"})
_CONTRACTIONS = frozenset({"matmul", "rmatmul", "bmm", "einsum", "baddbmm", "tensordot", "mm", "addmm"})
_REORDERS = frozenset({"topk", "sort", "msort", "gather", "take_along_dim", "index_select", "flip", "roll", "kthvalue"})
_ADDS = frozenset({"cat", "concat", "pad", "linear", "conv2d", "conv1d"})
_TEMPLATES = ("new_", "zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "argsort", "argmax")
_PRIMES = (10007, 10009, 10037, 10039, 10061, 10067, 10069, 10079)
"""The strides that name the axes of a stand-in: a step of a slice multiplies one and can be told from it."""


def name_of(func: Callable) -> str:
    """The plain name of a torch function: "matmul" of `Tensor.__matmul__`."""
    return _PROPERTIES.get(func) or getattr(func, "__name__", "").strip("_")


def moved(func: Callable, args: tuple, kwargs: dict, tensor: torch.Tensor, axes: Axes, result: torch.Tensor) -> Axes | None:
    """The axes of a result, given those of one of the arguments; None where they cannot be told.

    Args:
        func: the torch function that was called.
        args: what it was given; the tensor is among it.
        kwargs: what it was given by name.
        tensor: the argument whose axes are known.
        axes: what its axes are.
        result: what the function returned (one of its tensors).
    """
    name = name_of(func)
    if name in _CONTRACTIONS:
        return _mapped(name, args, kwargs, tensor, axes)
    if name in _REORDERS or name.startswith(_TEMPLATES) or result.dtype == torch.bool:
        return None
    if name in _LOOKS or name in ("mT", "T", "mH", "H"):
        return _looked_at(func, name, args, kwargs, tensor, axes, result)
    if name in _RESHAPES:
        return _reshaped(tuple(tensor.shape), axes, tuple(result.shape))
    if result.shape == tensor.shape:
        return axes
    changed = [i for i, (a, b) in enumerate(zip(tensor.shape, result.shape, strict=False)) if a != b]
    if result.dim() == tensor.dim() and len(changed) == 1 and (tensor.shape[changed[0]] != 1 or name in _ADDS):
        return axes  # a column was added or cut off, or one axis was mapped onto another number of entries
    return None


def _mapped(name: str, args: tuple, kwargs: dict, tensor: torch.Tensor, axes: Axes) -> Axes | None:
    """A product in which one axis, such as that of the heads, is mapped onto another."""
    if name == "matmul" and len(args) > 1 and args[0] is tensor and args[1].dim() == 2:
        return (*axes[:-1], -1)
    pair = args[1:] if len(args) == 3 else args[1] if len(args) == 2 and isinstance(args[1], (tuple, list)) else ()
    if name != "einsum" or len(pair) != 2:
        return None
    parsed = letters(str(args[0]), pair[0].dim(), pair[1].dim())
    if parsed is None:
        return None
    mine = parsed[0] if pair[0] is tensor else parsed[1]
    return tuple(axes[mine.index(c)] if c in mine else -1 for c in parsed[2])


def letters(equation: str, left: int, right: int) -> tuple[str, str, str] | None:
    """The axes of both factors and of the product of an einsum, an ellipsis written out; None where it cannot be."""
    equation = equation.replace(" ", "")
    sides = equation.split("->")
    parts = sides[0].split(",")
    if len(sides) != 2 or len(parts) != 2:
        return None
    if "..." not in equation:
        return parts[0], parts[1], sides[1]
    spare = "ZYXWVUTS"
    fitted, most = [], 0
    for part, count in zip(parts, (left, right), strict=True):
        more = count - len(part) + 3 if "..." in part else 0
        most = max(most, more)
        fitted.append(part.replace("...", spare[len(spare) - more :]))
    return fitted[0], fitted[1], sides[1].replace("...", spare[len(spare) - most :])


def _looked_at(
    func: Callable, name: str, args: tuple, kwargs: dict, tensor: torch.Tensor, axes: Axes, result: torch.Tensor
) -> Axes | None:
    if not args or args[0] is not tensor:
        return None
    stand_in = torch.empty_strided(tuple(tensor.shape), _PRIMES[: tensor.dim()], device="meta")
    try:
        found = getattr(stand_in, name) if name in ("mT", "T", "mH", "H") else func(stand_in, *args[1:], **kwargs)
    except (RuntimeError, IndexError, TypeError, NotImplementedError):  # chosen by a tensor of numbers: no mere look
        return axes if result.dim() == tensor.dim() else None
    first = found[0] if isinstance(found, (tuple, list)) else found
    if first.dim() != result.dim():
        return None
    return tuple(_axis(size, stride, axes) for size, stride in zip(first.shape, first.stride(), strict=True))


def _axis(size: int, stride: int, axes: Axes) -> int:
    named = _PRIMES[: len(axes)]
    if stride in named:
        return axes[named.index(stride)]
    return next((axes[i] for i, prime in enumerate(named) if size > 1 and stride % prime == 0 < stride), -1)


def _reshaped(before: tuple[int, ...], axes: Axes, after: tuple[int, ...]) -> Axes | None:
    """An axis stays where its size and the number of entries behind it stay."""
    if before == after:
        return axes
    known = {(size, math.prod(before[i + 1 :])): axes[i] for i, size in enumerate(before) if size != 1}
    return tuple(known.get((size, math.prod(after[i + 1 :])), -1) for i, size in enumerate(after))
