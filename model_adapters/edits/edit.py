"""What every edit has: a place, a stage, and content that can be compared and hashed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from model_adapters.where import EVERYWHERE, Where

Stage = Literal["hidden", "scores", "weights", "output", "residual"]


@dataclass(frozen=True, eq=False)
class Values:
    """An array inside an edit: compared and hashed by its content."""

    array: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "array", np.ascontiguousarray(self.array, dtype=np.float32))

    @property
    def digest(self) -> str:
        """A hash of shape and content."""
        return hashlib.sha256(str(self.array.shape).encode() + self.array.tobytes()).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Values) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Values({'x'.join(map(str, self.array.shape))}, {self.digest})"

    def on(self, like: torch.Tensor) -> torch.Tensor:
        """The array as a tensor of the other's device and precision."""
        return torch.from_numpy(self.array).to(like)


@dataclass(frozen=True)
class Edit:
    """What every edit has: a place and a stage."""

    where: Where = EVERYWHERE
    stage: ClassVar[Stage]


def applied(tensor: torch.Tensor, changed: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The changed tensor where the mask says so (everywhere without one)."""
    return changed if mask is None else torch.where(mask, changed, tensor)


def rows_only(where: Where) -> Where:
    """The heads and queries of a selection, without its keys."""
    return Where(heads=where.heads, queries=where.queries)
