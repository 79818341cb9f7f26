"""Dye in the towers, a finite change behind them: the places of all sites of a model that joins image and text.

Inside a tower the dye is NaN. Where the tower is left, dyed entries become its own clean output plus noise, and from there
on a row counts as reached when it differs from the clean run. NaN would not do there: connectors pool by products with
zeros, and zero times NaN is NaN. Attention runs in connectors and is muted in the decoder, which moves no tokens.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from model_adapters.attention import unpacked
from model_adapters.events import MHA, SDPA, SOFTMAX, attention_softmax, mha_arguments, sdpa_arguments
from model_adapters.geometry import mixers
from model_adapters.geometry.canvas import NOTHING, Stain
from model_adapters.geometry.doors import Door
from model_adapters.geometry.dye import Dye
from model_adapters.geometry.likeness import Form, repeated
from model_adapters.geometry.marks import Scores, Weights, enliven, live, mark_of, quench
from model_adapters.geometry.outside import Signatures, attach, signature
from model_adapters.geometry.pixel_dye import Sweep
from model_adapters.geometry.products import operands
from model_adapters.geometry.records import Key, Seen, joined
from model_adapters.hidden import find_hidden
from model_adapters.labels import Labels

_NUMBERS = 4
_READS_TEXT = ("decoder", "text", "cross")


@dataclass
class Clean:
    """What the run without any dye left at the door and at the sites behind them."""

    output: Any = None
    signatures: Signatures = field(default_factory=Signatures)
    inside: set[Key] = field(default_factory=set)
    """The sites within the tower."""


class Probe(Dye):
    """One pass of one stain through the whole model."""

    def __init__(
        self, root: nn.Module, door: Door, pixels: torch.Tensor, labels: Labels, clean: Clean, *, first: bool = False,
        **options: Any,
    ) -> None:  # fmt: skip
        """Prepare a pass.

        Args:
            root: the model.
            door: where the dye goes in.
            pixels: what goes in there.
            labels: tell connectors from decoders.
            clean: the run without dye; filled by the first pass.
            first: this is the run without dye: towers run as they are.
            options: as for `Dye`.
        """
        super().__init__(root, 1, **options)
        self.door, self.pixels, self.labels, self.clean, self.first = door, pixels, labels, clean, first
        self.entries: dict[str, np.ndarray] = {}
        self._inside: nn.Module | None = None
        self._door_calls = 0
        self.repeats.open = lambda: self._inside is not None and not first

    def entered(self, name: str, module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        """At a door the pixels are exchanged for dyed ones."""
        if self._inside is None and name != self.door.name:
            self._note_entry(name, args, kwargs)
        if self._inside is not None or name != self.door.name:
            return None
        self._door_calls += 1
        if self._door_calls - 1 != self.door.call:
            return None
        self._inside = module
        slot, pixels = self.door.slot, enliven(self.pixels.view_as(self.pixels))
        if isinstance(slot, int):
            return (*args[:slot], pixels, *args[slot + 1 :]), kwargs
        return args, {**kwargs, slot: pixels}

    def left(self, name: str, module: nn.Module, output: Any) -> Any:
        """Behind a door the dye becomes a finite change of the clean output."""
        super().left(name, module, output)
        if self._inside is None or module is not self._inside:
            return None
        self._inside = None
        if self.first:
            self.clean.output = _map(output, output, lambda a, _: a.detach().clone())
            return None
        return _map(self.clean.output, output, _finite)

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if self._inside is None:
            return self._outside(func, args, kwargs)
        if not self.first:
            return super().__torch_function__(func, types, args, kwargs)
        event = func in (SDPA, MHA) or (
            func in SOFTMAX and attention_softmax(func, args, kwargs, self.stack[-1] if self.stack else None) is not None
        )
        if event and not (func is SDPA and sdpa_arguments(args, kwargs).query.dim() < 3):
            self.clean.inside.add(self.seen.meet(self.here, "sdpa"))
        return func(*args, **kwargs)

    # ---- behind the doors

    def _note_entry(self, name: str, args: tuple, kwargs: dict) -> None:
        """What goes into the first block of a decoder: no row moves behind it, whatever else mixes rows there."""
        stack, _, number = name.rpartition(".")
        found = find_hidden(args, kwargs) if number.isdigit() and self.labels.tower(name) in _READS_TEXT else None
        if found is None or stack in self.entries or found.tensor.dim() != 3:
            return
        key = (stack, -1)
        changed = self._differs(key, "entry", signature(found.tensor, -1))
        self.entries[stack] = changed[:1].cpu().numpy()

    def _outside(self, func: Any, args: tuple, kwargs: dict) -> Any:
        if func is SDPA:
            return self._outer_sdpa(func, args, kwargs)
        if func is MHA:
            return self._outer_mha(func, args, kwargs)
        if func in SOFTMAX:
            return self._outer_softmax(func, args, kwargs)
        name = getattr(func, "__name__", "").strip("_")
        if name == "linear":
            given = mixers.named(("input", "weight", "bias"), args, kwargs)
            if given["input"].is_floating_point() and given["weight"].dim() == 2:
                return _few_numbers(given["input"], given["weight"].shape[0])
        if name in ("matmul", "bmm", "rmatmul"):
            return self._outer_product(name, func, args, kwargs)
        result = func(*args, **kwargs)
        attach(args, kwargs, result)
        return result

    @property
    def _mutes(self) -> bool:
        return self.labels.kind == "dual" or self.labels.tower(self.here) not in ("connector", "vision")

    def _differs(self, key: Key, side: str, rows: torch.Tensor) -> torch.Tensor:
        return self.clean.signatures.differs(key, side, rows, first=self.first)

    def _outer_sdpa(self, func: Any, args: tuple, kwargs: dict) -> torch.Tensor:
        heads = self._heads()
        raw = sdpa_arguments(args, kwargs)
        call = unpacked(raw, [m for _, m in self.stack], heads)
        if call.query.dim() < 3:
            return func(*args, **kwargs)
        key = self.seen.meet(self.here, "sdpa")
        self.seen.sites[key].shape = (call.query.shape[-2], call.key.shape[-2])
        for side, tensor in (("queries", call.query), ("keys", call.key), ("values", call.value)):
            self.seen.put(key, side, self._differs(key, side, signature(tensor, -1)), heads)
        if not self._mutes:
            return func(*args, **kwargs)
        return raw.query.new_zeros(*raw.query.shape[:-1], raw.value.shape[-1])

    def _outer_mha(self, func: Any, args: tuple, kwargs: dict) -> Any:
        given = mha_arguments(args, kwargs)
        key = self.seen.meet(self.here, "mha")
        self.seen.sites[key].shape = (given["query"].shape[0], given["key"].shape[0])
        for side, name in (("queries", "query"), ("keys", "key"), ("values", "value")):
            rows = signature(given[name], -1)
            rows = rows.T if rows.dim() == 2 else rows[None]
            self.seen.put(key, side, self._differs(key, side, rows)[:, None], 1)
        return func(*args, **kwargs)

    def _outer_softmax(self, func: Any, args: tuple, kwargs: dict) -> Any:
        event = attention_softmax(func, args, kwargs, self.stack[-1] if self.stack else None)
        result = func(*args, **kwargs)
        if event is None:
            return result
        key, heads = self.seen.meet(self.here, "softmax"), self._heads()
        shape, mark = event.scores.shape, mark_of(event.scores)
        self.seen.sites[key].shape = (shape[-2], shape[-1])
        queries, keys = signature(event.scores, -1), None
        if isinstance(mark, Scores) and mark.left.numel() == math.prod(shape[:-1]):
            queries = mark.left.reshape(shape[:-1])
            if mark.right.numel() == math.prod((*shape[:-2], shape[-1])):
                keys = mark.right.reshape(*shape[:-2], shape[-1])
        self.seen.put(key, "queries", self._differs(key, "queries", queries), heads)
        if keys is not None:
            self.seen.put(key, "keys", self._differs(key, "keys", keys), heads)
        quench(result)
        return enliven(result, Weights(key, None))

    def _outer_product(self, name: str, func: Any, args: tuple, kwargs: dict) -> Any:
        left, right = operands(name, args, kwargs)
        mark = mark_of(left)
        result = func(*args, **kwargs)
        if isinstance(mark, Weights) and mark.site is not None and live(left):
            if self.seen.sites[mark.site].values is None and right.shape[-2] == left.shape[-1]:
                rows = signature(right, -1)
                self.seen.put(mark.site, "values", self._differs(mark.site, "values", rows), self._heads())
            return torch.zeros_like(result) if self._mutes else result
        if min(left.dim(), right.dim()) >= 3 and left.is_floating_point():
            enliven(result, Scores(signature(left, -1), signature(right, -2)))
        return result


@dataclass
class JointSweep(Sweep):
    """A sweep of the whole model, one stain per pass."""

    door: Door = field(kw_only=True)
    labels: Labels = field(kw_only=True)
    clean: Clean = field(default_factory=Clean)

    def look(self, stains: Sequence[Stain], *, pad: bool = False, look: bool = False) -> dict[Key, Seen]:
        """What the rows of every site show of these dyes."""
        if self.clean.output is None:
            self._pass(NOTHING, first=True)
        parts = []
        for stain in stains:
            probe = self._pass(stain, inherit=self.inherit, pad=pad, look=look, until=self.until, alike=self.alike)
            self.padded |= bool(probe.padders)
            parts.append({key: _entered(key, seen, probe.entries) for key, seen in probe.seen.sites.items()})
        return joined(parts)

    @cached_property
    def alike(self) -> dict[str, Form]:
        """The modules of the tower that have others alike; behind it rows are told by their values, so all are run."""
        return repeated(self.root, self.door.name)

    def inside(self, key: Key) -> bool:
        """Whether a site is in a tower; only there the dye is made finer where boxes are irregular."""
        return key in self.clean.inside

    def _pass(self, stain: Stain, **options: Any) -> Probe:
        pixels = self.canvas.painted([stain])
        probe = Probe(self.root, self.door, pixels, self.labels, self.clean, **options)
        with probe:
            self.run_on(self.canvas.pixels)
        return probe


def _entered(key: Key, seen: Seen, entries: Mapping[str, np.ndarray]) -> Seen:
    """The rows of a decoder's site are those that went into its first block, wherever the count is the same."""
    for stack, rows in entries.items():
        if key[0].startswith(f"{stack}.") and seen.windows == 1:
            made = copy.copy(seen)
            for side in ("queries", "keys", "values"):
                if (a := getattr(seen, side)) is not None and a.shape == rows.shape:
                    setattr(made, side, rows)
            return made
    return seen


def _map(clean: Any, other: Any, change: Any) -> Any:
    """The first of two equal structures with `change(a, b)` in place of its floating tensors."""
    if isinstance(clean, torch.Tensor):
        return change(clean, other) if clean.is_floating_point() else clean
    if isinstance(clean, dict):
        made = copy.copy(clean)
        for name in list(clean):
            made[name] = _map(clean[name], other[name], change)
        return made
    if isinstance(clean, (tuple, list)):
        parts = [_map(a, b, change) for a, b in zip(clean, other, strict=True)]
        return type(clean)(*parts) if hasattr(clean, "_fields") else type(clean)(parts)
    return clean


def _finite(clean: torch.Tensor, dyed: torch.Tensor) -> torch.Tensor:
    """The clean output, changed by noise of its own size where the other one is dyed."""
    noise = torch.Generator(device="cpu").manual_seed(0)
    change = torch.randn(clean.shape, generator=noise).to(clean) * (clean.float().std().to(clean.dtype) + 1)
    return torch.where(dyed.isnan(), clean + change, clean)


def _few_numbers(x: torch.Tensor, width: int) -> torch.Tensor:
    """A cheap linear layer: a few random numbers of each row, spread over all outputs. Norms of rows do not hide them.

    The sine keeps values bounded without flattening large ones, so no change is lost.
    """
    numbers = torch.sin(x @ _directions(x.shape[-1], x.dtype, x.device) / math.sqrt(x.shape[-1]))
    ramp = torch.linspace(-1, 1, width, dtype=x.dtype, device=x.device)
    return numbers @ _directions(width, x.dtype, x.device).T + ramp


@lru_cache(maxsize=256)
def _directions(width: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    noise = torch.Generator().manual_seed(width)
    return torch.randn(width, _NUMBERS, generator=noise).to(device, dtype)
