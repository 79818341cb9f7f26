"""Which tokens of a tower are left after drops and merges: positions, masks and roles of its later blocks are cut to them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch

from model_adapters.errors import AdapterError
from model_adapters.labels import block_of
from model_adapters.site import Site
from model_adapters.where import RoleSource, Side

_MASK = re.compile(r"mask")
_ALONG_TOKENS = re.compile(r"position_emb|rope|rotary|freqs|^cos$|^sin$")
_LAST = re.compile(r"position_ids|cache_position|token_type")
_LONGEST_PREFIX = 16
"""Rotary tables may leave out the prefix tokens, which have no position."""


class Cached:
    """The prompt's tokens that one block's cache holds after drops and merges, while an answer is written."""

    def __init__(self, survivors: Survivors) -> None:
        self.count, self.left = survivors.count, survivors.left
        self.new = 0

    def cut(self, kwargs: dict[str, Any], more: int) -> dict[str, Any]:
        """A block's arguments for `more` new tokens, with masks over the keys that are really there."""
        self.new += more
        return {name: self._cut(value) if _MASK.search(name) else value for name, value in kwargs.items()}

    def _cut(self, mask: Any) -> Any:
        if not isinstance(mask, torch.Tensor) or mask.dim() < 2 or mask.shape[-1] == len(self.left) + self.new:
            return mask
        if mask.shape[-1] != self.count + self.new:
            raise AdapterError(
                f"A mask over {mask.shape[-1]} keys does not fit a cache of {len(self.left)} of {self.count} prompt tokens and "
                f"{self.new} new ones. Models whose caches hold the whole prompt can write with tokens dropped."
            )
        return mask.index_select(-1, self.places.to(mask.device))

    @property
    def whole(self) -> int:
        """How many keys there would be with nothing dropped."""
        return self.count + self.new

    @property
    def places(self) -> torch.Tensor:
        """The numbers that the keys which are there have among all."""
        return torch.cat([self.left, torch.arange(self.count, self.whole, device=self.left.device)])


class Survivors:
    """The tokens of one tower that are still in the residual stream, by their numbers at the first drop."""

    def __init__(self, count: int, device: torch.device) -> None:
        self.count = count
        self.left = torch.arange(count, device=device)

    def keep(self, index: torch.Tensor) -> None:
        """Of the tokens there are now, only those of these numbers stay."""
        self.left = self.left[index.to(self.left.device)]

    def only(self, index: torch.Tensor) -> Survivors:
        """The same of which only these numbers are there, for one block."""
        fewer = Survivors(self.count, self.left.device)
        fewer.left = self.left[index.to(self.left.device)]
        return fewer

    @property
    def whole(self) -> int:
        """How many tokens there were at first."""
        return self.count

    @property
    def places(self) -> torch.Tensor:
        """The numbers that those which are there had at first."""
        return self.left

    def cached(self) -> Cached:
        """What a block that runs with these tokens keeps of them for later."""
        return Cached(self)

    def cut(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """A block's arguments with masks, positions and rotary tables of the tokens that are left."""
        return {name: self._cut(name, value) for name, value in kwargs.items()}

    def _cut(self, name: str, value: Any) -> Any:
        if isinstance(value, tuple | list):
            return type(value)(self._cut(name, v) for v in value)
        if not isinstance(value, torch.Tensor) or value.dim() == 0:
            return value
        if _MASK.search(name):
            for axis in (-1, -2)[: value.dim()]:
                value = self._along(value, axis)
            return value
        if _ALONG_TOKENS.search(name) and value.dim() >= 2:
            return self._along(value, -2, prefix=True)
        return self._along(value, -1) if _LAST.search(name) else value

    def _along(self, value: torch.Tensor, axis: int, *, prefix: bool = False) -> torch.Tensor:
        missing = self.count - value.shape[axis]
        if missing == 0:
            return value.index_select(axis, self.left.to(value.device))
        if not prefix or not 0 < missing <= _LONGEST_PREFIX:
            return value
        if not bool((self.left[:missing] == torch.arange(missing, device=self.left.device)).all()):
            raise AdapterError(f"Tokens 0 to {missing - 1} of this model carry no position and must stay; drop or merge others.")
        return value.index_select(axis, (self.left[missing:] - missing).to(value.device))


class Kept:
    """Who is left in each tower during the prompt's pass, and in each block's cache afterwards."""

    def __init__(self) -> None:
        self.survivors: dict[str, Survivors] = {}
        self.cached: dict[str, Cached] = {}
        self.through: dict[str, Survivors] = {}
        """By block who runs through it while others go round it."""

    def roles(self, source: RoleSource | None) -> RoleSource | None:
        """The same roles, told of the rows that are left."""
        return None if source is None else _KeptRoles(source, self)


class _KeptRoles:
    def __init__(self, source: RoleSource, kept: Kept) -> None:
        self.source, self.kept = source, kept

    def chosen(self, site: Site, side: Side, count: int, roles: tuple[str, ...]) -> np.ndarray:
        """Which of `count` rows have these roles: of all rows, without the ones that are gone."""
        block = block_of(site.name)
        there = self.kept.through.get(block) or self.kept.survivors.get(site.tower) or self.kept.cached.get(block)
        if there is None or len(there.places) != count:
            return self.source.chosen(site, side, count, roles)
        return self.source.chosen(site, side, there.whole, roles)[..., there.places.cpu().numpy()]
