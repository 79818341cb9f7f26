"""Which rows changed against a clean run, told by one random number per row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from model_adapters.geometry.marks import Weights, enliven, mark_of, tensors
from model_adapters.geometry.records import Key

_CHANGE = 1e-5
"""A row counts as changed when it differs by more than this share of the spread of all rows."""


def signature(tensor: torch.Tensor, dim: int) -> torch.Tensor:
    """One number per row: its product with a fixed random direction along `dim`."""
    width = tensor.shape[dim]
    noise = torch.Generator().manual_seed(width + 1)
    direction = torch.randn(width, generator=noise).to(tensor.device)
    return (tensor.float().movedim(dim, -1) @ direction).nan_to_num(0.0, 0.0, 0.0)


@dataclass
class Signatures:
    """The rows of all sites in the run without dye."""

    rows: dict[tuple[Key, str], torch.Tensor] = field(default_factory=dict)

    def differs(self, key: Key, side: str, rows: torch.Tensor, *, first: bool) -> torch.Tensor:
        """[..., rows] bool: which rows differ from the clean run, which this one becomes if it is the first."""
        if first:
            self.rows[key, side] = rows.clone()
        clean = self.rows.get((key, side))
        if clean is None or clean.shape != rows.shape:
            return torch.zeros_like(rows, dtype=torch.bool)
        scale = max(float(clean.abs().mean()), 1e-6)
        return (rows - clean).abs() > _CHANGE * scale


def attach(args: tuple, kwargs: dict, result: Any) -> None:
    """Scores and weights keep their marks through masks, scales and reshapes."""
    mark = next((m for t in tensors((args, kwargs)) if (m := mark_of(t)) is not None), None)
    if mark is None or not isinstance(result, torch.Tensor) or mark_of(result) is not None:
        return
    if result.is_floating_point() and (isinstance(mark, Weights) or result.dim() >= 3):
        given = next(t for t in tensors((args, kwargs)) if mark_of(t) is mark)
        if result.numel() == given.numel():
            enliven(result, mark)
