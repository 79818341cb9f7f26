"""What a tap keeps: rows of weights and whatever else was asked for, made in the layer and moved off it at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from model_adapters import attention
from model_adapters.errors import AdapterError
from model_adapters.events import Sdpa
from model_adapters.fold import Fold, rows
from model_adapters.kept_states import KeptStates
from model_adapters.later import Later
from model_adapters.made_rows import all_heads, head_number, inside_windows, items, joined, row_chunks, row_numbers, untouched
from model_adapters.scratch import Scratch
from model_adapters.site import Keep, Site
from model_adapters.where import RoleSource, chosen_rows

Edited = Callable[[torch.Tensor, Any], torch.Tensor]
Choose = Callable[[torch.Tensor], torch.Tensor]
_DTYPES = {"float32": torch.float32, "float16": torch.float16}
_ON_DEVICE = 64 * 2**20
"""Kept rows may wait on the accelerator up to this many bytes; they are moved together, one wait instead of many."""


@dataclass
class Record:
    """What was kept of one site in one step. Tensors are [B, H, W * Q, ...]; `kept` are the row numbers (None: all)."""

    weights: torch.Tensor | None = None
    kept: torch.Tensor | None = None
    windows: int = 1
    queries: torch.Tensor | None = None
    keys: torch.Tensor | None = None
    values: torch.Tensor | None = None
    heads: torch.Tensor | None = None
    shape: tuple[int, int, int] = (0, 0, 0)
    """Heads, query rows of all windows, keys per window."""
    width: int = 0
    """Width of a head's values; 0 until they are met."""
    graph: list[tuple[torch.Tensor, torch.Tensor, Fold]] = field(default_factory=list)
    """Head outputs and values of each product inside the autograd graph, when gradients were asked for."""


@dataclass
class Recorder:
    """Keeps what `keep` and `want` name."""

    keep: Keep
    want: frozenset[str] = frozenset()
    roles: RoleSource | None = None
    towers: frozenset[str] | None = None
    limit: int | None = None
    records: dict[tuple[int, Site], Record] = field(default_factory=dict)
    bytes: int = 0
    step: int = 0
    _waiting: int = 0
    _fresh: list[Record] = field(default_factory=list)
    """Those that may still lie on the accelerator: what belongs to earlier steps lies in memory already."""

    def __post_init__(self) -> None:
        self._later: Later[Record] = Later(self._made_later)
        self._room = Scratch()
        self.states = KeptStates(self.want, self._store)

    def _made_later(self, record: Record, made: torch.Tensor) -> None:
        self._single(record, made)
        self._fresh.append(record)

    def meets(self, site: Site, step: int) -> None:
        """A site is met in this step."""
        self.step = step
        self.records[step, site] = record = Record()
        self._fresh.append(record)

    def passes(self, site: Site, lead_and_queries: torch.Size, keys: int, batch: int, width: int = 0) -> None:
        """A site ran of which nothing is kept: only its shape is noted."""
        self.records[self.step, site].width = width
        rows_of_all = math.prod(lead_and_queries) // max(batch, 1) // max(site.heads, 1)
        self.records[self.step, site].shape = (site.heads, rows_of_all, keys)

    def takes(self, site: Site) -> bool:
        """Whether anything of this site is kept."""
        return self.keep.takes(site) and (self.towers is None or site.tower in self.towers)

    def wants_products(self, site: Site) -> bool:
        """Whether values or head outputs of this site are asked for."""
        return self.takes(site) and bool(self.want & {"values", "heads", "gradients"})

    def wants_outputs(self, site: Site) -> bool:
        """Whether head outputs of this site are asked for, or gradients that begin at them."""
        return self.takes(site) and bool(self.want & {"heads", "gradients"})

    def sdpa(self, site: Site, fold: Fold, call: Sdpa, output: torch.Tensor, edited: Edited | None) -> torch.Tensor:
        """Keep what is asked for of a fused site; returns the output (a leaf of the graph where gradients begin)."""
        record = self.records[self.step, site]
        record.shape = (fold.heads, fold.windows * call.query.shape[-2], call.key.shape[-2])
        record.windows, record.width = fold.windows, call.value.shape[-1]
        if not self.takes(site):
            return output
        with torch.no_grad():
            self._weights(record, site, fold, call, edited)
            if "queries" in self.want:
                record.queries, record.keys = self._store(rows(fold.open(call.query))), self._store(all_heads(call.key, fold))
            if "values" in self.want:
                record.values = self._store(all_heads(call.value, fold))
        return self.outputs(site, fold, call.value, output)

    def softmax(self, site: Site, fold: Fold, weights: torch.Tensor) -> None:
        """Keep rows of weights that the model made itself [*lead, Q, K]."""
        record = self.records[self.step, site]
        record.shape = (fold.heads, fold.windows * weights.shape[-2], weights.shape[-1])
        record.windows = fold.windows
        if not self.takes(site):
            return
        with torch.no_grad():
            record.kept = self._rows(site, fold, weights.shape[-2], weights.device)
            made = rows(fold.open(weights.detach()))
            if record.kept is not None:
                made = made[:, :, record.kept]
            self._reserve(record)
            numbers = torch.arange(record.shape[1], device=made.device) if record.kept is None else record.kept
            record.weights = self._store(self._made(self._heads(made), site, numbers), copy=True)

    def outputs(self, site: Site, fold: Fold, values: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Keep head outputs [*lead, Q, D] and the graph around them; of several products the features lie side by side."""
        if not self.takes(site):
            return output
        record = self.records[self.step, site]
        if "gradients" in self.want:
            if not output.requires_grad:
                output = output.detach().requires_grad_()
            record.graph.append((output, values.detach(), fold))
        if "heads" in self.want:
            record.heads = _beside(record.heads, self._store(rows(fold.open(output.detach())), copy=True))
        return output

    def products(self, site: Site, fold: Fold, values: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Keep values and head outputs of a site that calls softmax itself."""
        if not self.takes(site):
            return output
        if self.want & {"values", "gradients"}:
            values = values.expand(*output.shape[:-2], *values.shape[-2:])
        record = self.records[self.step, site]
        record.width += values.shape[-1]
        if "values" in self.want:
            record.values = _beside(record.values, self._store(all_heads(values.detach(), fold), copy=True))
        return self.outputs(site, fold, values, output)

    def origin(self, site: Site, fold: Fold, queries: torch.Tensor, keys: torch.Tensor) -> None:
        """Keep queries [*lead, Q, D] and keys [*lead, K, D] of a site that calls softmax itself."""
        record = self.records[self.step, site]
        with torch.no_grad():
            record.queries = self._store(rows(fold.open(queries.detach())), copy=True)
            record.keys = self._store(all_heads(keys.detach(), fold), copy=True)

    def step_ends(self) -> None:
        """Move what was kept off the accelerator."""
        for record in self._fresh:
            for name in ("weights", "queries", "keys", "values", "heads"):
                value = getattr(record, name)
                if value is not None and value.device.type != "cpu":
                    setattr(record, name, value.cpu())
        self.states.step_ends()
        self._fresh.clear()
        self._waiting = 0

    # ---- rows of weights

    def _weights(self, record: Record, site: Site, fold: Fold, call: Sdpa, edited: Edited | None) -> None:
        queries = call.query.shape[-2]
        if self._is_single(fold, queries) and edited is None:
            self._reserve(record)
            if self.step > 0 and Later.takes(call):
                self._later.add(site, call, record)
            else:
                self._single(record, attention.weights(call))
            return
        record.kept = self._rows(site, fold, queries, call.query.device)
        inside, after = inside_windows(record.kept, fold.windows, queries)
        call, fold, choose = self._fewer_heads(site, fold, call) if edited is None else (call, fold, self._heads)
        self._reserve(record)
        each = items(call, fold) if self.keep.reduction and edited is None else [(call, fold)]
        found = [self._in_chunks(site, of_one, one, inside, choose, edited) for one, of_one in each]
        result = found[0] if len(found) == 1 else torch.cat(found)
        record.weights = self._store(result if after is None else result[:, :, after])

    def _fewer_heads(self, site: Site, fold: Fold, call: Sdpa) -> tuple[Sdpa, Fold, Choose]:
        """The call for the heads that are kept where only they need to be made, and what is still to be chosen of it."""
        if not isinstance(self.keep.heads, tuple) or call.query.dim() != 4 or not fold.is_plain:
            return call, fold, self._heads
        index = torch.tensor([head_number(h, site) for h in self.keep.heads], device=call.query.device)
        fewer = replace(fold, lead=(fold.lead[0], len(index)), heads=len(index))
        return attention.select_heads(call, index), fewer, untouched

    def _in_chunks(
        self, site: Site, fold: Fold, call: Sdpa, inside: torch.Tensor | None, choose: Choose, edited: Edited | None
    ) -> torch.Tensor:
        """The kept rows of one call, or the statistic of them; rows that are only reduced share one piece of memory."""
        queries, parts = call.query.shape[-2], []
        room = self._room if self.keep.reduction else None
        for chunk in row_chunks(call, inside, queries):
            made = attention.weights(call, chunk, room) if edited is None else edited(attention.scores(call, chunk), chunk)
            numbers = row_numbers(chunk, fold.windows, queries, made.device)
            part = self._partial(choose(rows(fold.open(made))), site, numbers)
            parts.append(part.clone() if room is not None and room.holds(part) else part)
        return self._merged(parts, queries if inside is None else len(inside), fold.windows)

    def _single(self, record: Record, made: torch.Tensor) -> None:
        record.weights = self._store(made.to(_DTYPES[self.keep.dtype]))

    def finish(self) -> None:
        """A run is over: rows that wait to be made together are made."""
        with torch.no_grad():
            self._later.finish()
        self.step_ends()

    def _is_single(self, fold: Fold, queries: int) -> bool:
        """One query over all heads: a generation's new token, made without the detours."""
        plain = self.keep.heads == "all" and self.keep.reduce is None and self.keep.queries in ("all", "last")
        return plain and queries == 1 and fold.lead == (fold.batch, fold.heads)

    def _rows(self, site: Site, fold: Fold, queries: int, device: torch.device) -> torch.Tensor | None:
        if self.keep.queries == "all":
            return None
        chosen = chosen_rows(self.keep.queries, site, "queries", fold.windows, queries, self.roles, device)
        if chosen.shape[0] > 1 and not bool((chosen == chosen[:1]).all()):
            counts = chosen.flatten(1).sum(1)
            if int(counts.min()) != int(counts.max()):
                raise AdapterError(
                    f"queries={self.keep.queries!r} means {counts.tolist()} rows in the items of this batch; "
                    "give them one at a time, or name rows that all items share."
                )
            raise AdapterError(
                f"queries={self.keep.queries!r} means other rows in each item of this batch; give them one at a time."
            )
        return torch.nonzero(chosen[0].flatten()).flatten()

    def chosen(self, whole: torch.Tensor, kept: torch.Tensor | None) -> torch.Tensor:
        """The kept rows and heads of [B, H, W * Q, K]."""
        return self._heads(whole if kept is None else whole[:, :, kept])

    def _heads(self, made: torch.Tensor) -> torch.Tensor:
        if self.keep.heads == "all":
            return made
        if self.keep.heads == "mean":
            return made.mean(1, keepdim=True)
        bad = [h for h in self.keep.heads if not -made.shape[1] <= h < made.shape[1]]
        if bad:
            raise ValueError(f"heads {bad} were asked for, but a site here has heads 0 to {made.shape[1] - 1}.")
        return made[:, list(self.keep.heads)]

    def _partial(self, made: torch.Tensor, site: Site, numbers: torch.Tensor) -> torch.Tensor:
        reduction = self.keep.reduction
        if reduction is None:
            return made.to(_DTYPES[self.keep.dtype])
        count = made.shape[2]
        part = reduction.function(made, site, numbers) if reduction.placed else reduction.function(made)
        return part * count if reduction.merge == "mean" else part

    def _made(self, made: torch.Tensor, site: Site, numbers: torch.Tensor) -> torch.Tensor:
        return self._merged([self._partial(made, site, numbers)], made.shape[2], 1)

    def _merged(self, parts: list[torch.Tensor], count: int, windows: int) -> torch.Tensor:
        reduction = self.keep.reduction
        if reduction is None or reduction.merge == "cat":
            whole = parts[0] if len(parts) == 1 else joined(parts, windows)
        else:
            whole = parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)
            whole = whole / (count * windows) if reduction.merge == "mean" else whole
        return whole.to(_DTYPES[self.keep.dtype])

    def _reserve(self, record: Record) -> None:
        """Refuse before the rows are made, when they would not fit."""
        if self.limit is None or self.keep.reduction is not None:
            return
        kept = record.shape[1] if record.kept is None else len(record.kept)
        heads = 1 if self.keep.heads == "mean" else record.shape[0] if self.keep.heads == "all" else len(self.keep.heads)
        needed = self.bytes + kept * heads * record.shape[2] * (4 if self.keep.dtype == "float32" else 2)
        if needed > self.limit:
            raise AdapterError(
                f"The rows asked for need more than the {self.limit / 2**20:,.0f} MB that may be used. Fewer of them fit: "
                "queries='class' or 'last', heads='mean', dtype='float16', a `reduce`, or fewer sites."
            )

    def _store(self, tensor: torch.Tensor, *, copy: bool = False) -> torch.Tensor:
        """Own the tensor, and move it off the accelerator when enough has gathered there."""
        self.bytes += tensor.numel() * tensor.element_size()
        copy = copy or tensor.untyped_storage().nbytes() > tensor.numel() * tensor.element_size()
        if tensor.device.type == "cpu":
            return tensor.clone() if copy else tensor
        self._waiting += tensor.numel() * tensor.element_size()
        if self._waiting > _ON_DEVICE:
            return tensor.cpu()
        return tensor.clone() if copy else tensor


def _beside(kept: torch.Tensor | None, more: torch.Tensor) -> torch.Tensor:
    return more if kept is None else torch.cat([kept, more.to(kept.device)], -1)
