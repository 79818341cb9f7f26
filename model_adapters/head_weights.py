"""The weights that belong to each head: slices of the projections into and out of attention.

No module is known by its name. A projection is a linear map whose result, cut into heads, is what the attention kernel
was given, number by number; the output projection is the first linear map behind it. Queries and keys that are rotated
or normalised on the way are not what a linear map made, so they have no slices here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from model_adapters.capture import capture
from model_adapters.events import SDPA, sdpa_arguments
from model_adapters.inputs import Inputs
from model_adapters.model import Model
from model_adapters.site import NOTHING, Site
from model_adapters.stepwise import first_item
from model_adapters.trail import Observer, follow

_NAMES = ("query", "key", "value")


def head_weights(model: Model, inputs: Inputs) -> dict[Site, Mapping[str, np.ndarray]]:
    """For each site the weights of its heads: "query", "key", "value" [H, D, in] and "output" [H, out, D], as found."""
    one = first_item(inputs)
    sites = {s.name: s for s in capture(model, one, keep=NOTHING).shapes if s.kind == "sdpa"}
    reader = _Reader(model.module, sites)
    with model.lock, torch.no_grad(), follow(reader.observer), reader:
        model.forward(one)
    return {sites[name]: found for name, found in reader.found.items() if found}


@dataclass
class _Linear:
    weight: torch.Tensor
    output: torch.Tensor


@dataclass
class _Waiting:
    """Linear maps of an attention module that wait for its kernel, and then for the output projection."""

    linears: list[_Linear] = field(default_factory=list)
    width: int = 0


class _Reader(TorchFunctionMode):
    def __init__(self, root: nn.Module, sites: Mapping[str, Site]) -> None:
        super().__init__()
        self.observer, self.sites = Observer(root), sites
        self.found: dict[str, dict[str, np.ndarray]] = {}
        self.waiting: dict[str, _Waiting] = {}

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        here = self.observer.here
        name = next((n for n in self.sites if here == n or here.startswith(f"{n}.")), None)
        if name is None and func is F.linear:
            name = next((n for n in self.waiting if self.waiting[n].width), None)  # an output projection beside the module
        if func is F.linear and name is not None:
            self._linear(name, args[1] if len(args) > 1 else kwargs["weight"], result)
        elif func is SDPA and name is not None:
            self._attends(name, sdpa_arguments(args, kwargs))
        return result

    def _linear(self, name: str, weight: torch.Tensor, result: torch.Tensor) -> None:
        waiting = self.waiting.setdefault(name, _Waiting())
        if not waiting.width:
            waiting.linears.append(_Linear(weight, result))
        elif weight.shape[1] == waiting.width * self.sites[name].heads:
            slices = weight.unflatten(1, (self.sites[name].heads, -1)).transpose(0, 1)
            self.found[name]["output"] = _array(slices)
            self.waiting[name] = _Waiting()

    def _attends(self, name: str, call: Any) -> None:
        waiting = self.waiting.setdefault(name, _Waiting())
        found = self.found.setdefault(name, {})
        for role, made in zip(_NAMES, (call.query, call.key, call.value), strict=True):
            for linear in waiting.linears:
                if role not in found and (slices := _slices(linear, made)) is not None:
                    found[role] = _array(slices)
        self.waiting[name] = _Waiting(width=call.value.shape[-1])


def _slices(linear: _Linear, made: torch.Tensor) -> torch.Tensor | None:
    """[H, D, in]: the rows of the weights that made these heads [B, H, T, D]; None where they did not."""
    if made.dim() != 4 or linear.output.dim() != 3 or linear.output.shape[:2] != (made.shape[0], made.shape[2]):
        return None
    heads, width = made.shape[1], made.shape[3]
    wide = made.transpose(1, 2).flatten(2)
    for start in range(0, linear.output.shape[-1] - heads * width + 1, heads * width):
        if torch.equal(linear.output[..., start : start + heads * width], wide):
            return linear.weight[start : start + heads * width].unflatten(0, (heads, width))
    return None


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()
