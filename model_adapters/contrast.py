"""Contrastive decoding: a second branch answers along, told each token that the first has chosen.

The branch is a generation of its own, with its own cache, that stands still whenever the first one runs. So every model
that generates can be contrasted, however it prepares its passes, and a tap on one branch never sees the other. Both run
in one thread: two threads that compute have two sets of workers, and those of the one that waits keep processors busy.
"""

from __future__ import annotations

from contextlib import nullcontext
from math import log
from typing import Any

import torch
from greenlet import getcurrent, greenlet

from model_adapters.contrast_looks import looked
from model_adapters.contrast_state import Aside
from model_adapters.decoding import Contrast
from model_adapters.edits import Edit
from model_adapters.errors import AdapterError
from model_adapters.inputs import Inputs
from model_adapters.model import Model
from model_adapters.roles import Roles
from model_adapters.site import NOTHING
from model_adapters.tap import AttentionTap
from model_adapters.trail import unobserved


class _Over(Exception):
    """The first branch needs no more scores."""


class Branch:
    """A second generation, one token behind the first."""

    def __init__(self, model: Model, inputs: Inputs, edits: tuple[Edit, ...], longest: int) -> None:
        self._model, self._inputs, self._longest = model, inputs, longest
        # A tap costs a little for every operation: without edits there is nothing for it to do.
        self._tap = _tap(model, inputs, edits) if edits else nullcontext()
        self._second = greenlet(self._generate)
        self._first: greenlet | None = None

    def scores(self, token: int | None) -> torch.Tensor:
        """[1, V]: the branch's scores of the next token, once it knows the last one (None before the first)."""
        self._first = getcurrent()
        with unobserved():
            return self._second.switch(*() if token is None else (token,))

    def close(self) -> None:
        """End the branch where it stands."""
        if self._second:
            with unobserved():
                self._second.throw(_Over)

    def _generate(self) -> None:
        generator: Any = self._model.module.generate
        try:
            with torch.no_grad(), self._tap:
                generator(
                    **self._inputs.tensors, max_new_tokens=self._longest, do_sample=False, num_beams=1, temperature=None,
                    top_p=None, top_k=None, logits_processor=[self],
                )  # fmt: skip
        except _Over:
            return
        raise AdapterError(f"The second branch of {self._model.name} ended before the first.")

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """As the branch's `generate` asks for its next token: hand its scores over, and take what the first one chose."""
        assert self._first is not None
        with unobserved():
            token = self._first.switch(scores)
        forced = torch.full_like(scores, float("-inf"))
        forced[:, token] = 0
        return forced


def _tap(model: Model, inputs: Inputs, edits: tuple[Edit, ...]) -> AttentionTap:
    return AttentionTap(
        model.module, keep=NOTHING, edits=edits, labels=model.tap_labels, scopes=model.tap_scopes, roles=Roles(model, inputs)
    )


class Mixing:
    """Mixes the scores of both branches, as transformers' `generate` calls it."""

    def __init__(self, model: Model, inputs: Inputs, decoding: Contrast, longest: int) -> None:
        self.decoding = decoding
        self._model = model
        self._branch = Branch(model, *looked(model, inputs, decoding.look), longest)
        self._aside: Aside | None = None
        self._begun = False

    def begin(self) -> None:
        """Note what the model remembers before the first branch runs; the model must be locked by now."""
        self._aside = Aside(self._model.module)

    def close(self) -> None:
        """End the second branch."""
        self._branch.close()

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The mixture [1, V] of the first branch's scores and the second's."""
        if self._aside is None:
            raise RuntimeError("begin() must be called before the first branch runs.")
        last = int(ids[0, -1]) if self._begun else None
        self._begun = True
        return mixed(scores, self._aside.run(lambda: self._branch.scores(last)), self.decoding)


def mixed(own: torch.Tensor, other: torch.Tensor, decoding: Contrast) -> torch.Tensor:
    """Scores [..., V] to choose from; minus infinity where a token may not be chosen."""
    first, second = own.float().log_softmax(-1), other.float().log_softmax(-1)
    alpha = decoding.alpha
    mixture = (1 + alpha) * first - alpha * second if decoding.rule == "subtract" else first + alpha * second
    never = torch.isinf(first) | torch.isnan(mixture)
    if decoding.beta is not None:
        never |= first < first.amax(-1, keepdim=True) + log(decoding.beta)
    return mixture.masked_fill(never, float("-inf"))
