"""Contrastive decoding: a second branch answers along, told each token that the first has chosen.

The branch is a generation of its own, with its own cache, in a thread that waits whenever the first one runs. So every
model that generates can be contrasted, however it prepares its passes, and a tap on one branch never sees the other.
Where all its passes are calls of the model itself, they are run by the first thread: two threads that compute have two
sets of workers, and those of the one that waits keep processors busy.
"""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass
from functools import wraps
from queue import SimpleQueue
from typing import Any

import torch

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


@dataclass(frozen=True)
class _Pass:
    """A call of the model that the branch asks the first thread for."""

    args: tuple
    kwargs: dict[str, Any]


class Branch:
    """A second generation, one token behind the first."""

    def __init__(self, model: Model, inputs: Inputs, edits: tuple[Edit, ...], longest: int) -> None:
        self._model, self._inputs, self._longest = model, inputs, longest
        # A tap costs a little for every operation: without edits there is nothing for it to do.
        self._tap = _tap(model, inputs, edits) if edits else nullcontext()
        self._given: SimpleQueue[torch.Tensor | _Pass | BaseException] = SimpleQueue()
        self._told: SimpleQueue[int | None] = SimpleQueue()
        self._passed: SimpleQueue[Any] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def scores(self, token: int | None) -> torch.Tensor:
        """[1, V]: the branch's scores of the next token, once it knows the last one (None before the first)."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        else:
            self._told.put(token)
        while isinstance(found := self._given.get(), _Pass):
            self._passed.put(self._ran(found))
        if isinstance(found, BaseException):
            raise found
        return found

    def close(self) -> None:
        """End the branch's thread."""
        if self._thread is not None:
            self._told.put(None)
            self._thread.join()

    def _ran(self, asked: _Pass) -> Any:
        """What the model returns, or raises."""
        try:
            with unobserved(), torch.no_grad(), self._tap:
                return self._model.module(*asked.args, **asked.kwargs)
        except BaseException as error:  # noqa: BLE001 (handed to the branch, which hands it back)
            return error

    def _run(self) -> None:
        try:
            self._generate()
            self._given.put(AdapterError(f"The second branch of {self._model.name} ended before the first."))
        except _Over:
            pass
        except BaseException as error:  # noqa: BLE001 (handed to the thread that waits)
            self._given.put(error)

    def _generate(self) -> None:
        elsewhere = _passes_are_calls(self._model.module)
        generator: Any = self._elsewhere().generate if elsewhere else self._model.module.generate
        with torch.no_grad(), nullcontext() if elsewhere else self._tap:
            generator(
                **self._inputs.tensors, max_new_tokens=self._longest, do_sample=False, num_beams=1, temperature=None,
                top_p=None, top_k=None, logits_processor=[self._hand_over],
            )  # fmt: skip

    def _elsewhere(self) -> Any:
        """The module, with all its parts, but its passes are run by the first thread."""
        module = self._model.module
        asking = object.__new__(type(module))
        vars(asking).update(vars(module))

        @wraps(module.forward)
        def forward(*args: Any, **kwargs: Any) -> Any:
            self._given.put(_Pass(args, kwargs))
            found = self._passed.get()
            if isinstance(found, BaseException):
                raise found
            return found

        vars(asking)["forward"] = forward
        return asking

    def _hand_over(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._given.put(scores)
        token = self._told.get()
        if token is None:
            raise _Over
        forced = torch.full_like(scores, float("-inf"))
        forced[:, token] = 0
        return forced


def _tap(model: Model, inputs: Inputs, edits: tuple[Edit, ...]) -> AttentionTap:
    return AttentionTap(
        model.module, keep=NOTHING, edits=edits, labels=model.tap_labels, scopes=model.tap_scopes, roles=Roles(model, inputs)
    )


def _passes_are_calls(module: Any) -> bool:
    """Whether generation runs nothing but the module itself: a `generate` of its own, or an encoder, may run its parts."""
    own = getattr(type(module).generate, "__module__", "")
    return own == "transformers.generation.utils" and not getattr(module.config, "is_encoder_decoder", False)


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
        never |= first < first.amax(-1, keepdim=True) + torch.tensor(decoding.beta).log().to(first)
    return mixture.masked_fill(never, float("-inf"))
