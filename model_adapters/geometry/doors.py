"""Where an image enters the attention part of a model: the tower, found by following the pixels, not by its name.

A door is one call of an outermost module that is given something made of pixels but not the token ids: the whole model for
a classifier, the vision tower (perhaps two, perhaps called per frame) for a model of images and text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from model_adapters.errors import AdapterError
from model_adapters.geometry.dye import Enough
from model_adapters.geometry.marks import enliven, hand_on, live, quench, tensors
from model_adapters.trail import Observer, follow

Place = tuple[str, int]
"""A door: dotted module name and call number."""


@dataclass(frozen=True)
class Door:
    """What one call of a tower was given."""

    name: str
    call: int
    args: tuple
    kwargs: dict[str, Any]
    slot: int | str
    """Which argument holds the pixels."""

    @property
    def place(self) -> Place:
        """The address of the door."""
        return self.name, self.call

    @property
    def pixels(self) -> torch.Tensor:
        """What was made of the image."""
        return self.args[self.slot] if isinstance(self.slot, int) else self.kwargs[self.slot]

    def exchanged(self, pixels: torch.Tensor) -> tuple[tuple, dict[str, Any]]:
        """The arguments with other pixels; whatever else lies on the batch axis is repeated with them."""
        ratio = pixels.shape[0] // self.pixels.shape[0]

        def repeated(value: Any) -> Any:
            if ratio > 1 and isinstance(value, torch.Tensor) and value.dim() and value.shape[0] == self.pixels.shape[0]:
                return value.repeat(ratio, *[1] * (value.dim() - 1))
            return value

        args = tuple(pixels if i == self.slot else repeated(a) for i, a in enumerate(self.args))
        return args, {k: pixels if k == self.slot else repeated(v) for k, v in self.kwargs.items()}


class Entry(TorchFunctionMode, Observer):
    """Follows the pixels of one forward pass to the doors; what comes out of a door is no longer pixels."""

    def __init__(self, root: nn.Module, ids: torch.Tensor | None, last: Place | None = None) -> None:
        """Prepare; with `last`, the pass ends at that door."""
        TorchFunctionMode.__init__(self)
        Observer.__init__(self, root)
        self.ids, self.last = ids, last
        self.doors: list[Door] = []
        self._inside: nn.Module | None = None
        self._calls: dict[str, int] = {}
        self._open = ExitStack()

    def __enter__(self) -> Entry:
        self._open.enter_context(follow(self))
        self._open.enter_context(torch.no_grad())
        TorchFunctionMode.__enter__(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> bool:
        TorchFunctionMode.__exit__(self, kind, *error)
        self._open.close()
        return kind is Enough

    def entered(self, name: str, module: nn.Module, args: tuple, kwargs: dict) -> None:
        """Note a door."""
        if self._inside is not None:
            return
        slots = [*enumerate(args), *kwargs.items()]
        pixels = [slot for slot, value in slots if live(value) and value.is_floating_point()]
        if not pixels or self._has_ids(args, kwargs):
            return
        self._inside = module
        self.doors.append(Door(name, self._calls.get(name, 0), args, dict(kwargs), pixels[0]))
        self._calls[name] = self._calls.get(name, 0) + 1
        if not name or self.last == self.doors[-1].place:  # behind the whole model there are no other doors
            raise Enough

    def left(self, name: str, module: nn.Module, output: Any) -> None:
        """Outside the door nothing counts as pixels."""
        if module is self._inside:
            self._inside = None
            for made in tensors(output):
                quench(made)

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self._inside is None:
            hand_on(getattr(func, "__name__", ""), args, kwargs or {}, result)
        return result

    def _has_ids(self, args: tuple, kwargs: dict) -> bool:
        if self.ids is None:
            return False
        return any(t is self.ids or (t.shape == self.ids.shape and t.dtype == self.ids.dtype) for t in tensors((args, kwargs)))


def doors_of(
    root: nn.Module, given: Mapping[str, Any], pixels: tuple[str, ...], *, run: Callable[..., Any] | None = None,
    last: Place | None = None,
) -> list[Door]:  # fmt: skip
    """The doors of one forward pass.

    Args:
        root: the model.
        given: its arguments by name.
        pixels: which of them are made of pixels.
        run: called with the arguments instead of the model.
        last: the last door, if it is known; the pass ends there.
    """
    ids = next((given[n] for n in ("input_ids", "decoder_input_ids") if isinstance(given.get(n), torch.Tensor)), None)
    marked = {name: _marked(value) if name in pixels else value for name, value in given.items()}
    with Entry(root, ids, last) as entry:
        (run or root)(**marked)
    if not entry.doors:
        raise AdapterError(f"No module of {type(root).__name__} takes {' or '.join(pixels)} apart from the text.")
    return entry.doors


def _marked(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return enliven(value.view_as(value))
    return type(value)(_marked(v) for v in value) if isinstance(value, (list, tuple)) else value
