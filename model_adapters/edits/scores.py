"""Edits of scores, before the softmax: rows renormalise by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from model_adapters.edits.edit import Edit, Stage, applied
from model_adapters.where import Scope


@dataclass(frozen=True)
class Block(Edit):
    """Cut the edges from the chosen queries to the chosen keys: their scores become minus infinity."""

    stage: ClassVar[Stage] = "scores"

    def __call__(self, scores: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Scores [B, W, H, q, K] with the edges cut."""
        return applied(scores, torch.full_like(scores, float("-inf")), scope.mask(self.where))


@dataclass(frozen=True)
class Boost(Edit):
    """Raise scores by a share of their size: S + alpha |S| (safe for negative scores)."""

    alpha: float = 0.5
    stage: ClassVar[Stage] = "scores"

    def __call__(self, scores: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Scores with the chosen ones raised; masked ones stay masked."""
        raised = torch.where(torch.isinf(scores), scores, scores + self.alpha * scores.abs())
        return applied(scores, raised, scope.mask(self.where))


@dataclass(frozen=True)
class Temperature(Edit):
    """Divide scores by a temperature: above 1 flattens the rows, below 1 sharpens them."""

    value: float = 1.0
    stage: ClassVar[Stage] = "scores"

    def __post_init__(self) -> None:
        if not self.value > 0:
            raise ValueError(f"temperature must be above 0. Got {self.value} instead.")

    def __call__(self, scores: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Scores divided by the temperature."""
        return applied(scores, scores / self.value, scope.mask(self.where))


@dataclass(frozen=True)
class Uniform(Edit):
    """Spread each row evenly over the keys that it may see."""

    stage: ClassVar[Stage] = "scores"

    def __call__(self, scores: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Scores of zero wherever a key may be seen."""
        flat = torch.where(torch.isinf(scores), scores, torch.zeros_like(scores))
        return applied(scores, flat, scope.mask(self.where))


@dataclass(frozen=True)
class Identity(Edit):
    """Change nothing, the long way round: scores are made, left alone and used. Checks the machinery itself."""

    stage: ClassVar[Stage] = "scores"

    def __call__(self, scores: torch.Tensor, scope: Scope) -> torch.Tensor:
        """The same scores."""
        return scores
