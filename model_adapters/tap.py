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
from model_adapters.events import MHA, SDPA, SOFTMAX, attention_softmax, mha_arguments, sdpa_arguments, softmax_dtype
from model_adapters.fold import declared_heads, fold_of, head_count
from model_adapters.labels import Label, Labels
from model_adapters.products import Products
from model_adapters.recorder import Recorder
from model_adapters.site import Keep, Kind, Site
from model_adapters.staged import Staged
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
        if func not in _ATTENTION and not self._watching and not self._products.pending:
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
        return self._products.meet(func, args, kwargs)

    def _sdpa(self, func: Any, args: tuple, kwargs: dict) -> torch.Tensor:
        raw = sdpa_arguments(args, kwargs)
        modules = [m for _, m in self.stack]
        heads = self._heads()
        call = attention.unpacked(raw, modules, heads)
        if call.query.dim() < 3:
            return func(*args, **kwargs)
        site = self._next_site("sdpa", head_count(tuple(call.query.shape[:-2]), heads))
        stages = self._staged.at(site, self.step)
        self._blocks.added.check_mask(self._labelled(site.name), call.mask, call.key.shape[-2])
        if not self.recorder.takes(site) and not any(stages.values()):
            self.recorder.passes(site, call.query.shape[:-1], call.key.shape[-2], self.batch, call.value.shape[-1])
            return func(*args, **kwargs)
        fold = fold_of(tuple(call.query.shape[:-2]), self.batch, heads)
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
            return func(*args, **kwargs)
        flipped = event.dim == -2
        shape = event.scores.shape if not flipped else event.scores.transpose(-1, -2).shape
        heads = self._heads()
        site = self._next_site("factorised" if flipped else "softmax", head_count(tuple(shape[:-2]), heads))
        stages = self._staged.at(site, self.step)
        if not self.recorder.takes(site) and not any(stages.values()):
            self.recorder.passes(site, shape[:-1], shape[-1], self.batch)
            return func(*args, **kwargs)
        fold = fold_of(tuple(shape[:-2]), self.batch, heads)
        if not stages["scores"] and not stages["weights"]:
            made = func(*args, **kwargs)
        elif flipped:
            raise AdapterError(f"{site.name} spreads features over tokens: it has no token-to-token weights to edit.")
        else:
            made = self._staged.weights(event.scores, slice(0, shape[-2]), stages, site, fold, None).to(
                softmax_dtype(event.scores, args, kwargs)
            )
        kept = made.transpose(-1, -2) if flipped else made
        self.recorder.softmax(site, fold, kept)
        if stages["output"] or self.recorder.wants_products(site):
            q, k = shape[-2:]

            def done(values: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
                edited = self._staged.output(output, stages, site, fold, q, k).reshape(output.shape)
                return self.recorder.products(site, fold, values, edited).reshape(output.shape)

            self._products.wait(made, site, done, must=bool(stages["output"]))
        return made

    def _mha(self, func: Any, args: tuple, kwargs: dict) -> Any:
        given = mha_arguments(args, kwargs)
        site = self._next_site("mha", given["num_heads"])
        if any(self._staged.at(site, self.step).values()):
            raise AdapterError(
                f"{site.name} is torch's own MultiheadAttention, whose inside cannot be reached: it can be captured but not "
                "edited. Edits on other layers, or Skip on its block, work."
            )
        result = func(*args, **kwargs)
        if self.recorder.takes(site):
            with torch.no_grad():
                _, weights = func(**{**given, "need_weights": True, "average_attn_weights": False})
            weights = weights if weights.dim() == 4 else weights[None]
            self.recorder.softmax(site, fold_of(tuple(weights.shape[:2]), self.batch, given["num_heads"]), weights)
        return result

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
