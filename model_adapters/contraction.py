"""A product of matrices, however it was written, as weights [..., Q, K] times values [..., K, D] = outputs [..., Q, D]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from model_adapters.axes import Axes, letters, name_of

PRODUCTS = frozenset({"matmul", "rmatmul", "bmm", "einsum", "baddbmm", "mm"})
"""Names of the functions that multiply matrices."""


@dataclass(frozen=True)
class Contraction:
    """One product of weights with values."""

    lead: tuple[int, ...]
    """Where the leading axes of the weights stand in them, in their own order, then queries and keys."""
    values: torch.Tensor
    """[..., K, D] in the order of the weights' leading axes."""
    out: tuple[int, ...]
    """Which axis of the product is which of [..., Q, D]."""

    def opened(self, weights: torch.Tensor) -> torch.Tensor:
        """Weights as they stand in the product -> [..., Q, K]."""
        return weights.permute(self.lead)

    def closed(self, weights: torch.Tensor) -> torch.Tensor:
        """[..., Q, K] -> weights as they stand in the product."""
        return weights.permute(_inverse(self.lead))

    def outputs(self, result: torch.Tensor) -> torch.Tensor:
        """The product -> [..., Q, D]."""
        return result.permute(self.out)

    def result(self, outputs: torch.Tensor) -> torch.Tensor:
        """[..., Q, D] -> the product."""
        return outputs.permute(_inverse(self.out))


def factors(func: Callable, args: tuple, kwargs: dict) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The left and the right factor of a product of two matrices; None where there are more."""
    name = name_of(func)
    if name == "einsum":
        given = args[1] if len(args) == 2 and isinstance(args[1], (tuple, list)) else args[1:]
        return (given[0], given[1]) if len(given) == 2 else None
    if name == "baddbmm":
        return (args[1], args[2]) if len(args) > 2 else None
    right: Any = args[1] if len(args) > 1 else kwargs.get("other", kwargs.get("mat2"))
    if not isinstance(right, torch.Tensor) or not args or not isinstance(args[0], torch.Tensor):
        return None
    return (right, args[0]) if name == "rmatmul" else (args[0], right)


def contraction(func: Callable, args: tuple, kwargs: dict, weights: torch.Tensor, axes: Axes, count: int) -> Contraction | None:
    """Read a product in which followed weights take part; None where it does not sum over their keys.

    Args:
        func: the product.
        args: its arguments.
        kwargs: its arguments by name.
        weights: the tensor among them that holds the weights.
        axes: which of the `count` axes [..., Q, K] stands where in it; -1 where leading axes were put together.
        count: how many axes the weights had when they were made.
    """
    pair = factors(func, args, kwargs)
    if pair is None or count - 1 not in axes or count - 2 not in axes:
        return None
    lead = _lead(axes, count)
    on_left = pair[0] is weights
    if name_of(func) == "einsum":
        return _of_einsum(str(args[0]), pair, on_left, axes, lead, count)
    return _of_matmul(pair, on_left, axes, lead, count)


def _lead(axes: Axes, count: int) -> list[int]:
    """The places of the leading axes, in their own order as far as it is known."""
    places = [i for i, axis in enumerate(axes) if axis < count - 2]
    return places if any(axes[i] < 0 for i in places) else sorted(places, key=lambda i: axes[i])


def _of_matmul(
    pair: tuple[torch.Tensor, torch.Tensor], on_left: bool, axes: Axes, lead: list[int], count: int
) -> Contraction | None:
    rows, columns = (axes[-2], axes[-1]) if on_left else (axes[-1], axes[-2])
    if columns != count - 1 or rows != count - 2:
        return None
    dims = len(axes)
    values = pair[1] if on_left else pair[0].transpose(-1, -2)
    if values.dim() < 2 or values.dim() > dims:
        return None
    values = values.reshape(*(1,) * (dims - values.dim()), *values.shape).permute(*lead, dims - 2, dims - 1)
    tail = (dims - 2, dims - 1) if on_left else (dims - 1, dims - 2)
    return Contraction((*lead, *tail), values, (*lead, *tail))


def _of_einsum(
    equation: str, pair: tuple[torch.Tensor, torch.Tensor], on_left: bool, axes: Axes, lead: list[int], count: int
) -> Contraction | None:
    parsed = letters(equation, pair[0].dim(), pair[1].dim())
    if parsed is None:
        return None
    mine, others, target = (parsed[0], parsed[1], parsed[2]) if on_left else (parsed[1], parsed[0], parsed[2])
    values = pair[1] if on_left else pair[0]
    query, key = mine[axes.index(count - 2)], mine[axes.index(count - 1)]
    outer = [mine[place] for place in lead]
    width = [c for c in others if c not in outer and c != key]
    if key not in others or key in target or len(width) != 1 or sorted(target) != sorted([*outer, query, width[0]]):
        return None
    shown = [c for c in outer if c in others]
    values = values.permute([others.index(c) for c in (*shown, key, width[0])])
    for place, letter in enumerate(outer):
        values = values if letter in others else values.unsqueeze(place)
    order = (*lead, axes.index(count - 2), axes.index(count - 1))
    return Contraction(order, values, tuple(target.index(c) for c in (*outer, query, width[0])))


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(order.index(i) for i in range(len(order)))
