"""What is remembered about tensors while a dye runs: that they depend on the image, and what attention they belong to.

Marks are attributes of intermediate tensors and die with them; parameters and buffers never get one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from model_adapters.following import tensors

_LIVE = "_headlight_live"
_MARK = "_headlight_mark"
_TEMPLATES = ("new_", "zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like")
_FIRST_ONLY = frozenset({"to", "type_as", "expand_as", "view_as", "reshape_as"})


@dataclass(frozen=True)
class Scores:
    """Carried by the product of two activations: which rows of the left and the right operand are dyed."""

    left: torch.Tensor
    """[..., Q] bool."""
    right: torch.Tensor
    """[..., K] bool."""
    mixed: bool = False
    """Some row is dyed in a part of its features only: its rows are channels, not tokens."""


@dataclass(frozen=True)
class Weights:
    """Carried by attention weights: the site they belong to; None where a softmax is no attention event."""

    site: tuple[str, int] | None
    rows: torch.Tensor | None
    """[..., Q] bool: the dyed query rows, where they may be handed on to the output."""


Mark = Scores | Weights


def live(tensor: Any) -> bool:
    """Whether a value was computed from the image."""
    return isinstance(tensor, torch.Tensor) and getattr(tensor, _LIVE, False)


def mark_of(tensor: Any) -> Mark | None:
    """The attention that a tensor belongs to, if any."""
    return getattr(tensor, _MARK, None) if isinstance(tensor, torch.Tensor) else None


def enliven(tensor: torch.Tensor, mark: Mark | None = None) -> torch.Tensor:
    """Say that a tensor depends on the image."""
    if isinstance(tensor, nn.Parameter):
        return tensor
    setattr(tensor, _LIVE, True)
    if mark is not None:
        setattr(tensor, _MARK, mark)
    return tensor


def quench(tensor: torch.Tensor) -> None:
    """Take the marks off a tensor."""
    for name in (_LIVE, _MARK):
        if hasattr(tensor, name):
            delattr(tensor, name)


def hand_on(name: str, args: tuple, kwargs: dict, output: Any) -> None:
    """After an ordinary call: what was made from marked tensors is marked too.

    Calls that take a tensor only as a template make nothing live, and a tensor that was merely passed through (a
    buffer moved to the device it is on) stays as it was.
    """
    if name.startswith(_TEMPLATES):
        return
    given = list(tensors((args[:1],) if name in _FIRST_ONLY else (args, kwargs)))
    if not any(live(t) for t in given):
        return
    mark = next((m for t in given if (m := mark_of(t)) is not None), None)
    in_place = name.endswith("_") or name in ("__setitem__", "__iadd__", "__imul__", "__isub__", "__itruediv__")
    passed = set() if in_place else {id(t) for t in given if not live(t)}
    if name == "__setitem__":
        output = args[0]
    for made in tensors(output):
        if id(made) not in passed:
            enliven(made, mark if mark_of(made) is None else None)


def dyed(tensor: torch.Tensor, dim: int) -> torch.Tensor:
    """Which rows hold NaN anywhere along `dim`."""
    if tensor.dtype == torch.float32:
        return tensor.sum(dim).isnan()
    return tensor.isnan().any(dim)


def is_mixed(tensor: torch.Tensor, dim: int) -> bool:
    """Whether a row along `dim` is dyed only in part."""
    nan = tensor.isnan()
    return bool((nan.any(dim) != nan.all(dim)).any())
