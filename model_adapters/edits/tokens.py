"""Edits of hidden states and of the residual stream: tokens set, dropped or merged, branches left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from model_adapters.edits.edit import Edit, Stage, Values
from model_adapters.where import Scope


@dataclass(frozen=True)
class SetHidden(Edit):
    """Set dimensions of hidden states at the entry of the chosen blocks: to a number, or to their mean over tokens.

    `where.queries` names the tokens, `dims` the dimensions (all by default); massive activations are tested so.
    """

    dims: tuple[int, ...] | Literal["all"] = "all"
    value: float | Literal["mean"] | Values = 0.0
    stage: ClassVar[Stage] = "hidden"

    def __post_init__(self) -> None:
        if isinstance(self.dims, list):
            object.__setattr__(self, "dims", tuple(self.dims))

    def __call__(self, hidden: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Hidden states [B, ..., T, D] with the dimensions set."""
        width = hidden.shape[-1]
        dims = torch.zeros(width, dtype=torch.bool, device=hidden.device)
        if self.dims == "all":
            dims[:] = True
        elif any(not -width <= d < width for d in self.dims):
            raise ValueError(f"dimensions {self.dims} were asked for, but hidden states have {width}.")
        else:
            dims[list(self.dims)] = True
        if isinstance(self.value, Values):
            changed = self.value.on(hidden).expand_as(hidden)
        elif self.value == "mean":
            changed = hidden.mean(tuple(range(1, hidden.dim() - 1)), keepdim=True).expand_as(hidden)
        else:
            changed = torch.full_like(hidden, float(self.value))
        tokens = scope.tokens(self.where.queries, "queries")
        chosen = dims if tokens is None else dims & tokens.reshape(-1, *hidden.shape[1:-1], 1)
        return torch.where(chosen, changed, hidden)


@dataclass(frozen=True)
class DropTokens(Edit):
    """Remove tokens from the residual stream between attention and MLP; later layers see fewer tokens."""

    stage: ClassVar[Stage] = "residual"


@dataclass(frozen=True)
class MergeTokens(Edit):
    """Merge tokens between attention and MLP: `groups[i]` is the new token that token i goes into (a mean).

    New tokens are numbered from 0 in the order in which they stand; `weights` gives each token's share in the mean.
    """

    groups: tuple[int, ...] = ()
    weights: tuple[float, ...] | None = None
    stage: ClassVar[Stage] = "residual"

    def __post_init__(self) -> None:
        if sorted(set(self.groups)) != list(range(len(set(self.groups)))):
            raise ValueError("groups must number the new tokens from 0 without gaps.")
        if self.weights is not None and len(self.weights) != len(self.groups):
            raise ValueError(f"{len(self.weights)} weights were given for {len(self.groups)} tokens; one each would work.")


@dataclass(frozen=True)
class Skip(Edit):
    """Leave a block's attention, its MLP, or both out of the residual stream."""

    part: Literal["attention", "mlp", "both"] = "both"
    stage: ClassVar[Stage] = "residual"

    def __post_init__(self) -> None:
        if self.part not in ("attention", "mlp", "both"):
            raise ValueError(f"part must be 'attention', 'mlp' or 'both'. Got {self.part!r} instead.")
