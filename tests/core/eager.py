"""The weights that transformers computes itself where attention runs in its slow, explicit form."""

from __future__ import annotations

import functools
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

import model_adapters as ma

Found = dict[str, list[torch.Tensor]]
"""The name of an attention module -> its weights, call by call."""


def eager_weights(model: ma.Model, inputs: ma.Inputs, sites: tuple[ma.Site, ...]) -> Found:
    """Run a model built with eager attention, and collect the weights of these sites."""
    made, returned = defaultdict(list), defaultdict(list)
    names = {module: name for name, module in model.module.named_modules()}
    hooks = [
        model.module.get_submodule(name).register_forward_hook(functools.partial(_note, returned, name))
        for name in {site.name for site in sites}
    ]
    with _watched(names, made), torch.no_grad():
        model.module(**inputs.tensors, output_attentions=True)
    for hook in hooks:
        hook.remove()
    return {**returned, **made}


def _note(found: Found, name: str, module: nn.Module, args: tuple, output: Any) -> None:
    """Attention modules return their weights beside their output."""
    if isinstance(output, tuple) and len(output) > 1 and isinstance(output[1], torch.Tensor):
        found[name].append(output[1])


@contextmanager
def _watched(names: dict[nn.Module, str], found: Found) -> Iterator[None]:
    """Note what the explicit function of every family returns, also where its module throws the weights away."""
    functions = {
        library: library.eager_attention_forward
        for key, library in list(sys.modules.items())
        if key.startswith("transformers.models.") and hasattr(library, "eager_attention_forward")
    }
    for library, function in functions.items():
        library.eager_attention_forward = _noting(function, names, found)
    try:
        yield
    finally:
        for library, function in functions.items():
            library.eager_attention_forward = function


def _noting(function: Any, names: dict[nn.Module, str], found: Found) -> Any:
    @functools.wraps(function)
    def noting(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        output, weights = function(module, *args, **kwargs)
        if module in names and weights is not None:
            found[names[module]].append(weights)
        return output, weights

    return noting
