"""A model whose last layers have lost what they learned: their weights are shuffled, in a copy.

Each parameter keeps its numbers and loses their order, so the scale of every layer stays. The given model is not touched.
"""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from model_adapters.capture import capture
from model_adapters.inputs import Inputs
from model_adapters.labels import block_of
from model_adapters.model import Model
from model_adapters.site import NOTHING


@dataclass(frozen=True)
class Layers:
    """The parameters of each block, in the order in which the blocks run; what runs behind a block belongs to it."""

    names: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.names)

    def last(self, count: int) -> tuple[str, ...]:
        """The parameters of the last blocks."""
        if not 0 <= count <= len(self.names):
            raise ValueError(f"{count} layers were to be shuffled, but the model runs {len(self.names)}.")
        return tuple(name for layer in self.names[len(self.names) - count :] for name in layer)


def layers_of(model: Model, inputs: Inputs, tower: str | None = None) -> Layers:
    """The layers of a model in the order in which they run on these inputs; of one tower, or of all."""
    with model.lock:
        module = copy.deepcopy(model.module)
    used = _used(module, replace(model, module=module, lock=threading.RLock()), inputs)
    met = {block_of(site.name) for site in capture(model, inputs, keep=NOTHING).shapes}
    blocks = {b for b in model.tap_labels.blocks | met if tower is None or model.tap_labels.tower(b) == tower}
    groups: dict[str, list[str]] = {}
    for parameter in used:
        block = _inside(parameter, blocks)
        if block:
            groups.setdefault(block, []).append(parameter)
        elif groups and (tower is None or model.tap_labels.tower(parameter) == tower):
            groups[next(reversed(groups))].append(parameter)
    return Layers(tuple(tuple(names) for names in groups.values()))


def shuffled(model: Model, layers: Layers, count: int, seed: int = 0) -> Model:
    """A copy of the model whose last `count` layers have the numbers of each parameter in random order."""
    chosen = set(layers.last(count))
    with model.lock:
        module = copy.deepcopy(model.module)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            if name in chosen:
                parameter.copy_(parameter.flatten()[order.to(parameter.device)].view_as(parameter))
    return replace(model, module=module, lock=threading.RLock())


def _used(module: nn.Module, model: Model, inputs: Inputs) -> list[str]:
    """The names of the parameters in the order in which the modules that hold them are run; each once."""
    names: dict[int, str] = {id(p): name for name, p in module.named_parameters()}
    found: dict[str, None] = {}

    def meet(running: nn.Module, _: Any) -> None:
        # torch's own MultiheadAttention reads the weights of its output projection without running it.
        for parameter in running.parameters(recurse=isinstance(running, nn.MultiheadAttention)):
            found.setdefault(names[id(parameter)])

    handles = [m.register_forward_pre_hook(meet) for m in module.modules()]
    try:
        with torch.no_grad():
            model.forward(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return list(found)


def _inside(parameter: str, blocks: set[str]) -> str:
    """The block that a parameter lies in; empty where it lies in none."""
    holder = parameter.rpartition(".")[0]
    while holder:
        block = block_of(holder)
        if block and block in blocks:
            return block
        holder = block.rpartition(".")[0]
    return ""
