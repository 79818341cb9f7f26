"""Hidden states at the borders of blocks, or their lengths, as far as a run is asked for them."""

from __future__ import annotations

from typing import Protocol

import torch

Border = tuple[int, str, int]
"""(step, tower, layer): the layer's input, or with the number of layers the output of the last one."""


class Store(Protocol):
    """Owns a tensor, wherever it may lie until its step ends."""

    def __call__(self, tensor: torch.Tensor, *, copy: bool = False) -> torch.Tensor:
        """The tensor, or a copy where it must not change any more."""
        ...


class KeptStates:
    """What is kept of the states that blocks are entered and left with."""

    def __init__(self, want: frozenset[str], store: Store) -> None:
        self.asked = bool(want & {"hidden", "norms"})
        self.hidden: dict[Border, torch.Tensor] = {}
        self.norms: dict[Border, torch.Tensor] = {}
        self.sizes: dict[tuple[str, int], int] = {}
        """(tower, layer) -> the bytes that its states of the first step would take, kept or not."""
        self._want, self._store = want, store
        self._left: tuple[Border, torch.Tensor, int] | None = None

    def meets(self, step: int, tower: str, layer: int, states: torch.Tensor) -> None:
        """A block is entered or left with these states."""
        if step <= 0:
            self.sizes[tower, layer] = states.numel() * 4

    def keep(self, border: Border, states: torch.Tensor, *, entry: bool) -> torch.Tensor:
        """Keep states; returns them (a leaf of the graph where gradients begin)."""
        if {"hidden", "gradients"} <= self._want:
            if entry and not states.requires_grad:
                states = states.detach().requires_grad_()
            self.hidden[border] = states
        if self._are_kept(border, states):
            return states
        if "hidden" in self._want and "gradients" not in self._want:
            self.hidden[border] = self._store(states.detach(), copy=True)
        if "norms" in self._want:
            self.norms[border] = self._store(torch.linalg.vector_norm(states.detach().float(), dim=-1))
        self._left = None if states.is_inference() else (border, states, states._version)
        return states

    def _are_kept(self, border: Border, states: torch.Tensor) -> bool:
        """Whether these states, unchanged, are what the block before left behind."""
        if self._left is None:
            return False
        known, left, version = self._left
        return known == border and left is states and version == states._version

    def step_ends(self) -> None:
        """Move what was kept off the accelerator."""
        self._left = None
        if "gradients" not in self._want:
            self.hidden = {border: states.cpu() for border, states in self.hidden.items()}
        self.norms = {border: norms.cpu() for border, norms in self.norms.items()}
