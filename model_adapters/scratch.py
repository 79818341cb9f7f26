"""Memory that one layer leaves to the next: what is made and used up at once needs no new pages."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class Scratch:
    """One array that grows as needed, handed out in any shape; what lay in it before is gone."""

    def __init__(self) -> None:
        self._held = torch.empty(0)

    def like(self, shape: Sequence[int], device: torch.device) -> torch.Tensor:
        """A float32 array of this shape, holding anything."""
        size = torch.Size(shape)
        if self._held.numel() < size.numel() or self._held.device != device:
            self._held = torch.empty(size.numel(), device=device)
        return self._held[: size.numel()].view(size)

    def holds(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor lies in this memory, and will be lost."""
        return tensor.untyped_storage().data_ptr() == self._held.untyped_storage().data_ptr()
