"""What happens at the borders of a block: hidden states are kept and set, branches left out, tokens removed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from model_adapters.added import Added
from model_adapters.bypass import Bypass, bypass_of
from model_adapters.edits import AddTokens, DropTokens, Edit, MergeTokens, SetHidden, Skip
from model_adapters.errors import AdapterError
from model_adapters.hidden import find_hidden, find_output, with_output
from model_adapters.kept_states import KeptStates
from model_adapters.labels import Label, Labels
from model_adapters.residual import ADDITIONS, Reduce, Stream, reduced
from model_adapters.site import Site
from model_adapters.survivors import Kept, Survivors
from model_adapters.where import Scope

ScopeOf = Callable[[Site, int, int, int, slice, torch.device], Scope]
"""(site, windows, queries, keys, chunk, device) -> what an edit sees."""


class Blocks:
    """The blocks being run, and the edits that act on their hidden states and residual streams."""

    def __init__(self, edits: tuple[Edit, ...], states: KeptStates, scope: ScopeOf, labels: Labels, kept: Kept) -> None:
        self.hidden: list[SetHidden | AddTokens] = [e for e in edits if isinstance(e, SetHidden | AddTokens)]
        self.residual = [e for e in edits if isinstance(e, Skip | DropTokens | MergeTokens) and not _at_entry(e)]
        self.entry: list[Reduce] = [e for e in edits if isinstance(e, DropTokens | MergeTokens) and e.entry]
        self._states, self._scope = states, scope
        self._streams: list[Stream] = []
        self._entries: dict[str, torch.Tensor] = {}
        self._bypasses: dict[str, Bypass] = {}
        self._survivors, self._cached, self._through = kept.survivors, kept.cached, kept.through
        if (self.hidden or self.residual or self.entry) and not labels.blocks:
            name = type((self.hidden + self.residual + self.entry)[0]).__name__
            raise AdapterError(
                f"{name} acts where a block begins or ends, and no numbered blocks with attention are found in this model. "
                "Edits of scores, weights and head outputs work."
            )
        self.added = Added(edits, labels.last)
        if any(isinstance(e, AddTokens) for e in edits) and any(isinstance(e, DropTokens | MergeTokens) for e in edits):
            raise AdapterError("AddTokens was asked for together with dropped or merged tokens; one of the two works in a run.")

    @property
    def follows_additions(self) -> bool:
        """Whether the residual streams inside blocks must be followed."""
        return not all(_skips_both(edit) for edit in self.residual)

    def clear(self) -> None:
        """Forget what a run that failed has left."""
        self._streams.clear()
        self._entries.clear()
        self._survivors.clear()
        self._bypasses.clear()
        self._through.clear()
        self.added.clear()

    def starts(self, label: Label, step: int, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        """A block is entered; returns other arguments where an edit changed its hidden states."""
        found = find_hidden(args, kwargs)
        if found is None:
            return None
        self._states.meets(step, label.tower, label.layer, found.tensor)
        changed = self._fewer(label, step, self._edited(label, step, found.tensor))
        self.added.check_arguments(label, kwargs)
        if self._states.asked:
            changed = self._states.keep((max(step, 0), label.tower, label.layer), changed, entry=True)
        self._entries[label.block] = changed
        changed = self._through_block(label, step, changed)
        branches = tuple(e for e in self._here(label, step) if not _skips_both(e))
        if branches:
            mask, reduced = self._token_mask(label, changed.device), partial(self._reduced, label)
            self._streams.append(Stream(label.block, branches, mask, changed, reduced))
        if survivors := self._through.get(label.block) or self._survivors.get(label.tower):
            self._cached[label.block] = survivors.cached()
            return found.put(args, survivors.cut(kwargs), changed)
        if step > 0 and label.block in self._cached:
            return found.put(args, self._cached[label.block].cut(kwargs, changed.shape[1]), changed)
        return found.put(args, kwargs, changed) if changed is not found.tensor else None

    def ends(self, label: Label, step: int, output: Any) -> Any:
        """A block is left; returns another output where it is skipped."""
        if self._streams and self._streams[-1].name == label.block:
            self._streams.pop().finish(find_output(output))
        entry, bypass = self._entries.pop(label.block, None), self._bypasses.pop(label.block, None)
        self._through.pop(label.block, None)
        result = output if bypass is None else bypass.joined(output)
        if any(map(_skips_all, self._here(label, step))):
            result = _skipped(result, entry, label)
        result = self.added.taken_off(label, result)
        if (hidden := find_output(result)) is not None:
            self._states.meets(step, label.tower, label.layer + 1, hidden)
            if self._states.asked:
                self._states.keep((max(step, 0), label.tower, label.layer + 1), hidden, entry=False)
        return None if result is output else result

    def attends(self, block: str) -> None:
        """The attention of a block runs."""
        if self._streams and self._streams[-1].name == block:
            self._streams[-1].attended = True

    def add(self, func: Any, args: tuple, kwargs: dict, here: str) -> torch.Tensor | None:
        """An addition to the residual stream that is being edited; None for any other call."""
        if self._streams and func in ADDITIONS:
            return self._streams[-1].add(func, args, kwargs, here)
        return None

    def _edited(self, label: Label, step: int, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states at the entry of a block, as the edits want them."""
        for edit in self.hidden:
            if edit.where.block(label.tower, label.layer, step):
                before = hidden
                hidden = edit(before, self._scoped(label, before.shape[1:-1].numel(), before.device))
                if isinstance(edit, AddTokens):
                    self.added.grew(label, before, hidden)
        return hidden

    def _fewer(self, label: Label, step: int, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states at the entry of a block without the tokens that go there."""
        for edit in self.entry:
            if edit.where.block(label.tower, label.layer, step):
                if hidden.dim() != 3:
                    raise AdapterError(
                        f"{type(edit).__name__} was asked for in block {label.block}, whose tokens are {tuple(hidden.shape)}; "
                        "tokens can be removed where they form a sequence [batch, tokens, width]."
                    )
                before = hidden
                hidden, stay = reduced(before, edit, self._token_mask(label, before.device))
                self._reduced(label, stay, before)
        return hidden

    def _through_block(self, label: Label, step: int, hidden: torch.Tensor) -> torch.Tensor:
        """The tokens that a block is given when some go round it."""
        round_it = [e for e in self._here(label, step) if isinstance(e, Skip) and e.goes_round]
        if not round_it or any(map(_skips_all, self._here(label, step))):
            return hidden
        count = hidden.shape[1:-1].numel()
        chosen = [self._token_mask(label, hidden.device)(e, count) for e in round_it]
        masks = [torch.ones(1, count, dtype=torch.bool, device=hidden.device) if m is None else m for m in chosen]
        if (bypass := bypass_of(label.block, hidden, masks, step)) is None:
            return hidden
        self._bypasses[label.block] = bypass
        if (numbers := bypass.numbers) is not None:
            before = self._survivors.get(label.tower) or Survivors(count, hidden.device)
            self._through[label.block] = before.only(numbers)
        return bypass.tokens

    def _reduced(self, label: Label, stay: torch.Tensor | None, before: torch.Tensor) -> None:
        if stay is None:
            return  # later blocks of a model without position arguments do not mind
        survivors = self._survivors.setdefault(label.tower, Survivors(before.shape[1], before.device))
        survivors.keep(stay)

    def _here(self, label: Label, step: int) -> list[Skip | DropTokens | MergeTokens]:
        return [e for e in self.residual if e.where.block(label.tower, label.layer, step)]

    def _scoped(self, label: Label, tokens: int, device: torch.device) -> Scope:
        site = Site(label.block, 0, label.tower, label.layer)
        return self._scope(site, 1, tokens, 0, slice(None), device)

    def _token_mask(self, label: Label, device: torch.device) -> Callable[[Skip | Reduce, int], torch.Tensor | None]:
        def mask(edit: Skip | Reduce, count: int) -> torch.Tensor | None:
            chosen = self._scoped(label, count, device).tokens(edit.where.queries, "queries")
            return None if chosen is None else chosen[:, 0]

        return mask


def _at_entry(edit: Edit) -> bool:
    return bool(getattr(edit, "entry", False))


def _skips_both(edit: Edit) -> bool:
    return isinstance(edit, Skip) and edit.part == "both"


def _skips_all(edit: Edit) -> bool:
    return isinstance(edit, Skip) and edit.part == "both" and not edit.goes_round


def _skipped(output: Any, entry: torch.Tensor | None, label: Label) -> Any:
    hidden = find_output(output)
    if entry is None or hidden is None or hidden.shape != entry.shape:
        raise AdapterError(
            f"Block {label.block} changes the shape of its tokens ({None if entry is None else tuple(entry.shape)} -> "
            f"{None if hidden is None else tuple(hidden.shape)}), so it cannot be left out; its attention or its MLP can."
        )
    return with_output(output, entry, label.block)
