"""Tensors that are followed through a pass: something is remembered about each for as long as it lives."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")


class Following(Generic[T]):
    """What is remembered about tensors, by identity. A tensor that is gone is forgotten, so nothing is kept alive."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[torch.Tensor], T]] = {}

    def put(self, tensor: torch.Tensor, what: T) -> None:
        """Remember something about a tensor."""
        key = id(tensor)

        def gone(reference: weakref.ref[torch.Tensor]) -> None:
            held = self._known.get(key)
            if held is not None and held[0] is reference:
                del self._known[key]

        self._known[key] = weakref.ref(tensor, gone), what

    def get(self, tensor: object) -> T | None:
        """What is known of this tensor."""
        held = self._known.get(id(tensor))
        return held[1] if held is not None and held[0]() is tensor else None

    def drop(self, tensor: torch.Tensor) -> None:
        """Forget a tensor."""
        self._known.pop(id(tensor), None)

    def clear(self) -> None:
        """Forget all of them."""
        self._known.clear()

    def __len__(self) -> int:
        return len(self._known)


def tensors(values: Any) -> Iterator[torch.Tensor]:
    """All tensors in nested tuples, lists and dicts."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, (tuple, list)):
        for value in values:
            yield from tensors(value)
    elif isinstance(values, dict):
        for value in values.values():
            yield from tensors(value)
