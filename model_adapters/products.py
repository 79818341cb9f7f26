"""What becomes of softmax weights: the product with the values that makes the head outputs.

Only needed where values or head outputs are asked for, or head outputs are edited, at a site that calls softmax itself.
The weights are followed through calls that leave them as they are, until they meet another tensor in a product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F

from model_adapters.errors import AdapterError
from model_adapters.site import Site

_MT: Any = torch.Tensor.mT.__get__  # type: ignore[attr-defined]
_PRODUCTS = frozenset({torch.matmul, torch.bmm, torch.Tensor.matmul, torch.Tensor.bmm, torch.Tensor.__matmul__})
_TRANSPARENT = frozenset(
    {
        F.dropout, torch.dropout, torch.Tensor.to, torch.Tensor.type_as, torch.Tensor.type, torch.Tensor.contiguous,
        torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16, torch.Tensor.clone, torch.clone,
        torch.Tensor.reshape, torch.Tensor.view, torch.reshape,
    }
)  # fmt: skip
_ELEMENTWISE = frozenset(
    {
        F.linear, torch.mul, torch.Tensor.mul, torch.Tensor.__mul__, torch.Tensor.__rmul__, torch.add, torch.Tensor.add,
        torch.Tensor.__add__, torch.Tensor.__radd__, torch.Tensor.div, torch.Tensor.__truediv__,
    }
)  # fmt: skip
"""Talking heads (a linear map over heads) and gates between several weights keep the shape."""
_AXES = frozenset({torch.Tensor.transpose, torch.transpose, torch.Tensor.swapaxes, torch.Tensor.permute, torch.permute, _MT})

Done = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""done(values [..., K, D], outputs [..., Q, D]) -> outputs, perhaps edited."""


@dataclass(frozen=True, eq=False)
class _Pending:
    weights: torch.Tensor
    site: Site
    done: Done
    must: bool
    """An edit depends on the product: not finding it is an error."""
    axes: tuple[int, ...] = ()
    """Which axis of the weights [..., Q, K] stands where."""

    @property
    def straight(self) -> bool:
        return self.axes == tuple(range(self.weights.dim()))

    @property
    def transposed(self) -> bool:
        n = self.weights.dim()
        return self.axes == (*range(n - 2), n - 1, n - 2)


class Products:
    """Weights that wait for their values."""

    def __init__(self) -> None:
        self.pending: dict[int, _Pending] = {}
        """The weights being followed, by identity."""

    def wait(self, weights: torch.Tensor, site: Site, done: Done, *, must: bool) -> None:
        """Follow these weights to their product."""
        self.pending[id(weights)] = _Pending(weights, site, done, must, tuple(range(weights.dim())))

    def finish(self) -> None:
        """End of a pass: an edit whose product was never met is an error."""
        lost = [p for p in self.pending.values() if p.must]
        self.pending.clear()
        if lost:
            raise AdapterError(
                f"The head outputs of {lost[0].site.name} could not be followed (its weights are mixed before they meet the "
                "values), so they cannot be edited. Edits of scores and weights work there."
            )

    def meet(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """Run a function, watching what it does to followed weights."""
        if not self.pending:
            return func(*args, **kwargs)
        found = next((p for a in args if isinstance(a, torch.Tensor) and (p := self.pending.get(id(a)))), None)
        if found is None and func is torch.functional.einsum and len(args) == 2 and isinstance(args[1], (list, tuple)):
            args = (args[0], *args[1])
            found = next((p for a in args[1:] if (p := self.pending.get(id(a)))), None)
        result = func(*args, **kwargs)
        if found is None or not isinstance(result, torch.Tensor):
            return result
        if func in _PRODUCTS:
            return self._product(found, args, result)
        if func is torch.functional.einsum:
            return self._einsum(found, args, result)
        self._carry(found, func, args, kwargs, result)
        return result

    def _carry(self, pending: _Pending, func: Any, args: tuple, kwargs: dict, result: torch.Tensor) -> None:
        same = result.shape == pending.weights.shape
        if func in _TRANSPARENT and (same or (pending.straight and result.shape[-2:] == pending.weights.shape[-2:])):
            axes = tuple(range(result.dim())) if pending.straight else pending.axes
            self._follow(pending, result, axes)
        elif func in _ELEMENTWISE and same:
            for other in args:
                if isinstance(other, torch.Tensor) and (merged := self.pending.get(id(other))):
                    self._forget(merged)
            self._follow(pending, result, pending.axes)
        elif func in _AXES:
            moved = _moved(func, args, kwargs)
            self._follow(pending, result, tuple(pending.axes[m] for m in moved))

    def _follow(self, pending: _Pending, weights: torch.Tensor, axes: tuple[int, ...]) -> None:
        self._forget(pending)
        self.pending[id(weights)] = replace(pending, weights=weights, axes=axes)

    def _forget(self, pending: _Pending) -> None:
        self.pending.pop(id(pending.weights), None)

    def _product(self, pending: _Pending, args: tuple, result: torch.Tensor) -> torch.Tensor:
        left, right = args[0], args[1]
        if left is pending.weights and pending.straight:
            self._forget(pending)
            return pending.done(right, result)
        if right is pending.weights and pending.transposed:
            self._forget(pending)
            return pending.done(left.transpose(-1, -2), result.transpose(-1, -2)).transpose(-1, -2)
        return result

    def _einsum(self, pending: _Pending, args: tuple, result: torch.Tensor) -> torch.Tensor:
        equation = str(args[0]).replace(" ", "")
        if len(args) != 3 or "->" not in equation or "." in equation or not pending.straight:
            return result
        sources, target = equation.split("->")
        first, second = sources.split(",")
        mine, others, values = (first, second, args[2]) if args[1] is pending.weights else (second, first, args[1])
        lead, query, key = mine[:-2], mine[-2], mine[-1]
        width = [c for c in others if c not in lead and c != key]
        if len(width) != 1 or sorted(target) != sorted(lead + query + width[0]):
            return result
        self._forget(pending)
        inner = lead + query + width[0]
        values = values.permute([others.index(c) for c in lead + key + width[0]])
        done = pending.done(values, result.permute([target.index(c) for c in inner]))
        return done.permute([inner.index(c) for c in target])


def _moved(func: Any, args: tuple, kwargs: dict) -> list[int]:
    """Where an axis function takes each axis from, read off a tensor whose strides name its axes."""
    count = args[0].dim()
    named = torch.empty(0, device="meta").as_strided([1] * count, [10**i for i in range(count)])
    return [len(str(s)) - 1 for s in func(named, *args[1:], **kwargs).stride()]
