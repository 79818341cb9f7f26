"""Which module is running now.

Hooks are installed once per model and stay inert. While an observer follows the model in this thread (a context
variable, so another user's call on the same model is never seen), they tell it which module is entered and left.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import nn
from torch.overrides import _get_current_function_mode_stack, _pop_mode, _push_mode

_observers: ContextVar[tuple[Observer, ...]] = ContextVar("headlight_observers", default=())
_hooked: weakref.WeakSet[nn.Module] = weakref.WeakSet()
_around: weakref.WeakKeyDictionary[nn.Module, dict[frozenset[str], frozenset[str]]] = weakref.WeakKeyDictionary()

PLAIN = (
    nn.Linear, nn.Embedding, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm,
    nn.modules.conv._ConvNd, nn.modules.dropout._DropoutNd, nn.Identity, nn.Softmax, nn.ReLU, nn.GELU, nn.SiLU,
    nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.Flatten,
)  # fmt: skip
"""Modules that work on every token by itself, or are so plain that nobody needs to know when they run."""


class Observer:
    """What follows a model: the names of the modules being run, innermost last, and two events to override."""

    def __init__(self, root: nn.Module, names: frozenset[str] | None = None) -> None:
        self.root = root
        self.names = names
        """The modules that it is told of; None for all."""
        self.stack: list[tuple[str, nn.Module]] = []

    def entered(self, name: str, module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        """Called before a module runs; may return other arguments."""

    def left(self, name: str, module: nn.Module, output: Any) -> Any:
        """Called after a module ran; may return another output."""

    @property
    def here(self) -> str:
        """The dotted name of the innermost module running; empty at the root."""
        return self.stack[-1][0] if self.stack else ""


@contextmanager
def follow(observer: Observer) -> Iterator[Observer]:
    """Let the observer see every module of its root that runs in this thread."""
    install(observer.root)
    observer.stack.clear()
    token = _observers.set((*_observers.get(), observer))
    try:
        yield observer
    finally:
        _observers.reset(token)
        observer.stack.clear()


@contextmanager
def unobserved() -> Iterator[None]:
    """Run a model for something else while a tap is open: no observer and no function mode sees it."""
    modes = [_pop_mode() for _ in _get_current_function_mode_stack()]
    token = _observers.set(())
    try:
        yield
    finally:
        _observers.reset(token)
        for mode in reversed(modes):
            _push_mode(mode)


def around(root: nn.Module, names: frozenset[str]) -> frozenset[str]:
    """These modules, all inside them, and all that they are inside of."""
    known = _around.setdefault(root, {})
    if names not in known:
        within = tuple(f"{name}." for name in names)
        above = {"", *(name[:end] for name in names for end, mark in enumerate(name) if mark == ".")}
        known[names] = frozenset(names | above | {name for name, _ in root.named_modules() if name.startswith(within)})
    return known[names]


def install(root: nn.Module) -> None:
    """Put the inert hooks on a model; doing it twice changes nothing."""
    if root in _hooked:
        return
    _hooked.add(root)
    owner = weakref.ref(root)
    for name, module in root.named_modules():
        if not isinstance(module, PLAIN):
            _hook(owner, name, module)


def _hook(owner: weakref.ref[nn.Module], name: str, module: nn.Module) -> None:
    def enter(module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        observers = _observers.get()
        if not observers:
            return None
        changed = None
        for observer in observers:
            if observer.root is owner() and (observer.names is None or name in observer.names):
                observer.stack.append((name, module))
                changed = observer.entered(name, module, *(changed or (args, kwargs))) or changed
        return changed

    def leave(module: nn.Module, args: tuple, kwargs: dict, output: Any) -> Any:
        observers = _observers.get()
        if not observers:
            return None
        changed = None
        for observer in reversed(observers):
            if observer.root is owner() and (observer.names is None or name in observer.names):
                seen = output if changed is None else changed
                again = observer.left(name, module, seen)
                changed = changed if again is None else again
                while observer.stack and observer.stack.pop()[1] is not module:
                    pass  # a module that raised inside the model and was caught there left its name behind
        return changed

    module.register_forward_pre_hook(enter, prepend=True, with_kwargs=True)
    module.register_forward_hook(leave, prepend=True, with_kwargs=True)
