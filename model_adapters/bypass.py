"""Tokens that go round a block: it runs without them, and behind it they stand where they stood, as they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from model_adapters.errors import AdapterError
from model_adapters.hidden import find_output, with_output
from model_adapters.residual import kept


@dataclass(frozen=True, eq=False)
class Bypass:
    """The tokens of one block's input, and which of them run through it."""

    block: str
    whole: torch.Tensor
    """[B, T, D] all tokens."""
    through: torch.Tensor
    """Bool [B, T]."""

    @property
    def tokens(self) -> torch.Tensor:
        """[B, t, D] what the block is given."""
        batch, _, width = self.whole.shape
        return self.whole[self.through].reshape(batch, -1, width)

    @property
    def numbers(self) -> torch.Tensor | None:
        """The numbers of the tokens that run through; None where they differ in the batch."""
        return torch.nonzero(self.through[0]).flatten() if bool((self.through == self.through[:1]).all()) else None

    def joined(self, output: Any) -> Any:
        """What the block returns, with all tokens in it."""
        hidden = find_output(output)
        given = self.tokens.shape
        if hidden is None or hidden.shape != given:
            raise AdapterError(
                f"Block {self.block} was given {tuple(given)} and returned {None if hidden is None else tuple(hidden.shape)}, so "
                "that tokens which went round it cannot be put back. Skip works in blocks that keep the shape of their tokens."
            )
        whole = self.whole.masked_scatter(self.through[..., None], hidden)
        return with_output(output, whole, self.block)


def bypass_of(block: str, hidden: torch.Tensor, masks: Sequence[torch.Tensor], step: int) -> Bypass | None:
    """The bypass of a block for tokens [B or 1, T] that go round it; None where none does."""
    if not any(bool(mask.any()) for mask in masks):
        return None
    if step > 0:
        raise AdapterError(
            f"Tokens were to go round block {block} while an answer is written, whose cache then misses them. "
            "Where(phase='prompt') sends tokens of the prompt round, and Skip of all tokens leaves the block out at every step."
        )
    if hidden.dim() != 3:
        raise AdapterError(
            f"Tokens were to go round block {block}, whose tokens lie on a grid of shape {tuple(hidden.shape)}; that works where "
            "they form a sequence [batch, tokens, width]. Skip of part='attention' or part='mlp' works for chosen tokens here."
        )
    return Bypass(block, hidden, kept(hidden, torch.stack([m.expand(len(hidden), -1) for m in masks]).any(0)))
