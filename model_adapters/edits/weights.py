"""Edits of weights, after the softmax: the row sum is the edit's affair."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch

from model_adapters.edits.edit import Edit, Stage, Values, applied
from model_adapters.where import Scope, Tokens, Where


@dataclass(frozen=True)
class ScaleWeights(Edit):
    """Multiply chosen weights by a factor (0 removes them), with or without bringing the row sum back."""

    factor: float = 0.0
    renormalise: bool = False
    stage: ClassVar[Stage] = "weights"

    def __call__(self, weights: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Weights [B, W, H, q, K] scaled."""
        scaled = applied(weights, weights * self.factor, scope.mask(self.where))
        return _with_sum_of(weights, scaled) if self.renormalise else scaled


@dataclass(frozen=True)
class ScalePairs(Edit):
    """Multiply every weight by a factor of its own: one map [Q, K], or one per head [H, Q, K], of the whole site.

    Zeros prune single pairs, which no choice of queries and keys can name: a ring of neighbours, say.
    """

    factors: Values = field(default_factory=lambda: Values(np.zeros((0, 0))))
    renormalise: bool = False
    stage: ClassVar[Stage] = "weights"

    def __call__(self, weights: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Weights [B, W, H, q, K] scaled."""
        scaled = applied(weights, weights * _of_site(self.factors, "factors", weights, scope), scope.mask(self.where))
        return _with_sum_of(weights, scaled) if self.renormalise else scaled


@dataclass(frozen=True)
class ReplaceWeights(Edit):
    """Put given weights in place of the model's: one map [Q, K], one per head [H, Q, K], or of the whole site.

    The mean map of a data set is such a map. Rows of the whole site are numbered window by window.
    """

    values: Values = field(default_factory=lambda: Values(np.zeros((0, 0))))
    stage: ClassVar[Stage] = "weights"

    def __call__(self, weights: torch.Tensor, scope: Scope) -> torch.Tensor:
        """The given weights where the edit applies."""
        given = _of_site(self.values, "weights", weights, scope)
        return applied(weights, given.expand_as(weights), scope.mask(self.where))


@dataclass(frozen=True)
class Redistribute(Edit):
    """Take a share of the weight from the keys of `where` and give it to the keys `to`, in proportion to theirs.

    The row sum stays. Rows whose receivers hold no weight at all share evenly among them.
    """

    to: Tokens = "all"
    share: float = 1.0
    stage: ClassVar[Stage] = "weights"

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must be between 0 and 1. Got {self.share} instead.")

    def __call__(self, weights: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Weights with mass moved."""
        source = scope.tokens(self.where.keys, "keys")
        target = scope.tokens(self.to, "keys")
        ones = torch.ones(1, scope.windows, scope.keys, dtype=torch.bool, device=weights.device)
        source = (ones if source is None else source)[:, :, None, None, :]
        target = (ones if target is None else target)[:, :, None, None, :] & ~source
        taken = torch.where(source, weights * self.share, 0)
        kept = torch.where(target, weights, 0)
        held = kept.sum(-1, keepdim=True)
        even = target / target.sum(-1, keepdim=True).clamp_min(1)
        portion = torch.where(held > 0, kept / held.clamp_min(1e-20), even.to(weights))
        moved = weights - taken + taken.sum(-1, keepdim=True) * portion
        moved = torch.where(target.any(-1, keepdim=True), moved, weights)
        rows_only = Where(heads=self.where.heads, queries=self.where.queries)
        return applied(weights, moved, scope.mask(rows_only))


def _with_sum_of(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Rows brought back to the sum that they had; rows that lost everything stay empty."""
    old, new = before.sum(-1, keepdim=True), after.sum(-1, keepdim=True)
    return torch.where(new > 0, after * (old / new.clamp_min(1e-20)), after)


def _of_site(values: Values, what: str, weights: torch.Tensor, scope: Scope) -> torch.Tensor:
    """Maps [Q, K] or [H, Q, K] of a whole site, as they lie in the weights [B, W, H, q, K] at hand."""
    given = values.on(weights)
    rows, keys = scope.windows * scope.queries, scope.keys
    if given.shape[-2:] != (rows, keys) or given.dim() > 3 or (given.dim() == 3 and given.shape[0] not in (1, scope.site.heads)):
        raise ValueError(
            f"{what} of shape {tuple(given.shape)} were given for {scope.site.name}, which has "
            f"{scope.site.heads} heads, {rows} query rows and {keys} keys; give [{rows}, {keys}] or one such map per head."
        )
    return given.reshape(-1, scope.windows, scope.queries, keys).transpose(0, 1)[None, :, :, scope.chunk]
