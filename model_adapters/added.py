"""Tokens that an edit has added to a tower: kept through its blocks, taken off behind the last one.

What follows the blocks (pooling, a class token, a projector) then meets the tokens that it was made for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from model_adapters.edits import AddTokens, Edit
from model_adapters.errors import AdapterError
from model_adapters.hidden import find_output, with_output
from model_adapters.labels import Label
from model_adapters.layout import Layout, Rows
from model_adapters.site import Site

_PLACES = re.compile(r"mask|bias|position|rope|rotary|freqs|^cos$|^sin$")


class Added:
    """How many tokens each tower has more than it would have."""

    def __init__(self, edits: Iterable[Edit], last: Callable[[str], str]) -> None:
        """`last` gives the name of a tower's last block."""
        self._waiting = [e for e in edits if isinstance(e, AddTokens) and e.where.phase != "new"]
        self._last = last
        self._more: dict[str, int] = {}
        self._whole: dict[str, int] = {}

    def clear(self) -> None:
        """Forget what a run that failed has left."""
        self._more.clear()
        self._whole.clear()

    def grew(self, label: Label, before: torch.Tensor, after: torch.Tensor) -> None:
        """An edit has made the hidden states of a block longer."""
        self._waiting.clear()
        self._more[label.tower] = self._more.get(label.tower, 0) + after.shape[1] - before.shape[1]
        self._whole[label.tower] = after.shape[1]

    def check_arguments(self, label: Label, kwargs: Mapping[str, Any]) -> None:
        """Refuse a block that is told the place of every token: added ones have none."""
        if self._more.get(label.tower):
            named = [n for n, v in kwargs.items() if _PLACES.search(n) and _holds_tensor(v)]
            if named:
                raise AdapterError(self._refusal(label.block, f"its argument {named[0]!r}"))

    def check_mask(self, label: Label, mask: torch.Tensor | None, keys: int) -> None:
        """Refuse an attention whose bias or mask knows only the tokens that there were."""
        if self._more.get(label.tower) and mask is not None and mask.shape[-1] not in (1, keys):
            raise AdapterError(self._refusal(label.block, "a bias for each pair of tokens"))

    def taken_off(self, label: Label, output: Any) -> Any:
        """What the last block of a tower returns, without the added tokens; other blocks' as it is."""
        if not self._more.get(label.tower) or label.block != self._last(label.tower):
            return output
        hidden = find_output(output)
        if hidden is None or hidden.dim() != 3 or hidden.shape[1] != self._whole[label.tower]:
            shape = None if hidden is None else tuple(hidden.shape)
            raise AdapterError(
                f"AddTokens was asked for, but block {label.block} returns {shape} instead of the {self._whole[label.tower]} "
                "tokens that went in. It works in towers whose blocks all run over one sequence of tokens."
            )
        more = self._more.pop(label.tower)
        return with_output(output, hidden[:, :-more], label.block)

    def finish(self) -> None:
        """Complain about tokens that no block took in, or took off."""
        if self._waiting:
            where = self._waiting[0].where
            place = f"tower {where.tower!r} and layers {where.layers}"
            raise AdapterError(f"AddTokens was asked for, but no block of {place} was met.")
        if self._more:
            last = self._last(next(iter(self._more)))
            raise AdapterError(f"AddTokens was asked for, but {last!r}, the last block of its tower, never ran.")

    def _refusal(self, block: str, what: str) -> str:
        return (
            f"AddTokens was asked for, but block {block} gives tokens their place by {what}, and added tokens have no place. "
            "Models whose positions are added once, in front of the first block, work."
        )


@contextmanager
def only_what_fits(edits: Iterable[Edit]) -> Iterator[None]:
    """A run in which a model that counts its tokens says so in words of its own is refused with a sentence of ours."""
    try:
        yield
    except RuntimeError as error:
        told = error.__cause__ if isinstance(error, AdapterError) else error  # a run says which inputs it was given
        if type(told) is not RuntimeError or not any(isinstance(e, AddTokens) for e in edits):
            raise
        raise AdapterError(
            f"AddTokens was asked for, but the model needs its own number of tokens ({str(told).splitlines()[0]}). It works in "
            "towers whose blocks all run over one sequence of tokens, without a grid and without a bias for each pair."
        ) from error


def lengthened(
    layouts: Mapping[tuple[str, int], Layout], shapes: Mapping[Site, tuple[int, int, int]]
) -> dict[tuple[str, int], Layout]:
    """Layouts in which sites of more rows than were measured end with as many registers without a place."""
    counts = {(site.name, site.call): shape for site, shape in shapes.items()}
    found = dict(layouts)
    for key, layout in layouts.items():
        _, queries, keys = counts.get(key, (0, 0, 0))
        if layout.windows == 1 and queries - len(layout.queries) == keys - len(layout.keys) > 0:
            found[key] = replace(
                layout,
                queries=_longer(layout.queries, queries),
                keys=_longer(layout.keys, keys),
                values=_longer(layout.values, keys),
            )
    return found


def _longer(rows: Rows, count: int) -> Rows:
    more = Rows.plain(["register"] * (count - len(rows)))
    return Rows(*(np.concatenate([getattr(r, n) for r in (rows, more)]) for n in ("roles", "boxes", "image", "tile", "frame")))


def _holds_tensor(value: object) -> bool:
    if isinstance(value, tuple | list):
        return any(_holds_tensor(v) for v in value)
    return isinstance(value, torch.Tensor) and value.dim() > 0
