"""Which modules of a model are built alike, so that dye moves through them in the same way.

Dye moves by code, settings, shapes and fixed tables, never by learned values. Two modules are alike when their classes,
settings, submodules and buffers are equal and their parameters have equal shapes. What cannot be compared counts as different.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import partial
from typing import Any

import torch
from torch import nn

_OWN = frozenset(vars(nn.Module()))
_NEVER_RUN = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)
Form = tuple[Any, ...]
"""Equal for modules that are alike."""


def repeated(root: nn.Module, within: str = "") -> dict[str, Form]:
    """The outermost modules inside `within` that have others alike, with what is equal among them."""
    start = f"{within}." if within else ""
    inside = {name: module for name, module in root.named_modules() if name.startswith(start) and name != within}
    known: dict[nn.Module, Form] = {}
    forms = {name: form_of(module, known) for name, module in inside.items()}
    count = Counter(forms.values())
    found: dict[str, Form] = {}
    outside = ""
    for name, module in inside.items():
        if outside and name.startswith(f"{outside}."):
            continue
        outside = ""
        if count[forms[name]] > 1 and next(module.children(), None) is not None and not isinstance(module, _NEVER_RUN):
            outside, found[name] = name, forms[name]
    return found


def form_of(module: nn.Module, known: dict[nn.Module, Form]) -> Form:
    """What decides how dye moves through a module."""
    if module not in known:
        opaque = isinstance(module, torch.jit.ScriptModule)
        known[module] = ("object", id(module)) if opaque else ("idle",) if _idle(module) else _form(module, known)
    return known[module]


def plain(value: Any, owner: nn.Module | None = None) -> Form:
    """A setting or an argument in a form that can be compared; objects of unknown kinds equal themselves alone."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, torch.dtype, torch.device)):
        return (type(value), value)
    if isinstance(value, torch.Tensor):
        return ("tensor", _table(value))
    if isinstance(value, (tuple, list)):
        return (type(value), *(plain(each, owner) for each in value))
    if isinstance(value, dict):
        return (type(value), *((plain(name, owner), plain(each, owner)) for name, each in value.items()))
    if isinstance(value, partial):
        return ("partial", plain(value.func, owner), plain(value.args, owner), plain(value.keywords, owner))
    if owner is not None and getattr(value, "__self__", None) is owner:
        return ("method", id(value.__func__))
    return ("object", id(value))


def _idle(module: nn.Module) -> bool:
    """Whether a module hands on its input in evaluation mode."""
    dropout = isinstance(module, nn.modules.dropout._DropoutNd) or type(module).__name__.endswith("DropPath")
    return isinstance(module, nn.Identity) or dropout


def _form(module: nn.Module, known: dict[nn.Module, Form]) -> Form:
    settings = [(name, plain(value, module)) for name, value in vars(module).items() if not _is_ignored(name, value)]
    shapes = [(name, None if p is None else (tuple(p.shape), p.dtype)) for name, p in module._parameters.items()]
    tables = [(name, None if b is None else _table(b)) for name, b in module._buffers.items()]
    children = [(name, None if c is None else form_of(c, known)) for name, c in module._modules.items()]
    return (type(module), tuple(settings), tuple(shapes), tuple(tables), tuple(children))


def _is_ignored(name: str, value: Any) -> bool:
    """What torch keeps itself, and rates of dropout: they differ from block to block and say nothing in evaluation mode."""
    return name in _OWN or ("drop" in name and isinstance(value, float))


def _table(tensor: torch.Tensor) -> Form:
    """A tensor by its numbers, so that equal tables are equal."""
    held = tensor.detach().cpu().contiguous()
    numbers = held.flatten().view(torch.uint8).numpy().tobytes() if held.numel() else b""
    return (tuple(held.shape), held.dtype, hashlib.blake2b(numbers).digest())
