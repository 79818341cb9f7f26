"""The edits of a run, stage by stage, and what they make of the scores, weights and outputs of one attention event."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from model_adapters import attention
from model_adapters.cutting import without_edges
from model_adapters.edits import Edit
from model_adapters.errors import AdapterError
from model_adapters.events import Sdpa
from model_adapters.fold import Fold
from model_adapters.site import Site
from model_adapters.where import Scope

Stages = dict[str, list[Any]]
"""Edits by stage: scores, weights, output."""
ScopeOf = Callable[[Site, int, int, int, slice, torch.device], Scope]
"""(site, windows, queries, keys, rows, device) -> the event as an edit sees it."""
_NAMES = ("scores", "weights", "output")


class Staged:
    """Applies edits to attention."""

    def __init__(self, edits: Iterable[Edit], scope_of: ScopeOf) -> None:
        self._edits: Stages = {name: [edit for edit in edits if edit.stage == name] for name in _NAMES}
        self._scope_of = scope_of
        self._known: dict[tuple[str, int, bool], Stages] = {}

    def at(self, site: Site, step: int) -> Stages:
        """The edits that are meant at a site in a step."""
        # Layers times edits is much to ask for every new token; there is one answer for the prompt and one for all tokens.
        key = site.name, site.call, step == 0
        if key not in self._known:
            self._known[key] = {name: [e for e in edits if e.where.site(site, step)] for name, edits in self._edits.items()}
        return self._known[key]

    def attended(self, kernel: Callable, call: Sdpa, stages: Stages, site: Site, fold: Fold) -> torch.Tensor:
        """The output of a fused site whose scores or weights are edited."""
        if call.dropout > 0:
            raise AdapterError("The model drops attention at random (training mode); edits need model.eval().")
        if not stages["weights"] and fold.is_plain:
            queries, keys = call.query.shape[-2], call.key.shape[-2]
            scope = self._scope_of(site, fold.windows, queries, keys, slice(0, queries), call.query.device)
            if (output := without_edges(kernel, call, stages["scores"], scope)) is not None:
                return output
        return attention.explicit(call, lambda scored, rows: self.weights(scored, rows, stages, site, fold, call))

    def weights(
        self, scored: torch.Tensor, rows: Any, stages: Stages, site: Site, fold: Fold, call: Sdpa | None
    ) -> torch.Tensor:
        """Edited weights of rows of scores."""
        queries = scored.shape[-2] if call is None else call.query.shape[-2]
        scope = self._scope_of(site, fold.windows, queries, scored.shape[-1], rows, scored.device)
        opened = fold.open(scored)
        for edit in stages["scores"]:
            opened = edit(opened, scope)
        # Weights are made where the scores lie; those that the model made itself are its own.
        own = call is None and not opened.requires_grad
        made = attention.softmax_rows(opened.float().clone() if own else opened.float())
        for edit in stages["weights"]:
            made = edit(made, scope)
        return fold.close(made)

    def weights_used(self, weights: torch.Tensor, stages: Stages, site: Site, fold: Fold) -> torch.Tensor:
        """Edited weights of a site whose model changes them after the softmax, as they meet the values."""
        queries, keys = weights.shape[-2:]
        scope = self._scope_of(site, fold.windows, queries, keys, slice(0, queries), weights.device)
        made = fold.open(weights.float())
        for edit in stages["weights"]:
            made = edit(made, scope)
        return fold.close(made)

    def rows(self, stages: Stages, site: Site, fold: Fold, call: Sdpa) -> Callable | None:
        """How kept rows are made where they are edited."""
        if not stages["scores"] and not stages["weights"]:
            return None
        return lambda scored, rows: self.weights(scored, rows, stages, site, fold, call)

    def output(self, output: torch.Tensor, stages: Stages, site: Site, fold: Fold, q: int, k: int) -> torch.Tensor:
        """Edited head outputs."""
        if not stages["output"]:
            return output
        opened = fold.open(output)
        scope = self._scope_of(site, fold.windows, q, k, slice(0, q), output.device)
        for edit in stages["output"]:
            opened = edit(opened, scope)
        return fold.close(opened)
