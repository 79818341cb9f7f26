"""The hidden states of a block, wherever its signature puts them."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch

from model_adapters.errors import AdapterError

_NAMES = ("hidden_states", "x", "hidden_state", "src", "inputs_embeds")


@dataclass(frozen=True, eq=False)
class Found:
    """The tensor of hidden states, and the argument that holds it (a position or a name)."""

    tensor: torch.Tensor
    place: int | str

    def put(self, args: tuple, kwargs: dict, tensor: torch.Tensor) -> tuple[tuple, dict]:
        """The block's arguments with other hidden states."""
        if isinstance(self.place, int):
            return (*args[: self.place], tensor, *args[self.place + 1 :]), kwargs
        return args, {**kwargs, self.place: tensor}


def find_hidden(args: tuple, kwargs: dict) -> Found | None:
    """The first floating tensor among the block's arguments, by position, then by the usual names."""
    for place, value in enumerate(args):
        if _is_hidden(value):
            return Found(value, place)
    for name in (*_NAMES, *kwargs):
        if _is_hidden(kwargs.get(name)):
            return Found(kwargs[name], name)
    return None


def find_output(output: Any) -> torch.Tensor | None:
    """The hidden states in what a block returns: itself, or the first floating tensor of a tuple."""
    if _is_hidden(output):
        return output
    values = list(output.values()) if isinstance(output, dict) else output
    if is_dataclass(output) and not isinstance(output, dict | type):
        values = [getattr(output, f.name) for f in fields(output)]
    if isinstance(values, list | tuple):
        return next((v for v in values if _is_hidden(v)), None)
    return None


def with_output(output: Any, hidden: torch.Tensor, block: str) -> Any:
    """What a block returns, with other hidden states in it."""
    if _is_hidden(output):
        return hidden
    old = find_output(output)
    if isinstance(output, tuple | list):
        values = [hidden if v is old else v for v in output]
        return type(output)(*values) if hasattr(output, "_fields") else type(output)(values)
    if is_dataclass(output) and not isinstance(output, type):
        return replace(output, **{f.name: hidden for f in fields(output) if getattr(output, f.name) is old})
    raise AdapterError(f"Block {block} returns a {type(output).__name__}, in which hidden states cannot be exchanged.")


def _is_hidden(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point() and value.dim() >= 2
