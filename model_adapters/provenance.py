"""Which queries and keys the scores of a softmax were made of: their product is followed until the softmax takes it.

Only where queries are asked for, at sites that call softmax themselves; a kernel is given its queries.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from model_adapters.axes import Axes, letters, name_of
from model_adapters.contraction import PRODUCTS, factors
from model_adapters.events import Softmax
from model_adapters.fold import Fold
from model_adapters.following import Following, tensors
from model_adapters.products import followed
from model_adapters.recorder import Recorder
from model_adapters.site import Site


@dataclass(frozen=True, eq=False)
class _Product:
    """A product on its way to a softmax."""

    left: torch.Tensor
    """[*product's axes without its last, D]."""
    right: torch.Tensor
    """[*product's axes without its last but one, D]."""
    count: int
    shape: tuple[int, ...]
    start: Axes
    axes: Axes


class Provenance:
    """Follows products of two tensors."""

    def __init__(self, asked: bool) -> None:
        self.asked = asked
        self._followed: Following[_Product] = Following()

    def finish(self) -> None:
        """End of a pass."""
        self._followed.clear()

    def meet(self, func: Any, args: tuple, kwargs: dict, result: Any) -> None:
        """A function has run."""
        if not self.asked or not isinstance(result, torch.Tensor):
            return
        if name_of(func) in PRODUCTS and (made := _product(func, args, kwargs, result)) is not None:
            self._followed.put(result, made)
            return
        for tensor in tensors((args, kwargs)):
            known = self._followed.get(tensor)
            if known is not None and self._followed.get(result) is None:
                axes = followed(func, args, kwargs, tensor, known, result)
                if axes:
                    self._followed.put(result, replace(known, axes=axes))
                return

    def tell(self, recorder: Recorder, site: Site, event: Softmax, fold: Fold) -> None:
        """Keep the queries and keys of a softmax, where its scores are a product that could be followed."""
        known = self._followed.get(event.scores) if self.asked and recorder.takes(site) else None
        if known is None:
            return
        opened = tuple(known.axes[place] for place in event.order)
        if opened[-2:] == (known.count - 2, known.count - 1):
            recorder.origin(site, fold, known.left, known.right)
        elif opened[-2:] == (known.count - 1, known.count - 2):
            recorder.origin(site, fold, known.right, known.left)


def _product(func: Any, args: tuple, kwargs: dict, result: torch.Tensor) -> _Product | None:
    """A product of two tensors [..., Q, D] and [..., K, D], whatever the order of the axes it was written with."""
    pair = factors(func, args, kwargs)
    if pair is None or min(t.dim() for t in pair) < 2 or any(isinstance(t, torch.nn.Parameter) for t in pair):
        return None
    whole = tuple(range(result.dim()))
    if name_of(func) != "einsum":
        left, right = pair[0], pair[1].transpose(-1, -2)
        return _Product(left, right, result.dim(), tuple(result.shape), whole, whole) if left.dim() == right.dim() else None
    parsed = letters(str(args[0]), pair[0].dim(), pair[1].dim())
    if parsed is None:
        return None
    first, second, target = parsed
    own = [c for c in first if c in target and c not in second], [c for c in second if c in target and c not in first]
    width = [c for c in first if c in second and c not in target]
    if len(own[0]) != 1 or len(own[1]) != 1 or len(width) != 1:
        return None
    lead = [c for c in target if c in first and c in second]
    left = pair[0].permute(*(first.index(c) for c in (*lead, own[0][0], width[0])))
    right = pair[1].permute(*(second.index(c) for c in (*lead, own[1][0], width[0])))
    order = [*lead, own[0][0], own[1][0]]
    axes = tuple(order.index(c) for c in target)
    return _Product(left, right, result.dim(), tuple(result.shape), axes, axes)
