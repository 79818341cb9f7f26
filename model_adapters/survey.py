"""One pass that learns what a model does where attention may happen, by following tensors and not by names.

A softmax is attention when what it makes is multiplied with values and summed over the axis that it spread over. Products
of two activations that meet values in the same way without a softmax, and kernels that mix tokens out of sight, are
attention that cannot be seen: they are found too, so that they can be told.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from model_adapters.axes import Axes, letters, name_of
from model_adapters.calls import Event, same, sketch
from model_adapters.contraction import PRODUCTS, Contraction, contraction, factors
from model_adapters.events import MHA, SDPA, SOFTMAX, sdpa_arguments, softmax_arguments
from model_adapters.following import Following, tensors
from model_adapters.products import followed
from model_adapters.role import call_place
from model_adapters.trail import Observer, follow


@dataclass(frozen=True)
class _Followed:
    """Followed scores or weights."""

    count: int
    shape: tuple[int, ...]
    start: Axes
    axes: Axes
    event: Event | None = None
    """The softmax that made them; None before it."""
    width: int = 0
    """Of scores, how many entries their product was summed over."""


class Survey(TorchFunctionMode, Observer):
    """Watches a pass: `with Survey(root, inputs) as seen: root(...)`."""

    def __init__(self, root: nn.Module, given: Iterable[torch.Tensor]) -> None:
        """Prepare a pass.

        Args:
            root: the model.
            given: the tensors that it is given.
        """
        TorchFunctionMode.__init__(self)
        Observer.__init__(self, root)
        self.events: list[Event] = []
        self.hidden: dict[str, str] = {}
        """Attention-like work without a softmax, by the module that does it: what it does instead."""
        self.linear: dict[str, str] = {}
        """Modules with linear attention, which makes no weights between tokens."""
        self.opaque: dict[str, list[int]] = {}
        """By module the sizes of tensors that came from nowhere: from kernels that cannot be watched."""
        self.inputs: dict[str, tuple[int, ...]] = {}
        self.shared: list[str] = []
        """Modules whose kernels attend to the same values more than once."""
        self._values: dict[str, weakref.ref[torch.Tensor]] = {}
        self._followed: Following[_Followed] = Following()
        self._made: Following[bool] = Following()
        """Whether what was made on the way depends on the input."""
        self._fixed = {id(t) for t in (*root.parameters(), *root.buffers(), *_attributes(root))}
        self._given = {id(t) for t in given}
        self._open: Any = None

    def __enter__(self) -> Survey:
        self._open = follow(self)
        self._open.__enter__()
        TorchFunctionMode.__enter__(self)
        return self

    def __exit__(self, *error: Any) -> None:
        TorchFunctionMode.__exit__(self, *error)
        self._open.__exit__(*error)

    def entered(self, name: str, module: nn.Module, args: tuple, kwargs: dict) -> None:
        """Note the shape of what a module is given."""
        first = next((t for t in tensors((args, kwargs)) if t.is_floating_point()), None)
        if first is not None:
            self.inputs[name] = tuple(first.shape)

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        taken = list(tensors((args, kwargs)))
        for tensor in taken:
            self._look_for_opaque(tensor)
        live = any(self._lives(t) for t in taken)
        result = func(*args, **kwargs)
        for made in tensors(result):
            if id(made) not in self._fixed and self._made.get(made) is None:
                self._made.put(made, live)
        if taken and live and name_of(func).endswith(("setitem", "copy")) and self._made.get(taken[0]) is False:
            self._made.put(taken[0], True)
        if live or func in SOFTMAX:
            self._note(func, args, kwargs, taken, result)
        return result

    # ---- what depends on the input

    def _lives(self, tensor: torch.Tensor) -> bool:
        known = self._made.get(tensor)
        return known if known is not None else id(tensor) not in self._fixed

    def _look_for_opaque(self, tensor: torch.Tensor) -> None:
        known = id(tensor) in self._fixed or id(tensor) in self._given or self._made.get(tensor) is not None
        if not known and tensor.is_floating_point():
            self.opaque.setdefault(self.here, []).append(tensor.numel())
            self._made.put(tensor, True)

    # ---- what a function does to what is followed

    def _note(self, func: Any, args: tuple, kwargs: dict, taken: list[torch.Tensor], result: Any) -> None:
        name = name_of(func)
        if func in SOFTMAX:
            self._softmax(args, kwargs, result)
        elif func is SDPA:
            call = sdpa_arguments(args, kwargs)
            self._kernel("sdpa", call.query, call.value.shape[-1])
            self._shares(call.value)
        elif func is MHA:
            self._kernel("mha", taken[0], 0)
        elif name in PRODUCTS:
            self._product(func, args, kwargs, result)
        else:
            self._carry(func, args, kwargs, taken, result)

    def _event(self, kind: str, shape: tuple[int, ...]) -> Event:
        name, module = self.stack[-1] if self.stack else ("", self.root)
        event = Event(name, module, call_place(), kind, shape, inputs=tuple(self.inputs.get(n, ()) for n, _ in self.stack))
        self.events.append(event)
        return event

    def _softmax(self, args: tuple, kwargs: dict, made: torch.Tensor) -> None:
        found = softmax_arguments(args, kwargs)
        if found is None or found[0].dim() < 3:
            return
        event = self._event("softmax", tuple(made.shape))
        event.dim = found[1]
        before = self._followed.get(found[0])
        event.of_products = before is not None and before.event is None
        event.sketch = sketch(made, event.dim)
        axes = tuple(range(made.dim()))
        self._followed.put(made, _Followed(made.dim(), tuple(made.shape), axes, axes, event))

    def _kernel(self, kind: str, query: torch.Tensor, width: int) -> None:
        event = self._event(kind, tuple(query.shape[:-1]))
        event.values = width
        if kind == "sdpa" and query.dim() > 2:
            event.lead = query.detach().float().square().flatten(-2).sum(-1)

    def _shares(self, value: torch.Tensor) -> None:
        """Note a module whose kernel attends to the same values again."""
        last = self._values.get(self.here)
        if last is not None and last() is value and self.here not in self.shared:
            self.shared.append(self.here)
        self._values[self.here] = weakref.ref(value)

    def _product(self, func: Any, args: tuple, kwargs: dict, result: torch.Tensor) -> None:
        pair = factors(func, args, kwargs)
        if pair is None:
            return
        for mine, other in (pair, pair[::-1]):
            known = self._followed.get(mine)
            if known is None:
                continue
            if not self._lives(other):
                self._carry(func, args, kwargs, [mine], result)
            elif known.event is not None:
                self._meets(known, known.event, func, args, kwargs, mine)
            else:
                self._hides(known, func, args, kwargs, mine)
            return
        if all(self._lives(t) and t.dim() > 1 for t in pair) and isinstance(result, torch.Tensor):
            axes, width = tuple(range(result.dim())), _summed(func, args, pair)
            self._followed.put(result, _Followed(result.dim(), tuple(result.shape), axes, axes, None, width))

    def _meets(self, known: _Followed, event: Event, func: Any, args: tuple, kwargs: dict, weights: torch.Tensor) -> None:
        """Followed weights are multiplied: with values, if the product sums over the axis of the softmax."""
        key = known.count + event.dim
        for query in range(known.count):
            order = _ordered(known.count, query, key)
            if query != key and (read := _read(known, order, func, args, kwargs, weights)) is not None:
                event.orders.append(order)
                event.values = read.values.shape[-1]
                now = sketch(weights, known.axes.index(key) - len(known.axes))
                event.changed |= not same(event.sketch, now, weights.dtype)
                return

    def _hides(self, known: _Followed, func: Any, args: tuple, kwargs: dict, scores: torch.Tensor) -> None:
        """A product of two activations meets a third without a softmax in between.

        Products of queries and keys sum over features and are as large as there are tokens; those of linear attention sum
        over tokens and meet the queries from the right.
        """
        orders = [_ordered(known.count, q, k) for q, k in permutations(range(known.count), 2)]
        order = next((o for o in orders if _read(known, o, func, args, kwargs, scores) is not None), None)
        if order is None or any(known.shape[axis] > known.shape[order[-1]] for axis in order[1:-2]):
            return  # what is weighed is fewer than what stands beside it: streams or parts of each token, not tokens
        sizes, pair = (known.shape[order[-2]], known.shape[order[-1]]), factors(func, args, kwargs)
        small = pair is not None and pair[0] is scores or known.width < min(sizes)
        tokens = _tokens(self.inputs.get(self.here, ()))
        small = small and (known.width != tokens or tokens in sizes)
        (self.hidden if small else self.linear).setdefault(self.here, "its weights are not made by a softmax")

    def _carry(self, func: Any, args: tuple, kwargs: dict, taken: list[torch.Tensor], result: Any) -> None:
        for tensor in taken:
            known = self._followed.get(tensor)
            for made in tensors(result) if known is not None else ():
                if self._followed.get(made) is None and made is not tensor:
                    self._carry_one(known, func, args, kwargs, tensor, made)  # type: ignore[arg-type]

    def _carry_one(
        self, known: _Followed, func: Any, args: tuple, kwargs: dict, tensor: torch.Tensor, made: torch.Tensor
    ) -> None:
        axes = followed(func, args, kwargs, tensor, known, made)
        if axes is not None:
            self._followed.put(made, replace(known, axes=axes))
        elif known.event is not None and name_of(func) in ("mul", "rmul", "multiply") and made.numel() > tensor.numel():
            known.event.spread = True


def _ordered(count: int, query: int, key: int) -> tuple[int, ...]:
    """All axes, those of queries and keys last."""
    return (*(i for i in range(count) if i not in (query, key)), query, key)


def _read(
    known: _Followed, order: tuple[int, ...], func: Any, args: tuple, kwargs: dict, tensor: torch.Tensor
) -> Contraction | None:
    """The product as one over weights whose axes are meant in this order."""
    axes = tuple(order.index(a) if a >= 0 else -1 for a in known.axes)
    return contraction(func, args, kwargs, tensor, axes, known.count) if axes else None


def _tokens(shape: tuple[int, ...]) -> int:
    """How many tokens a module is given: [B, N, C] or [B, C, h, w]; 0 for other shapes."""
    return shape[1] if len(shape) == 3 else shape[2] * shape[3] if len(shape) == 4 else 0


def _summed(func: Any, args: tuple, pair: tuple[torch.Tensor, torch.Tensor]) -> int:
    """How many entries a product sums over."""
    parsed = letters(str(args[0]), pair[0].dim(), pair[1].dim()) if name_of(func) == "einsum" else None
    if parsed is None:
        return pair[0].shape[-1]
    return max((size for c, size in zip(parsed[0], pair[0].shape, strict=True) if c not in parsed[2]), default=1)


def _attributes(root: nn.Module) -> list[torch.Tensor]:
    """Tensors that modules hold without having registered them."""
    return [t for module in root.modules() for t in tensors(list(module.__dict__.values())) if isinstance(t, torch.Tensor)]
