"""Edits: what can be changed in attention, as frozen data.

An edit says where (a `Where`) and what. Edits can be printed, compared, hashed and stored, so they are cache keys, URL
state, captions and test ids. They act in a stated order: hidden states at the block's entry, then scores (these
renormalise by themselves), then weights, then head outputs, then the residual stream (token reduction, skipped
branches). Within a stage they act in the order in which they are given.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from model_adapters.where import EVERYWHERE, Scope, Tokens, Where

Stage = Literal["hidden", "scores", "weights", "output", "residual"]


@dataclass(frozen=True, eq=False)
class Values:
    """An array inside an edit: compared and hashed by its content."""

    array: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "array", np.ascontiguousarray(self.array, dtype=np.float32))

    @property
    def digest(self) -> str:
        """A hash of shape and content."""
        return hashlib.sha256(str(self.array.shape).encode() + self.array.tobytes()).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Values) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Values({'x'.join(map(str, self.array.shape))}, {self.digest})"

    def on(self, like: torch.Tensor) -> torch.Tensor:
        """The array as a tensor of the other's device and precision."""
        return torch.from_numpy(self.array).to(like)


@dataclass(frozen=True)
class Edit:
    """What every edit has: a place and a stage."""

    where: Where = EVERYWHERE
    stage: ClassVar[Stage]


def _apply(tensor: torch.Tensor, changed: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    return changed if mask is None else torch.where(mask, changed, tensor)


@dataclass(frozen=True)
class Block(Edit):
    """Cut the edges from the chosen queries to the chosen keys: their scores become minus infinity."""

    stage: ClassVar[Stage] = "scores"

    def __call__(self, scores: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Scores [B, W, H, q, K] with the edges cut."""
        return _apply(scores, torch.full_like(scores, float("-inf")), scope.mask(self.where))


@dataclass(frozen=True)
class Boost(Edit):
    """Raise scores by a share of their size: S + alpha |S| (safe for negative scores)."""

    alpha: float = 0.5
    stage: ClassVar[Stage] = "scores"

    def __call__(self, scores: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Scores with the chosen ones raised; masked ones stay masked."""
        raised = torch.where(torch.isinf(scores), scores, scores + self.alpha * scores.abs())
        return _apply(scores, raised, scope.mask(self.where))


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
        return _apply(scores, scores / self.value, scope.mask(self.where))


@dataclass(frozen=True)
class Uniform(Edit):
    """Spread each row evenly over the keys that it may see."""

    stage: ClassVar[Stage] = "scores"

    def __call__(self, scores: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Scores of zero wherever a key may be seen."""
        flat = torch.where(torch.isinf(scores), scores, torch.zeros_like(scores))
        return _apply(scores, flat, scope.mask(self.where))


@dataclass(frozen=True)
class Identity(Edit):
    """Change nothing, the long way round: scores are made, left alone and used. Checks the machinery itself."""

    stage: ClassVar[Stage] = "scores"

    def __call__(self, scores: torch.Tensor, scope: Scope) -> torch.Tensor:
        """The same scores."""
        return scores


@dataclass(frozen=True)
class ScaleWeights(Edit):
    """Multiply chosen weights by a factor (0 removes them), with or without bringing the row sum back."""

    factor: float = 0.0
    renormalise: bool = False
    stage: ClassVar[Stage] = "weights"

    def __call__(self, weights: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Weights [B, W, H, q, K] scaled."""
        scaled = _apply(weights, weights * self.factor, scope.mask(self.where))
        if not self.renormalise:
            return scaled
        before, after = weights.sum(-1, keepdim=True), scaled.sum(-1, keepdim=True)
        return torch.where(after > 0, scaled * (before / after.clamp_min(1e-20)), scaled)


@dataclass(frozen=True)
class ReplaceWeights(Edit):
    """Put given weights in place of the model's: one map [Q, K], one per head [H, Q, K], or of the whole site.

    The mean map of a data set is such a map. Rows of the whole site are numbered window by window.
    """

    values: Values = field(default_factory=lambda: Values(np.zeros((0, 0))))
    stage: ClassVar[Stage] = "weights"

    def __call__(self, weights: torch.Tensor, scope: Scope) -> torch.Tensor:
        """The given weights where the edit applies."""
        given = self.values.on(weights)
        rows, keys = scope.windows * scope.queries, scope.keys
        if given.shape[-2:] != (rows, keys) or given.dim() > 3 or (given.dim() == 3 and given.shape[0] not in (1, scope.site.heads)):
            raise ValueError(
                f"weights of shape {tuple(given.shape)} were given for {scope.site.name}, which has "
                f"{scope.site.heads} heads, {rows} query rows and {keys} keys; give [{rows}, {keys}] or one such map per head."
            )
        given = given.reshape(-1, scope.windows, scope.queries, keys).transpose(0, 1)[None, :, :, scope.chunk]
        return _apply(weights, given.expand_as(weights), scope.mask(self.where))


@dataclass(frozen=True)
class Redistribute(Edit):
    """Take a share of the weight from the keys of `where` and give it to the keys `to`, in proportion to theirs.

    The row sum stays. Rows whose receivers hold no weight at all share evenly among them.
    """

    to: Tokens = "all"
    share: float = 1.0
    stage: ClassVar[Stage] = "weights"

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must be between 0 and 1. Got {self.share} instead.")

    def __call__(self, weights: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Weights with mass moved."""
        source = scope.tokens(self.where.keys, "keys")
        target = scope.tokens(self.to, "keys")
        ones = torch.ones(1, scope.windows, scope.keys, dtype=torch.bool, device=weights.device)
        source = (ones if source is None else source)[:, :, None, None, :]
        target = (ones if target is None else target)[:, :, None, None, :] & ~source
        taken = torch.where(source, weights * self.share, 0)
        kept = torch.where(target, weights, 0)
        held = kept.sum(-1, keepdim=True)
        even = target / target.sum(-1, keepdim=True).clamp_min(1)
        portion = torch.where(held > 0, kept / held.clamp_min(1e-20), even.to(weights))
        moved = weights - taken + taken.sum(-1, keepdim=True) * portion
        moved = torch.where(target.any(-1, keepdim=True), moved, weights)
        rows_only = Where(heads=self.where.heads, queries=self.where.queries)
        return _apply(weights, moved, scope.mask(rows_only))


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
        value = torch.as_tensor(self.value, dtype=output.dtype, device=output.device)
        if value.dim() == 1:
            if len(value) != scope.site.heads:
                raise ValueError(f"{len(value)} gates were given for {scope.site.name}, which has {scope.site.heads} heads.")
            value = value[:, None, None]
        elif value.dim() > 1:
            raise ValueError(f"a gate is one number or one per head. Got a tensor of shape {tuple(value.shape)} instead.")
        return _apply(output, output * value, scope.mask(_rows_only(self.where)))


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
        return _apply(output, given.expand_as(output), scope.mask(_rows_only(self.where)))


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
            changed = hidden.mean(-2, keepdim=True).expand_as(hidden)
        else:
            changed = torch.full_like(hidden, float(self.value))
        tokens = scope.tokens(self.where.queries, "queries")
        chosen = dims if tokens is None else dims & tokens.reshape(-1, tokens.shape[-1], 1)
        return torch.where(chosen, changed, hidden)


@dataclass(frozen=True)
class DropTokens(Edit):
    """Remove tokens from the residual stream between attention and MLP; later layers see fewer tokens."""

    stage: ClassVar[Stage] = "residual"


@dataclass(frozen=True)
class MergeTokens(Edit):
    """Merge tokens between attention and MLP: `groups[i]` is the new token that token i goes into (a mean).

    New tokens are numbered from 0 in the order in which they stand; `weights` gives each token's share in the mean.
    """

    groups: tuple[int, ...] = ()
    weights: tuple[float, ...] | None = None
    stage: ClassVar[Stage] = "residual"

    def __post_init__(self) -> None:
        if sorted(set(self.groups)) != list(range(len(set(self.groups)))):
            raise ValueError("groups must number the new tokens from 0 without gaps.")
        if self.weights is not None and len(self.weights) != len(self.groups):
            raise ValueError(f"{len(self.weights)} weights were given for {len(self.groups)} tokens; one each would work.")


@dataclass(frozen=True)
class Skip(Edit):
    """Leave a block's attention, its MLP, or both out of the residual stream."""

    part: Literal["attention", "mlp", "both"] = "both"
    stage: ClassVar[Stage] = "residual"

    def __post_init__(self) -> None:
        if self.part not in ("attention", "mlp", "both"):
            raise ValueError(f"part must be 'attention', 'mlp' or 'both'. Got {self.part!r} instead.")


STAGES: tuple[Stage, ...] = ("hidden", "scores", "weights", "output", "residual")
EDITS: dict[str, type[Edit]] = {
    kind.__name__: kind
    for kind in (
        Block, Boost, Temperature, Uniform, Identity, ScaleWeights, ReplaceWeights, Redistribute, Gate, ReplaceHeads,
        SetHidden, DropTokens, MergeTokens, Skip,
    )
}  # fmt: skip
"""Every edit by name: what can be written in a study file or a link."""


def check_edits(edits: Any) -> tuple[Edit, ...]:
    """Edits as a tuple, each checked to be one."""
    given = (edits,) if isinstance(edits, Edit) else tuple(edits)
    for edit in given:
        if not isinstance(edit, Edit) or not hasattr(type(edit), "stage"):
            raise ValueError(f"edits must be of {sorted(EDITS)}. Got {edit!r} instead.")
    return given


def _rows_only(where: Where) -> Where:
    return Where(heads=where.heads, queries=where.queries)
