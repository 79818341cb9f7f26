"""The tap: one function mode that meets every way of computing attention, and treats them as scores -> weights.

It captures and it changes; both are the same event. What is not asked for stays on the model's own kernel: the output
of a site without edits always comes from the model's own call, and kept rows are computed beside it, so looking never
changes the answer. The tap is thread-local by construction.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from model_adapters import attention
from model_adapters.blocks import Blocks
from model_adapters.edits import Edit, check_edits
from model_adapters.errors import AdapterError
from model_adapters.events import (
    MHA,
    SDPA,
    SOFTMAX,
    Sdpa,
    Softmax,
    attention_softmax,
    mha_arguments,
    sdpa_arguments,
    softmax_dtype,
)
from model_adapters.fold import Fold, declared_heads, fold_of, heads_of
from model_adapters.labels import Label, Labels
from model_adapters.mha import Opened
from model_adapters.products import Awaited, Products
from model_adapters.provenance import Provenance
from model_adapters.recorder import Recorder
from model_adapters.role import Role, role_here
from model_adapters.site import Keep, Kind, Site
from model_adapters.staged import Staged, Stages
from model_adapters.survivors import Kept
from model_adapters.trail import Observer, around, follow
from model_adapters.where import RoleSource, Scope


class AttentionTap(TorchFunctionMode, Observer):
    """Captures and edits attention while it is entered: `with AttentionTap(module) as tap: module(x)`."""

    def __init__(
        self,
        root: nn.Module,
        *,
        keep: Keep | None = None,
        edits: Iterable[Edit] = (),
        want: Iterable[str] = (),
        batch: int = 1,
        labels: Labels | None = None,
        roles: RoleSource | None = None,
        towers: frozenset[str] | None = None,
        scopes: frozenset[str] | None = None,
        limit: int | None = None,
    ) -> None:
        """Prepare a tap.

        Args:
            root: the model.
            keep: which rows to keep; everything by default.
            edits: what to change.
            want: more to keep: "hidden", "norms", "values", "queries", "heads", "gradients".
            batch: how many inputs the model is given at once.
            labels: the model's towers and layers (read from the module's names by default).
            roles: where the roles of rows come from, for selections by role.
            towers: the towers to keep rows of (all by default).
            scopes: the modules inside which attention is known to happen; the tap listens only there, which spares the
                rest of the model a Python call per torch function. None listens everywhere.
            limit: bytes that may be kept before the run is refused.
        """
        TorchFunctionMode.__init__(self)
        Observer.__init__(self, root)
        self.batch = batch
        self.labels = labels or Labels(root)
        self.edits = check_edits(edits)
        kept = Kept()
        self.roles = kept.roles(roles)
        self.cached = kept.cached
        """By block the prompt's tokens that its cache holds, where tokens were dropped or merged."""
        self.step = -1
        self.ran: set[str] = set()
        """The names of the modules that ran, of those that it is told of."""
        self.want = frozenset(want)
        self.recorder = Recorder(keep or Keep(), self.want, self.roles, towers, limit)
        self._staged = Staged(self.edits, self._scope)
        self._blocks = Blocks(self.edits, self.recorder.states, self._scope, self.labels, kept)
        self._calls: dict[str, int] = {}
        self._label: dict[str, Label] = {}
        self._declared: dict[str, int | None] = {}
        self._watching = self._blocks.follows_additions
        self._products = Products()
        self._provenance = Provenance("queries" in self.want)
        self._open = ExitStack()
        self._scopes = None if self._needs_all(scopes) else scopes
        if self._scopes is not None:
            self.names = around(root, self._scopes) | self.labels.blocks
        self._depth = 0
        self._first_block = ""

    def __enter__(self) -> AttentionTap:
        self._open.enter_context(follow(self))
        if self._scopes is None:
            self._listen()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._depth:
            self._depth = 0
            TorchFunctionMode.__exit__(self, *error)
        self._open.close()
        self._blocks.clear()
        if error[0] is None:
            self.recorder.finish()

    def _needs_all(self, scopes: frozenset[str] | None) -> bool:
        """Whether the tap must hear every function: additions to the residual stream, products outside the module."""
        return scopes is None or self._watching

    def _listen(self) -> None:
        if not self._depth:
            TorchFunctionMode.__enter__(self)
        self._depth += 1

    def _rest(self) -> None:
        self._depth -= 1
        if not self._depth:
            TorchFunctionMode.__exit__(self, None, None, None)

    # ---- what the modules tell

    def entered(self, name: str, module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        """A module starts: a new step at the root (or where a decoder starts over), a residual stream at a block."""
        self.ran.add(name)
        if not name or self._starts_over(name):
            self.step += 1
            self._calls.clear()
            self._blocks.clear()
        if self._scopes is not None and name in self._scopes:
            self._listen()
        if name not in self.labels.blocks:
            return None
        return self._blocks.starts(self._labelled(name), self.step, args, kwargs)

    def left(self, name: str, module: nn.Module, output: Any) -> Any:
        """A module ends."""
        if self._scopes is not None and name in self._scopes:
            self._rest()
        if not name:
            self._products.finish()
            self._provenance.finish()
            self._blocks.added.finish()
            self.recorder.step_ends()
            return None
        if name not in self.labels.blocks:
            return None
        return self._blocks.ends(self._labelled(name), self.step, output)

    def _starts_over(self, name: str) -> bool:
        """A decoder that is driven without its root (some models generate so) begins a pass at its first block."""
        if self.stack[0][0] == "" or name not in self.labels.blocks or self._labelled(name).tower != "decoder":
            return False
        self._first_block = self._first_block or name
        return name == self._first_block

    # ---- what the functions tell

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func not in _ATTENTION and not self._watching and not self._products.pending and not self._provenance.asked:
            return func(*args, **kwargs) if kwargs else func(*args)
        kwargs = kwargs or {}
        if func is SDPA:
            return self._sdpa(func, args, kwargs)
        if func in SOFTMAX:
            return self._softmax(func, args, kwargs)
        if func is MHA:
            return self._mha(func, args, kwargs)
        if self._watching and (added := self._blocks.add(func, args, kwargs, self.here)) is not None:
            return added
        return self._followed(func, args, kwargs)

    def _followed(self, func: Any, args: tuple, kwargs: dict) -> Any:
        result = self._products.meet(func, args, kwargs)
        self._provenance.meet(func, args, kwargs, result)
        return result

    def _sdpa(self, func: Any, args: tuple, kwargs: dict) -> torch.Tensor:
        raw = sdpa_arguments(args, kwargs)
        modules = [m for _, m in self.stack]
        role = (role_here(self.stack[-1][1]) if self.stack else None) or Role()
        heads = self._heads() or role.heads
        call = attention.unpacked(raw, modules, heads)
        if call.query.dim() < 3:
            return func(*args, **kwargs)
        site = self._next_site("sdpa", heads_of(tuple(call.query.shape[:-2]), self.batch, heads, role.batch))
        stages = self._staged.at(site, self.step)
        self._blocks.added.check_mask(self._labelled(site.name), call.mask, call.key.shape[-2])
        if not self.recorder.takes(site) and not any(stages.values()):
            self.recorder.passes(site, call.query.shape[:-1], call.key.shape[-2], self.batch, call.value.shape[-1])
            return func(*args, **kwargs)
        fold = fold_of(tuple(call.query.shape[:-2]), self.batch, heads, role.batch)
        if stages["scores"] or stages["weights"]:
            output = self._staged.attended(func, call, stages, site, fold)
        else:
            output = func(*args, **kwargs).reshape(*call.query.shape[:-1], call.value.shape[-1])
        output = self._staged.output(output, stages, site, fold, call.query.shape[-2], call.key.shape[-2])
        output = self.recorder.sdpa(site, fold, call, output, self._staged.rows(stages, site, fold, call))
        return output.reshape(*raw.query.shape[:-1], raw.value.shape[-1])

    def _softmax(self, func: Any, args: tuple, kwargs: dict) -> torch.Tensor:
        event = attention_softmax(func, args, kwargs, self.stack[-1] if self.stack else None)
        if event is None:
            return self._followed(func, args, kwargs)
        role = event.role or Role()
        scores = event.opened(event.scores)
        heads = self._heads() or role.heads
        kind: Kind = "factorised" if event.factorised else "softmax"
        site = self._next_site(kind, heads_of(tuple(scores.shape[:-2]), self.batch, heads, role.batch))
        stages = self._staged.at(site, self.step)
        late = role.changed and self.recorder.keep.stage == "used"
        if not self.recorder.takes(site) and not any(stages.values()):
            self.recorder.passes(site, scores.shape[:-1], scores.shape[-1], self.batch)
            return func(*args, **kwargs)
        fold = fold_of(tuple(scores.shape[:-2]), self.batch, heads, role.batch)
        self._provenance.tell(self.recorder, site, event, fold)
        here: Stages = {**stages, "weights": [] if late else stages["weights"]}
        if not here["scores"] and not here["weights"]:
            made = func(*args, **kwargs)
        elif event.factorised:
            raise AdapterError(f"{site.name} spreads features over tokens: it has no token-to-token weights to edit.")
        else:
            edited = self._staged.weights(scores, slice(0, scores.shape[-2]), here, site, fold, None)
            made = event.closed(edited).to(softmax_dtype(event.scores, args, kwargs))
        if not late:
            self.recorder.softmax(site, fold, event.opened(made))
        if late or stages["output"] or self.recorder.wants_products(site):
            self._await(event, site, made, stages, late, heads)
        return made

    def _await(self, event: Softmax, site: Site, made: torch.Tensor, stages: Stages, late: bool, heads: int | None) -> None:
        """Follow the weights to the values: where they are changed on the way, what counts is what arrives."""
        place = (event.role or Role()).batch

        def fold(lead: torch.Size) -> Fold:
            return fold_of(tuple(lead), self.batch, heads, place)

        def edit(weights: torch.Tensor) -> torch.Tensor:
            return self._staged.weights_used(weights, stages, site, fold(weights.shape[:-2]))

        def done(weights: torch.Tensor, values: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
            known = fold(output.shape[:-2])
            if late:
                self.recorder.softmax(site, known, weights)
            edited = self._staged.output(output, stages, site, known, *weights.shape[-2:])
            return self.recorder.products(site, known, values, edited)

        must = bool(stages["output"] or late)
        change = edit if late and stages["weights"] else None
        awaited = Awaited(site, made.dim(), tuple(made.shape), done, change, event.places, event.places)
        self._products.wait(made, awaited, must=must)

    def _mha(self, func: Any, args: tuple, kwargs: dict) -> Any:
        given = mha_arguments(args, kwargs)
        site = self._next_site("mha", given["num_heads"])
        stages = self._staged.at(site, self.step)
        if not self.recorder.takes(site) and not any(stages.values()):
            query, key = given["query"], given["key"]
            batch = query.shape[1] if query.dim() == 3 else 1
            shape = torch.Size((batch, site.heads, query.shape[0]))
            self.recorder.passes(site, shape, key.shape[0], self.batch, query.shape[-1] // site.heads)
            return func(*args, **kwargs)
        opened = Opened.of(given, site.name)
        call = opened.call
        fold = fold_of(tuple(call.query.shape[:-2]), self.batch, site.heads)
        if any(stages.values()) or self.recorder.wants_outputs(site):
            if stages["scores"] or stages["weights"]:
                output = self._staged.attended(SDPA, call, stages, site, fold)
            else:
                output = opened.attended()
            output = self._staged.output(output, stages, site, fold, call.query.shape[-2], call.key.shape[-2])
            output = self.recorder.sdpa(site, fold, call, output, self._staged.rows(stages, site, fold, call))
            return opened.result(output, lambda: self._edited_weights(call, stages, site, fold))
        result = func(*args, **kwargs)
        self.recorder.sdpa(site, fold, call, call.query, None)
        return result

    def _edited_weights(self, call: Sdpa, stages: Stages, site: Site, fold: Fold) -> torch.Tensor:
        """All weights of a site as they are edited, for a module that hands them out."""
        rows = slice(0, call.query.shape[-2])
        return self._staged.weights(attention.scores(call, rows), rows, stages, site, fold, call)

    # ---- the parts of an event

    def _next_site(self, kind: Kind, heads: int) -> Site:
        name = self.here
        call = self._calls.get(name, 0)
        self._calls[name] = call + 1
        label = self._labelled(name)
        site = Site(name, call, label.tower, label.layer, kind, heads)
        self.recorder.meets(site, max(self.step, 0))
        self._blocks.attends(label.block)
        return site

    def _labelled(self, name: str) -> Label:
        if name not in self._label:
            self._label[name] = self.labels[name]
        return self._label[name]

    def _heads(self) -> int | None:
        if self.here not in self._declared:
            self._declared[self.here] = declared_heads([m for _, m in self.stack])
        return self._declared[self.here]

    def _scope(self, site: Site, windows: int, queries: int, keys: int, chunk: slice, device: torch.device) -> Scope:
        return Scope(site, self.step, self.batch, windows, queries, keys, chunk, device, self.roles)


_ATTENTION = frozenset({SDPA, MHA, *SOFTMAX})
