"""One selection grammar for all edits: which tower, layers, heads, queries and keys, and in which part of a generation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np
import torch

from model_adapters.site import Site

Tokens = str | tuple[str, ...] | tuple[int, ...]
"""Tokens by number (negative from the end), or by role: "all", "last", "image", "text", "class", "patch", ..."""
Phase = Literal["both", "prompt", "new"]
Side = Literal["queries", "keys"]


@dataclass(frozen=True)
class Where:
    """What an edit applies to. Everything by default; numbers are tuples, so that an edit can be hashed."""

    tower: str = "all"
    layers: Literal["all"] | tuple[int, ...] = "all"
    heads: Literal["all"] | tuple[int, ...] = "all"
    queries: Tokens = "all"
    keys: Tokens = "all"
    phase: Phase = "both"
    sites: Literal["all"] | tuple[str, ...] = "all"
    """Module paths, where layers do not say it finely enough."""

    def __post_init__(self) -> None:
        for name in ("layers", "heads", "queries", "keys", "sites"):
            value = getattr(self, name)
            if isinstance(value, list | range):
                object.__setattr__(self, name, tuple(value))
            elif isinstance(value, int):
                object.__setattr__(self, name, (value,))
        if self.phase not in ("both", "prompt", "new"):
            raise ValueError(f"phase must be 'both', 'prompt' or 'new'. Got {self.phase!r} instead.")

    def block(self, tower: str, layer: int, step: int) -> bool:
        """Whether a block of this tower and number is meant in this step of a generation (0 is the prompt)."""
        phase = self.phase == "both" or (self.phase == "prompt") == (step == 0)
        return phase and self.tower in ("all", tower) and (self.layers == "all" or layer in self.layers)

    def site(self, site: Site, step: int) -> bool:
        """Whether this site is meant in this step."""
        named = self.sites == "all" or site.name in self.sites
        return named and self.block(site.tower, site.layer, step)


EVERYWHERE = Where()
_GROUPS = {"text": ("text", "bos", "system", "question", "answer"), "prefix": ("class", "distillation", "register")}
"""Selections that mean several roles."""


class RoleSource(Protocol):
    """Tells which rows of a site have one of some roles."""

    def chosen(self, site: Site, side: Side, count: int, roles: tuple[str, ...]) -> np.ndarray:
        """Bool [N] or, where items of a batch differ, [B, N], of the `count` query or key rows of this site."""
        ...


@dataclass(frozen=True, eq=False)
class Scope:
    """One attention event as an edit sees it: where it is, and which of its rows the chunk at hand holds."""

    site: Site
    step: int
    batch: int
    windows: int
    queries: int
    """Query rows per window, of the whole site."""
    keys: int
    """Key rows per window."""
    chunk: slice
    """Which query rows of every window the tensor at hand holds."""
    device: torch.device
    source: RoleSource | None

    def mask(self, where: Where) -> torch.Tensor | None:
        """Bool mask over [B, W, H, q, K] (axes of size 1 where all are meant); None for everything."""
        heads = self.heads(where)
        queries = self.tokens(where.queries, "queries")
        keys = self.tokens(where.keys, "keys")
        parts = []
        if heads is not None:
            parts.append(heads[None, None, :, None, None])
        if queries is not None:
            parts.append(queries[:, :, None, self.chunk, None])
        if keys is not None:
            parts.append(keys[:, :, None, None, :])
        result = None
        for part in parts:
            result = part if result is None else result & part
        return result

    def heads(self, where: Where) -> torch.Tensor | None:
        """Bool [H] of the heads meant; None for all."""
        if where.heads == "all":
            return None
        bad = [h for h in where.heads if not -self.site.heads <= h < self.site.heads]
        if bad:
            raise ValueError(f"heads {bad} of {self.site.name} were asked for, but it has heads 0 to {self.site.heads - 1}.")
        return _chosen_heads(where.heads, self.site.heads, self.device)

    def tokens(self, tokens: Tokens, side: Side) -> torch.Tensor | None:
        """Bool [B or 1, W, N] of the rows meant; None for all."""
        per_window = self.queries if side == "queries" else self.keys
        if tokens == "all" or (tokens == "last" and self.windows * per_window == 1):
            return None
        return chosen_rows(tokens, self.site, side, self.windows, per_window, self.source, self.device)


@lru_cache(maxsize=256)
def _chosen_heads(heads: tuple[int, ...], count: int, device: torch.device) -> torch.Tensor:
    """Bool [H], shared: every pass of a generation asks for it again."""
    chosen = torch.zeros(count, dtype=torch.bool, device=device)
    chosen[list(heads)] = True
    return chosen


def chosen_rows(
    tokens: Tokens,
    site: Site,
    side: Side,
    windows: int,
    per_window: int,
    source: RoleSource | None,
    device: torch.device,
) -> torch.Tensor:
    """Bool [B or 1, W, N]: the rows that a token selection means at this site."""
    count = windows * per_window
    names = (tokens,) if isinstance(tokens, str) else tokens
    if names == ("last",):
        names = (count - 1,)
    if not any(isinstance(n, str) for n in names):
        chosen = _numbered(names, count, device)
        if chosen is None:
            bad = [n for n in names if not -count <= int(n) < count]
            raise ValueError(f"{side} {bad[:5]} of {site.name} were asked for, but it has rows 0 to {count - 1}.")
        return chosen.view(1, windows, per_window)
    if source is None:
        raise ValueError(f"{side}={tokens!r} names roles, but the tokens of this module have none known; give row numbers.")
    wanted = tuple(role for name in names for role in _GROUPS.get(str(name), (str(name),)))
    chosen = torch.as_tensor(source.chosen(site, side, count, wanted), device=device)
    return chosen.reshape(-1, windows, per_window)


@lru_cache(maxsize=64)
def _numbered(numbers: tuple, count: int, device: torch.device) -> torch.Tensor | None:
    """Bool [1, count], shared by the layers of a pass; None where a number is out of range."""
    if not all(-count <= int(n) < count for n in numbers):
        return None
    chosen = torch.zeros(1, count, dtype=torch.bool, device=device)
    chosen[:, [int(n) for n in numbers]] = True
    return chosen
