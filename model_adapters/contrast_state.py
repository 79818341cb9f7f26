"""What a model remembers of a generation outside its cache, kept apart for two generations that take turns.

Some models write into themselves what they found in the prompt (how far positions of an image reach, say) and read it
for every new token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

T = TypeVar("T")
_State = dict[tuple[int, str], object]
_ABSENT = object()


class Aside:
    """Runs something else on the same model, and leaves the model as the first generation needs it."""

    def __init__(self, module: nn.Module) -> None:
        self._modules = list(module.modules())
        self._before = self._read()
        self._names: set[tuple[int, str]] | None = None
        self._other: _State = {}

    def run(self, step: Callable[[], T]) -> T:
        """Let the second generation take one step."""
        if self._names is None:
            return self._first(step)
        mine = self._held(self._names)
        self._write(self._other)
        found = step()
        self._other = self._held(self._names)
        self._write(mine)
        return found

    def _first(self, step: Callable[[], T]) -> T:
        """The first step of both tells what is remembered."""
        mine = self._read()
        written = _changed(self._before, mine)
        self._write({key: self._before.get(key, _ABSENT) for key in written})
        found = step()
        self._names = written | _changed(mine, self._read())
        self._other = self._held(self._names)
        self._write({key: mine.get(key, _ABSENT) for key in self._names})
        return found

    def _read(self) -> _State:
        """Tensors, numbers and places for them; flags say what is installed, which both generations share."""
        return {
            (number, name): value
            for number, module in enumerate(self._modules)
            for name, value in vars(module).items()
            if value is None or (isinstance(value, torch.Tensor | int | float) and not isinstance(value, bool))
        }

    def _held(self, names: set[tuple[int, str]]) -> _State:
        return {(number, name): vars(self._modules[number]).get(name, _ABSENT) for number, name in names}

    def _write(self, state: _State) -> None:
        for (number, name), value in state.items():
            if value is not _ABSENT:
                setattr(self._modules[number], name, value)
            elif name in vars(self._modules[number]):
                delattr(self._modules[number], name)


def _changed(before: _State, after: _State) -> set[tuple[int, str]]:
    return {key for key, value in after.items() if value is not None and value is not before.get(key)}
