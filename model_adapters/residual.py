"""The residual stream of a block, followed by what is added to it: where branches can be left out and tokens removed.

A pre-norm block reads `x = x + attention(x); x = x + mlp(x)`. Whatever the branches are called, the residual operand of
each addition is the stream itself (the same storage), and that is how the additions are recognised.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch

from model_adapters.edits import DropTokens, MergeTokens, Skip
from model_adapters.errors import AdapterError

ADDITIONS = frozenset(
    {torch.add, torch.Tensor.add, torch.Tensor.__add__, torch.Tensor.__radd__, torch.Tensor.add_, torch.Tensor.__iadd__}
)

_POSITION = re.compile(r"pos|cpe|peg")
"""Position encodings by convolution are added to the stream too; they are no branch of the block."""

Reduce = DropTokens | MergeTokens


@dataclass
class Stream:
    """The state of one block's residual stream while the block runs."""

    name: str
    edits: tuple[Skip | Reduce, ...]
    mask: Callable[[Skip | Reduce, int], torch.Tensor | None]
    """Bool [B or 1, T]: the tokens an edit means, given how many there are; None for all."""
    hidden: torch.Tensor
    reduced: Callable[[torch.Tensor | None, torch.Tensor], None]
    """Told the numbers of the tokens that stay (None: they differ in the batch) and the tokens before."""
    additions: int = 0
    attended: bool = False
    """The block's attention ran, so the next addition is its branch."""
    done: set[int] = field(default_factory=set)

    def add(self, func: Callable, args: tuple, kwargs: dict, here: str) -> torch.Tensor | None:
        """The result of an addition to the stream, changed as the edits say; None if it is another addition."""
        if len(args) < 2 or not self._is_stream(args[0]) and not self._is_stream(args[1]):
            return None
        stream, branch = (args[0], args[1]) if self._is_stream(args[0]) else (args[1], args[0])
        if not isinstance(branch, torch.Tensor) or branch.shape != stream.shape:
            return None
        if not self.attended or _POSITION.search(here.removeprefix(self.name)):
            self.hidden = func(*args, **kwargs)
            return self.hidden
        self.additions += 1
        part = "attention" if self.additions == 1 else "mlp"
        skips = {i: e for i, e in enumerate(self.edits) if isinstance(e, Skip) and e.part == part}
        self.done |= set(skips)
        result = self._without(stream, tuple(skips.values()), partial(func, *args, **kwargs))
        if self.additions == 1:
            result = self._reduced(result)
        self.hidden = result
        return result

    def finish(self, output: torch.Tensor | None) -> None:
        """Complain about an edit that found no place in this block."""
        missed = [e for i, e in enumerate(self.edits) if i not in self.done]
        if missed:
            raise AdapterError(
                f"{type(missed[0]).__name__} was asked for in block {self.name}, but its branches are not added to a residual "
                f"stream that could be followed (output {None if output is None else tuple(output.shape)}). "
                "Skip(part='both') works on every block that keeps the shape of its tokens."
            )

    def _is_stream(self, value: object) -> bool:
        return (
            isinstance(value, torch.Tensor)
            and value.numel() == self.hidden.numel()
            and value.data_ptr() == self.hidden.data_ptr()
        )

    def _without(self, stream: torch.Tensor, skips: tuple[Skip, ...], added: Callable[[], torch.Tensor]) -> torch.Tensor:
        """The addition, but for the tokens that skip its branch."""
        if not skips:
            return added()
        chosen = [self.mask(edit, stream.shape[1:-1].numel()) for edit in skips]
        before = stream.clone()
        if any(each is None for each in chosen):
            return before
        result = added()
        for each in chosen:
            result = torch.where(each.reshape(-1, *stream.shape[1:-1], 1), before, result)  # type: ignore[union-attr]
        return result

    def _reduced(self, tokens: torch.Tensor) -> torch.Tensor:
        for index, edit in enumerate(self.edits):
            if isinstance(edit, Skip):
                continue
            if tokens.dim() != 3:
                raise AdapterError(
                    f"{type(edit).__name__} was asked for in block {self.name}, whose tokens lie on a grid of shape "
                    f"{tuple(tokens.shape)}; tokens can be removed where they form a sequence [batch, tokens, width]."
                )
            before = tokens
            tokens, stay = reduced(tokens, edit, self.mask)
            self.reduced(stay, before)
            self.done.add(index)
        return tokens


def reduced(
    tokens: torch.Tensor, edit: Reduce, mask: Callable[[Reduce, int], torch.Tensor | None]
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Tokens [B, T, D] dropped or merged, and the numbers of those that stay (None: they differ in the batch)."""
    if isinstance(edit, MergeTokens):
        return merge(tokens, edit), torch.tensor(edit.kept_places)
    keep = kept(tokens, mask(edit, tokens.shape[1]))
    left = tokens[keep].reshape(tokens.shape[0], -1, tokens.shape[2])
    return left, torch.nonzero(keep[0]).flatten() if bool((keep == keep[:1]).all()) else None


def kept(tokens: torch.Tensor, chosen: torch.Tensor | None) -> torch.Tensor:
    """Bool [B, T]: the tokens that stay when the chosen ones go; every item of a batch must lose equally many."""
    if chosen is None:
        raise ValueError("dropping all tokens leaves nothing; name the tokens to drop.")
    keep = ~chosen.expand(tokens.shape[0], -1)
    left = keep.sum(1)
    if int(left.min()) == 0 or int(left.min()) != int(left.max()):
        raise ValueError(f"{left.tolist()} tokens would be left in the items of the batch; the same number above 0 would work.")
    return keep


def merge(tokens: torch.Tensor, edit: MergeTokens) -> torch.Tensor:
    """Tokens [B, T, D] averaged into groups."""
    if len(edit.groups) != tokens.shape[1]:
        raise ValueError(f"{len(edit.groups)} groups were given for {tokens.shape[1]} tokens; one group number each would work.")
    share = torch.ones(len(edit.groups)) if edit.weights is None else torch.tensor(edit.weights, dtype=torch.float32)
    matrix = torch.zeros(max(edit.groups) + 1, len(edit.groups))
    matrix[torch.tensor(edit.groups), torch.arange(len(edit.groups))] = share
    matrix = matrix / matrix.sum(1, keepdim=True)
    return matrix.to(tokens) @ tokens
