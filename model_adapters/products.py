"""What becomes of softmax weights: the products with values that make the head outputs.

Only needed where what meets the values is asked for or edited, at a site that calls softmax itself. The weights are
followed by their axes through whatever is done to them, until they meet other tensors in products that sum over the keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from model_adapters.axes import Axes, moved, name_of
from model_adapters.contraction import PRODUCTS, contraction
from model_adapters.errors import AdapterError
from model_adapters.following import Following, tensors
from model_adapters.site import Site

Edited = Callable[[torch.Tensor], torch.Tensor]
Done = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""done(weights [..., Q, K], values [..., K, D], outputs [..., Q, D]) -> outputs, perhaps edited."""


@dataclass(frozen=True, eq=False)
class Awaited:
    """Weights of a site on their way to the values."""

    site: Site
    count: int
    """How many axes they had when they were made."""
    shape: tuple[int, ...]
    done: Done
    edit: Edited | None = None
    """What is done to the weights where they meet the values."""
    start: Axes = ()
    """Which axis of [..., Q, K] stood where when they were made."""
    axes: Axes = ()
    """Which stands where now; empty where that was lost on the way."""


class Products:
    """Weights that wait for their values."""

    def __init__(self) -> None:
        self.pending: Following[Awaited] = Following()
        """The weights being followed."""
        self._owed: dict[tuple[str, int], Site] = {}
        """Sites where something depends on the product."""

    def wait(self, weights: torch.Tensor, awaited: Awaited, *, must: bool) -> None:
        """Follow these weights to their products; with `must`, not finding one is an error."""
        self.pending.put(weights, awaited)
        if must:
            self._owed[awaited.site.name, awaited.site.call] = awaited.site

    def finish(self) -> None:
        """End of a pass."""
        lost = list(self._owed.values())
        self._owed.clear()
        self.pending.clear()
        if lost:
            raise AdapterError(
                f"The head outputs of {lost[0].name} could not be followed (its weights are mixed before they meet the "
                "values, or are multiplied with them element by element), so what meets the values can be neither kept nor "
                "edited. Edits of scores and weights at the softmax work there."
            )

    def meet(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """Run a function, watching what it does to followed weights."""
        found = [(t, known) for t in tensors((args, kwargs)) if (known := self.pending.get(t)) is not None]
        if not found:
            return func(*args, **kwargs)
        name = name_of(func)
        if name in PRODUCTS:
            return self._product(func, args, kwargs, *found[0])
        result = func(*args, **kwargs)
        self._carry(func, args, kwargs, found[0], result)
        return result

    def _carry(self, func: Any, args: tuple, kwargs: dict, found: tuple[torch.Tensor, Awaited], result: Any) -> None:
        for made in tensors(result):
            if self.pending.get(made) is None and (axes := followed(func, args, kwargs, *found, made)) is not None:
                self.pending.put(made, replace(found[1], axes=axes))

    def _product(self, func: Any, args: tuple, kwargs: dict, weights: torch.Tensor, awaited: Awaited) -> Any:
        read = contraction(func, args, kwargs, weights, awaited.axes, awaited.count) if awaited.axes else None
        if read is None:
            result = func(*args, **kwargs)
            self._carry(func, args, kwargs, (weights, awaited), result)
            return result
        if awaited.edit is not None:
            edited = read.closed(awaited.edit(read.opened(weights))).to(weights.dtype)
            args, kwargs = _replaced(args, weights, edited), {k: edited if v is weights else v for k, v in kwargs.items()}
            weights = edited
        result = func(*args, **kwargs)
        self._owed.pop((awaited.site.name, awaited.site.call), None)
        outputs = read.outputs(result)
        # What comes back may be a leaf of the graph or a view that gradients go through: it takes the product's place.
        return read.result(awaited.done(read.opened(weights), read.values, outputs).reshape(outputs.shape))


def followed(
    func: Any, args: tuple, kwargs: dict, weights: torch.Tensor, awaited: Any, made: torch.Tensor
) -> Axes | None:
    """The axes of what was made of followed weights; empty where it holds them in an order that is lost; None elsewhere."""
    if not made.is_floating_point():
        return () if name_of(func) in ("topk", "sort") and made.numel() <= weights.numel() else None
    if name_of(func).startswith(("scatter", "masked_scatter")) and tuple(made.shape) == awaited.shape:
        return awaited.start
    found = moved(func, args, kwargs, weights, awaited.axes, made) if awaited.axes else None
    if found is not None and awaited.count - 1 in found:
        return found
    return () if name_of(func) in ("topk", "sort", "gather", "take_along_dim") else None


def _replaced(args: tuple, old: torch.Tensor, new: torch.Tensor) -> tuple:
    def exchanged(one: Any) -> Any:
        if isinstance(one, (tuple, list)):
            return type(one)(_replaced(tuple(one), old, new))
        return new if one is old else one

    return tuple(exchanged(one) for one in args)
