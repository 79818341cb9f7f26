"""A plan of token reduction: step by step which tokens are left, where each first token went, and the edits that do it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from analysis.token_rows import hidden_of, whole_attention_of
from model_adapters import Capture, Rows, Site, Where
from model_adapters.edits import DropTokens, Edit, MergeTokens, ReplaceWeights, ScalePairs, Values

Look = Callable[[tuple[Edit, ...]], Capture]
"""Edits -> a capture of the same image under them, with what the method reads."""


@dataclass(frozen=True, eq=False)
class Step:
    """What happens in one layer, between attention and MLP, or before its attention."""

    layer: int
    groups: np.ndarray
    """[T] the new token that each token goes into; -1 where it is dropped."""
    weights: np.ndarray
    """[T] each token's share in the mean of its group."""
    entry: bool = False
    """Before the attention of the layer."""
    attention: np.ndarray | None = None
    """[H, T', T'] what the layer attends to instead of what it would make of the tokens that are left."""

    def edit(self, tower: str) -> Edit | None:
        """The step as an edit; None where nothing happens."""
        where = Where(tower=tower, layers=(self.layer,))
        dropped = np.flatnonzero(self.groups < 0)
        if dropped.size:
            return DropTokens(replace(where, queries=tuple(int(t) for t in dropped)), entry=self.entry)
        if len(set(self.groups.tolist())) == len(self.groups):
            return None
        weights = np.maximum(self.weights, 1e-8)
        groups = tuple(int(g) for g in self.groups)
        return MergeTokens(where, groups=groups, weights=tuple(float(w) for w in weights), entry=self.entry)


@dataclass(frozen=True, eq=False)
class TokenPlan:
    """Which tokens survive and where they merge, layer by layer."""

    steps: tuple[Step, ...]
    sources: np.ndarray
    """[S + 1, N] the token that each first token is part of after so many steps; -1 once it is dropped."""
    rows: Rows
    """[N] the first tokens."""
    tower: str
    left_out: str
    """What of the original method this plan leaves out."""
    proportional: tuple[int, ...] = ()
    """The layers in which a merged token weighs as much as the tokens in it: the logarithm of its size is added to scores."""

    @property
    def counts(self) -> np.ndarray:
        """[S + 1] how many tokens are left."""
        return self.sources.max(1) + 1

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The plan as edits of one run."""
        found = (step.edit(self.tower) for step in self.steps)
        return (*(e for e in found if e is not None), *self._attention())

    def _attention(self) -> Iterator[Edit]:
        """What merged tokens weigh in the layers behind, and maps that steps bring with them."""
        for step in self.steps:
            if step.attention is not None:
                yield ReplaceWeights(Where(tower=self.tower, layers=(step.layer,)), Values(step.attention))
        brought = {step.layer for step in self.steps if step.attention is not None}
        for layer in self.proportional:
            done = sum(step.layer < layer or (step.entry and step.layer == layer) for step in self.steps)
            sizes = self.sizes(done)
            if layer not in brought and (sizes > 1).any():
                factors = np.tile(sizes.astype(np.float64), (len(sizes), 1))
                yield ScalePairs(Where(tower=self.tower, layers=(layer,)), Values(factors), renormalise=True)

    def sizes(self, step: int = -1) -> np.ndarray:
        """[T] of how many first tokens each token consists after a step."""
        sources = self.sources[step]
        return np.bincount(sources[sources >= 0])


@dataclass
class Tokens:
    """The tokens at one layer of a plan that is being made, and what a capture says of them.

    Where the capture is of the whole sequence, attention to a merged token is the sum, and rows, keys and values are
    means over what it consists of.
    """

    capture: Capture
    tower: str
    source: np.ndarray
    """[N] of first tokens."""
    share: np.ndarray
    """[N] of each first token in its present one."""
    protected: np.ndarray
    """[T] class token, registers: never touched."""
    fresh: bool = field(default=False)
    """The capture was made under the edits so far, so its tokens are the present ones."""

    @property
    def sizes(self) -> np.ndarray:
        """[T]: first tokens per present one."""
        return np.bincount(self.source[self.source >= 0]).astype(np.float64)

    def attention(self, layer: int) -> np.ndarray:
        """[H, T, T] rows sum to 1."""
        weights = whole_attention_of(self.capture, self._site(layer))
        if len(weights) != 1:
            raise ValueError(f"a plan is made for one image at a time. Got a batch of {len(weights)}.")
        found = weights[0].astype(np.float64)
        if not self.fresh:
            member, mean = self._matrices()
            found = mean @ found @ member.T
        return found / np.maximum(found.sum(-1, keepdims=True), 1e-12)

    def vectors(self, layer: int, kind: str) -> np.ndarray:
        """[H, T, D] keys or values."""
        held = self.capture.keys if kind == "keys" else self.capture.values
        site = self._site(layer)
        if site not in held:
            raise ValueError(f"the {kind} of {site.name} are needed; want={{'queries', 'values'}} would keep them.")
        array = np.asarray(held[site], np.float64)
        array = array[0] if array.ndim == 4 else array
        return array if self.fresh else self._matrices()[1] @ array

    def states(self, layer: int) -> np.ndarray:
        """[T, D] what goes into a layer."""
        found = hidden_of(self.capture, self.tower, layer)[0].astype(np.float64)
        return found if self.fresh else self._matrices()[1] @ found

    def centres(self, rows: Rows) -> np.ndarray:
        """[T, 2] where each token lies: the mean over what it consists of; the prefix lies nowhere."""
        places = np.nan_to_num((rows.boxes[:, :2] + rows.boxes[:, 2:]) / 2)
        return self._matrices()[1] @ places

    def after(self, groups: np.ndarray, weights: np.ndarray) -> Tokens:
        """The tokens that a step leaves."""
        total = np.zeros(groups.max() + 1)
        np.add.at(total, groups[groups >= 0], weights[groups >= 0])
        inside = self.source >= 0
        source, share = np.full(len(self.source), -1), np.zeros(len(self.source))
        now = self.source[inside]
        source[inside] = groups[now]
        share[inside] = np.where(groups[now] >= 0, self.share[inside] * weights[now] / np.maximum(total[groups[now]], 1e-12), 0)
        protected = np.zeros(len(total), bool)
        protected[groups[self.protected]] = True
        return Tokens(self.capture, self.tower, source, share, protected)

    def _matrices(self) -> tuple[np.ndarray, np.ndarray]:
        inside = np.flatnonzero(self.source >= 0)
        member = np.zeros((self.source.max() + 1, len(self.source)))
        member[self.source[inside], inside] = 1
        mean = member * self.share
        return member, mean / np.maximum(mean.sum(1, keepdims=True), 1e-12)

    def _site(self, layer: int) -> Site:
        found = [s for s in self.capture.sites if s.tower == self.tower and s.layer == layer]
        if len(found) != 1:
            raise ValueError(f"one attention in {self.tower} layer {layer} is needed. The capture has {len(found)}.")
        return found[0]
