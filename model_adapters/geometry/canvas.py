"""What is dyed: the tensor that a tower takes, and where each of its entries lies on the processed image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Axis:
    """One axis of space and the coordinate of every entry of the pixels along it."""

    name: str
    """y, x, or z: the number of the tile or frame."""
    size: int
    index: torch.Tensor
    """int64, broadcastable to the pixels; -1 where an entry has no place (padding)."""


@dataclass(frozen=True)
class Stain:
    """One dye: the cells of one axis that it covers, or all or nothing where `axis` is empty."""

    axis: str
    cells: np.ndarray
    """[cells] bool."""
    unit: int = 1
    """Coordinates per cell."""


EVERYTHING = Stain("", np.ones(1, bool))
NOTHING = Stain("", np.zeros(1, bool))
PADDING = Stain("padding", np.zeros(1, bool))
"""The entries of the pixels that have no place."""


@dataclass(frozen=True)
class Canvas:
    """The tower's input for one image (or for the tiles of one prompt), ready to be dyed."""

    pixels: torch.Tensor
    axes: tuple[Axis, ...]
    stacks: bool = True
    """Dyed copies may lie side by side on the first axis of one pass."""
    packed: bool = False
    """Coordinates count patches, not pixels."""
    extents: np.ndarray | None = None
    """[tiles, 2] height and width of every tile, where they differ."""

    def axis(self, name: str) -> Axis | None:
        """The axis of this name, if there is one."""
        return next((a for a in self.axes if a.name == name), None)

    def size(self, name: str) -> int:
        """The extent along one axis; 1 where there is no such axis."""
        found = self.axis(name)
        return found.size if found else 1

    @property
    def extent(self) -> np.ndarray:
        """[tiles, 2] height and width of every tile or frame."""
        if self.extents is not None:
            return self.extents
        return np.tile([self.size("y"), self.size("x")], (self.size("z"), 1))

    @property
    def padded(self) -> bool:
        """Whether some entries of the pixels have no place."""
        return bool((self.axes[0].index < 0).any())

    def painted(self, stains: Sequence[Stain]) -> torch.Tensor:
        """The dyed pixels, one copy per stain, on the first axis."""
        return torch.cat([self._paint(stain) for stain in stains])

    def _paint(self, stain: Stain) -> torch.Tensor:
        axis = self.axis(stain.axis)
        if stain is PADDING:
            return self.pixels.masked_fill(self.axes[0].index < 0, torch.nan)
        if axis is None:
            return torch.full_like(self.pixels, torch.nan) if stain.cells[0] else self.pixels
        cells = torch.from_numpy(np.append(stain.cells, False)).to(self.pixels.device)
        cell = torch.where(axis.index < 0, len(stain.cells), axis.index // stain.unit)
        return self.pixels.masked_fill(cells[cell], torch.nan)


def image_canvas(
    size: tuple[int, int], *, channels: int = 3, frames: int | None = None, device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Canvas:  # fmt: skip
    """The canvas of a tower that takes [N, C, H, W], or [N, T, C, H, W] where `frames` are given; size is (H, W)."""
    height, width = size
    noise = torch.Generator().manual_seed(0)
    shape = (1, channels, height, width) if frames is None else (1, frames, channels, height, width)
    pixels = torch.randn(shape, generator=noise).to(device, dtype)
    axes = [Axis("y", height, torch.arange(height, device=device)[:, None]), Axis("x", width, torch.arange(width, device=device))]
    if frames is not None:
        axes.append(Axis("z", frames, torch.arange(frames, device=device)[:, None, None, None]))
    return Canvas(pixels, tuple(axes))
