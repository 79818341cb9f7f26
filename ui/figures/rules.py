"""The one place where a type of result finds its drawing; `every_rule` fills it."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
import plotly.graph_objects as go


@dataclass(frozen=True, eq=False)
class Look:
    """What a drawing may be told beside the result."""

    chosen: tuple[int, int] | None = None
    image: np.ndarray | None = None
    names: tuple[str, ...] | None = None


@singledispatch
def rule(result: Any, look: Look) -> go.Figure:
    """The figure of a result; rules are registered by type in the modules beside this one."""
    names = sorted(kind.__name__ for kind in rule.registry if kind is not object)
    raise TypeError(f"there is no drawing for a {type(result).__name__}. Drawn are {', '.join(names)}.")


_MEMBERS: set[type] = set()
"""Types that are drawn when they come as a tuple."""


def drawn_together(kind: type) -> None:
    """Tuples of this type have a drawing."""
    _MEMBERS.add(kind)


def known(kind: Any) -> bool:
    """Whether a return annotation leads to a drawing."""
    if typing.get_origin(kind) is tuple:
        return set(typing.get_args(kind)) - {Ellipsis} <= _MEMBERS
    return isinstance(kind, type) and rule.dispatch(kind) is not rule.registry[object]
