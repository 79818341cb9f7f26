"""An edit that moves attention from sinks to the rest of the image, in rows that look at the image beside its sinks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from model_adapters.edits import Edit, Stage
from model_adapters.where import Scope, Where


@dataclass(frozen=True)
class MoveSinks(Edit):
    """Take a share from sinks and give it to the other image tokens in proportion to theirs; rows keep their sums.

    Rows (a head and a query) take part that give the image at least `least`, and not too much of it to its sinks. `paper`:
    image sinks give p, and at least `rho` of the image's attention must lie beside them. `code`: all sinks give 1 - p, and
    at most `rho` of it may lie on them. Rows with nothing beside the sinks stay.
    """

    sinks: tuple[int, ...] = ()
    """Positions in the prompt, of the image or not."""
    p: float = 0.6
    rho: float = 0.5
    least: float = 0.2
    variant: Literal["paper", "code"] = "code"
    stage: ClassVar[Stage] = "weights"

    def __post_init__(self) -> None:
        if self.variant not in ("paper", "code"):
            raise ValueError(f"variant must be 'paper' or 'code'. Got {self.variant!r} instead.")

    def __call__(self, weights: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Weights [B, W, H, q, K] with mass moved."""
        sink = torch.zeros(scope.keys, dtype=torch.bool, device=weights.device)
        sink[[i for i in self.sinks if i < scope.keys]] = True
        image = scope.tokens("image", "keys")
        if image is None:
            return weights
        image = image[:, :, None, None, :]
        paper = self.variant == "paper"
        beside = weights * (image & ~sink)
        held = beside.sum(-1, keepdim=True)
        gives = (image & sink) if paper else sink.expand_as(image)
        share = self.p if paper else 1 - self.p
        budget = share * (weights * gives).sum(-1, keepdim=True)
        moved = torch.where(gives, weights * (1 - share), weights) + beside * budget / held.clamp_min(1e-20)
        changed = torch.where(self._taking_part(weights, image, sink) & (held > 0), moved, weights)
        mask = scope.mask(Where(heads=self.where.heads, queries=self.where.queries))
        return changed if mask is None else torch.where(mask, changed, weights)

    def _taking_part(self, weights: torch.Tensor, image: torch.Tensor, sink: torch.Tensor) -> torch.Tensor:
        looked = (weights * image).sum(-1, keepdim=True)
        share = (weights * (image & sink)).sum(-1, keepdim=True) / (weights + 1e-6).mul(image).sum(-1, keepdim=True)
        few = 1 - share >= self.rho if self.variant == "paper" else share <= self.rho
        return (looked >= self.least) & few
