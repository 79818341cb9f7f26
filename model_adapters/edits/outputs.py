"""Edits of head outputs, before the output projection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch

from model_adapters.edits.edit import Edit, Stage, Values, applied, rows_only
from model_adapters.where import Scope


@dataclass(frozen=True)
class Gate(Edit):
    """Multiply head outputs (before the output projection): 1 leaves a head, 0 prunes it.

    `value` is a number, one number per head, or a tensor [H] that may require a gradient: the derivative with respect to
    a gate is an importance of its head.
    """

    value: float | tuple[float, ...] | torch.Tensor = 0.0
    stage: ClassVar[Stage] = "output"

    def __call__(self, output: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Head outputs [B, W, H, q, D] scaled."""
        mask = scope.mask(rows_only(self.where))
        if isinstance(self.value, int | float):
            return applied(output, output * self.value, mask)
        value = torch.as_tensor(self.value, dtype=output.dtype, device=output.device)
        if value.dim() == 1:
            if len(value) != scope.site.heads:
                raise ValueError(f"{len(value)} gates were given for {scope.site.name}, which has {scope.site.heads} heads.")
            value = value[:, None, None]
        elif value.dim() > 1:
            raise ValueError(f"a gate is one number or one per head. Got a tensor of shape {tuple(value.shape)} instead.")
        return applied(output, output * value, mask)


@dataclass(frozen=True)
class ReplaceHeads(Edit):
    """Put given head outputs in place: one vector per head [H, D] (a data-set mean, say) or one per row [H, W * Q, D]."""

    values: Values = field(default_factory=lambda: Values(np.zeros((0, 0))))
    stage: ClassVar[Stage] = "output"

    def __call__(self, output: torch.Tensor, scope: Scope) -> torch.Tensor:
        """The given outputs where the edit applies."""
        given = self.values.on(output)
        heads, width = scope.site.heads, output.shape[-1]
        rows = scope.windows * scope.queries
        if given.shape == (heads, width):
            given = given[None, None, :, None, :]
        elif given.shape == (heads, rows, width):
            given = given.reshape(heads, scope.windows, scope.queries, width).transpose(0, 1)[None, :, :, scope.chunk]
        else:
            raise ValueError(
                f"head outputs of shape {tuple(given.shape)} were given for {scope.site.name}; "
                f"[{heads}, {width}] or [{heads}, {rows}, {width}] would work."
            )
        return applied(output, given.expand_as(output), scope.mask(rows_only(self.where)))
