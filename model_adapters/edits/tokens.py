"""Edits of hidden states and of the residual stream: tokens set, dropped or merged, branches left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from model_adapters.edits.edit import Edit, Stage, Values
from model_adapters.where import Scope


@dataclass(frozen=True)
class SetHidden(Edit):
    """Set dimensions of hidden states at the entry of the chosen blocks: to a number, or to their mean over tokens.

    `where.queries` names the tokens, `dims` the dimensions (all by default); massive activations are tested so.
    """

    dims: tuple[int, ...] | Literal["all"] = "all"
    value: float | Literal["mean"] | Values = 0.0
    stage: ClassVar[Stage] = "hidden"

    def __post_init__(self) -> None:
        if isinstance(self.dims, list):
            object.__setattr__(self, "dims", tuple(self.dims))

    def __call__(self, hidden: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Hidden states [B, ..., T, D] with the dimensions set."""
        width = hidden.shape[-1]
        dims = torch.zeros(width, dtype=torch.bool, device=hidden.device)
        if self.dims == "all":
            dims[:] = True
        elif any(not -width <= d < width for d in self.dims):
            raise ValueError(f"dimensions {self.dims} were asked for, but hidden states have {width}.")
        else:
            dims[list(self.dims)] = True
        if isinstance(self.value, Values):
            changed = self.value.on(hidden).expand_as(hidden)
        elif self.value == "mean":
            changed = hidden.mean(tuple(range(1, hidden.dim() - 1)), keepdim=True).expand_as(hidden)
        else:
            changed = torch.full_like(hidden, float(self.value))
        tokens = scope.tokens(self.where.queries, "queries")
        chosen = dims if tokens is None else dims & tokens.reshape(-1, *hidden.shape[1:-1], 1)
        return torch.where(chosen, changed, hidden)


@dataclass(frozen=True)
class AddTokens(Edit):
    """Add tokens at the end of the sequence, at the entry of one block; they are taken off behind the tower's last block.

    They start as a number, or as given vectors [D] or [count, D]. The dimensions `takes` are moved to them: each added
    token gets the entry of largest magnitude that the tokens of `where.queries` have there, and those are set to zero.
    `where.layers` names the one block.
    """

    count: int = 1
    value: float | Values = 0.0
    takes: tuple[int, ...] = ()
    stage: ClassVar[Stage] = "hidden"

    def __post_init__(self) -> None:
        if isinstance(self.takes, list):
            object.__setattr__(self, "takes", tuple(self.takes))
        if self.count < 1:
            raise ValueError(f"at least 1 token must be added. Got {self.count}.")

    def __call__(self, hidden: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Hidden states [B, T, D] as [B, T + count, D]."""
        if len(self.where.layers) != 1 or self.where.layers == "all":
            raise ValueError(f"tokens are added at the entry of one block; layers=(0,), say. Got layers={self.where.layers!r}.")
        if hidden.dim() != 3:
            shape = tuple(hidden.shape)
            raise ValueError(f"tokens can be added to a sequence [B, T, D]. Those of {scope.site.name} are {shape}.")
        batch, _, width = hidden.shape
        value = self.value.on(hidden) if isinstance(self.value, Values) else torch.full((width,), float(self.value)).to(hidden)
        if value.shape not in ((width,), (self.count, width)):
            raise ValueError(f"added tokens must be [{width}] or [{self.count}, {width}]. Got shape {tuple(value.shape)}.")
        added = value.expand(batch, self.count, width).clone()
        if self.takes:
            hidden, peaks = self._taken(hidden, scope)
            added[:, :, list(self.takes)] = peaks[:, None]
        return torch.cat([hidden, added], 1)

    def _taken(self, hidden: torch.Tensor, scope: Scope) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states without the dimensions at the chosen tokens, and what was largest there [B, takes]."""
        if any(not -hidden.shape[-1] <= d < hidden.shape[-1] for d in self.takes):
            raise ValueError(f"dimensions {self.takes} were asked for, but hidden states have {hidden.shape[-1]}.")
        tokens = scope.tokens(self.where.queries, "queries")
        chosen = torch.ones_like(hidden[..., 0], dtype=torch.bool) if tokens is None else tokens[:, 0].expand(hidden.shape[:2])
        held = torch.where(chosen[..., None], hidden, 0)[..., list(self.takes)]
        peaks = held.gather(1, held.abs().argmax(1, keepdim=True))[:, 0]
        dims = torch.zeros(hidden.shape[-1], dtype=torch.bool, device=hidden.device)
        dims[list(self.takes)] = True
        return torch.where(chosen[..., None] & dims, 0, hidden), peaks


@dataclass(frozen=True)
class DropTokens(Edit):
    """Remove tokens from the residual stream between attention and MLP; later layers see fewer tokens.

    With `entry` they go before the block's attention: at the entry of a decoder's first block they never get into it.
    What is left keeps its positions. In a generation `where.phase="prompt"` drops tokens of the prompt, and caches are
    shorter from there on.
    """

    entry: bool = False
    stage: ClassVar[Stage] = "residual"


@dataclass(frozen=True)
class MergeTokens(Edit):
    """Merge tokens between attention and MLP: `groups[i]` is the new token that token i goes into (a mean).

    New tokens are numbered from 0 in the order in which they stand; `weights` gives each token's share in the mean. Each
    takes the place of the first token in it, or of the one that `places` names. With `entry` they are merged before the
    block's attention.
    """

    groups: tuple[int, ...] = ()
    weights: tuple[float, ...] | None = None
    places: tuple[int, ...] | None = None
    entry: bool = False
    stage: ClassVar[Stage] = "residual"

    def __post_init__(self) -> None:
        if sorted(set(self.groups)) != list(range(len(set(self.groups)))):
            raise ValueError("groups must number the new tokens from 0 without gaps.")
        if self.weights is not None and len(self.weights) != len(self.groups):
            raise ValueError(f"{len(self.weights)} weights were given for {len(self.groups)} tokens; one each would work.")
        if self.places is not None and [self.groups[i] for i in self.places] != list(range(len(set(self.groups)))):
            raise ValueError("places must name one token of each group, in the order of the groups.")

    @property
    def kept_places(self) -> tuple[int, ...]:
        """The number of the token whose place each new token takes."""
        return self.places or tuple(self.groups.index(group) for group in range(len(set(self.groups))))


@dataclass(frozen=True)
class Skip(Edit):
    """Leave a block's attention, its MLP, or both out of the residual stream, for all tokens or for those of `where.queries`.

    Tokens that skip one branch get nothing from it; the others still see them. Tokens that skip both go round the block:
    the others run through it without them, as in a mixture of depths, keys and caches included, and they come back behind
    it as they were. In a generation `where.phase="prompt"` sends tokens of the prompt round.
    """

    part: Literal["attention", "mlp", "both"] = "both"
    stage: ClassVar[Stage] = "residual"

    def __post_init__(self) -> None:
        if self.part not in ("attention", "mlp", "both"):
            raise ValueError(f"part must be 'attention', 'mlp' or 'both'. Got {self.part!r} instead.")

    @property
    def goes_round(self) -> bool:
        """Whether some tokens go round the block while the others run through it."""
        return self.part == "both" and self.where.queries != "all"
