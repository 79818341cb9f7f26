"""What a call of softmax or of an attention kernel does in its module, as the survey of a model has found it.

A role belongs to a module and to the line of code that makes the call: the same line in the same module does the same
thing in every pass, whatever the module is called and however large its input is.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

Place = tuple[str, int, int]
"""File, line and instruction of a call in the model's own code."""

_ATTRIBUTE = "_headlight_roles"
_OURS = (os.path.dirname(torch.__file__) + os.sep, os.path.dirname(__file__) + os.sep)


@dataclass(frozen=True)
class BatchPlace:
    """Where the items of a batch lie in the axes before queries and keys."""

    axis: int = 0
    inner: int | None = None
    """How many entries of that axis lie inside an item: None for all (the batch comes first), 1 where it comes last."""
    known: bool = True
    """False where a batch of two could not be told apart."""


FIRST = BatchPlace()


@dataclass(frozen=True)
class Role:
    """One call, and what becomes of what it returns."""

    kind: Literal["attention", "factorised", "other"] = "attention"
    order: tuple[int, ...] | None = None
    """Which axis of the call's tensor is which of [..., queries, keys]; None where it is in this order."""
    changed: bool = False
    """The weights that meet the values are not those that the softmax made."""
    batch: BatchPlace = FIRST
    heads: int | None = None
    """How many heads lie in the first axis, where the module declares none and its input tells it."""


def roles_of(module: nn.Module) -> dict[Place, Role]:
    """The roles known of a module; empty where it was never surveyed."""
    return module.__dict__.get(_ATTRIBUTE, {})


def assign(root: nn.Module, roles: dict[nn.Module, dict[Place, Role]]) -> None:
    """Keep the roles at the modules that they belong to; a copy of the model takes them along."""
    for module in root.modules():
        module.__dict__.pop(_ATTRIBUTE, None)
    for module, found in roles.items():
        object.__setattr__(module, _ATTRIBUTE, found)


def role_here(module: nn.Module | None) -> Role | None:
    """The role of the call being made in this module, if it is known."""
    known = roles_of(module) if module is not None else {}
    return known.get(call_place()) if known else None


def call_place() -> Place:
    """The innermost line of code outside torch and this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno, frame.f_lasti
