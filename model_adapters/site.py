"""The address of one attention computation, and what to keep of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

Kind = Literal["sdpa", "softmax", "factorised", "mha"]
Heads = Literal["all", "mean"] | tuple[int, ...]
Queries = Literal["all", "class", "last", "image", "text"] | tuple[int, ...]


@dataclass(frozen=True, order=True)
class Site:
    """One attention computation of one forward pass.

    `name` is the dotted path of the module that ran it and `call` counts the computations of that module within one
    pass (a tower that loops over its windows has several). `layer` is the number of the block inside its `tower`;
    blocks without weights (linear attention, Mamba) leave gaps. `kind` says which function was met: "sdpa",
    "softmax", "mha" (torch's own MultiheadAttention) or "factorised" (a softmax over tokens per feature, which is
    no token-to-token map).
    """

    name: str
    call: int = 0
    tower: str = "vision"
    layer: int = 0
    kind: Kind = "sdpa"
    heads: int = 1

    @property
    def label(self) -> str:
        """A short name for captions: tower, layer and, where a module ran more than once, the call."""
        return f"{self.tower} {self.layer}" + (f".{self.call}" if self.call else "")


@dataclass(frozen=True)
class Reduction:
    """A statistic taken inside the layer, on rows of weights [B, H, Q, K], so that no matrix is ever held.

    `merge` says how the results of chunks of queries go together: "cat" along the query axis (axis 2), or "sum" and
    "mean" over queries (the function has then reduced axis 2 itself, by a sum or a mean). Where rows mean something by
    their place, `placed` functions are also given the site and the numbers [Q] of the rows among all of the site.
    """

    name: str
    function: Callable[..., torch.Tensor]
    merge: Literal["cat", "sum", "mean"] = "cat"
    placed: bool = False


def _entropy(rows: torch.Tensor) -> torch.Tensor:
    return torch.special.entr(rows).sum(-1)


def _mean_over_queries(rows: torch.Tensor) -> torch.Tensor:
    return rows.mean(2)


def _highest(rows: torch.Tensor) -> torch.Tensor:
    return rows.amax(-1)


REDUCTIONS: dict[str, Reduction] = {
    "entropy": Reduction("entropy", _entropy),
    "received": Reduction("received", _mean_over_queries, merge="mean"),
    "highest": Reduction("highest", _highest),
}
"""Reductions by name: entropy [B, H, Q] in nats, attention received [B, H, K], highest weight per row [B, H, Q]."""


@dataclass(frozen=True)
class Keep:
    """Which rows of which sites to keep, and in what precision.

    `sites` is "all", or site names (or `Site`s, or layer numbers). `queries` may name a role ("class", "last", "image",
    "text") or list row numbers. `heads="mean"` averages over heads inside the layer. `reduce` replaces the rows by a
    statistic of them. Some models change their weights between the softmax and the values (talking heads, the best few
    only): `stage` says which are kept, those that are "used" or those of the "softmax".
    """

    sites: Literal["all", "none"] | tuple[str | int | Site, ...] = "all"
    heads: Heads = "all"
    queries: Queries = "all"
    dtype: Literal["float32", "float16"] = "float32"
    reduce: str | Reduction | None = None
    stage: Literal["used", "softmax"] = "used"

    def __post_init__(self) -> None:
        for name in ("sites", "heads", "queries"):
            value = getattr(self, name)
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
        if isinstance(self.reduce, str) and self.reduce not in REDUCTIONS:
            raise ValueError(f"reduce must be one of {sorted(REDUCTIONS)} or a Reduction. Got {self.reduce!r} instead.")
        if self.stage not in ("used", "softmax"):
            raise ValueError(f"stage must be 'used' or 'softmax'. Got {self.stage!r} instead.")
        if self.dtype not in ("float32", "float16"):
            raise ValueError(f"dtype must be 'float32' or 'float16'. Got {self.dtype!r} instead.")

    def takes(self, site: Site) -> bool:
        """Whether rows of this site are wanted at all."""
        if isinstance(self.sites, str):
            return self.sites == "all"
        return site in self.sites or site.name in self.sites or site.layer in self.sites

    @property
    def reduction(self) -> Reduction | None:
        """The statistic asked for, as an object."""
        return REDUCTIONS[self.reduce] if isinstance(self.reduce, str) else self.reduce


NOTHING = Keep(sites="none")
