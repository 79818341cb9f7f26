"""Two prompts read side by side, layer by layer: what is decided from both at a layer holds in both from there on.

The first prompt's pass leads: an edit of its head outputs lets the second prompt's pass come up to the same layer, and
takes what is decided there. Both are read in one thread, where each stands still while the other runs, once each: a
generation decides while it reads its own prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from greenlet import getcurrent, greenlet

from model_adapters.contrast_state import Aside
from model_adapters.edits import Edit
from model_adapters.edits.edit import Stage
from model_adapters.errors import AdapterError
from model_adapters.inputs import Inputs
from model_adapters.model import Model
from model_adapters.roles import Roles
from model_adapters.site import NOTHING
from model_adapters.tap import AttentionTap
from model_adapters.trail import unobserved
from model_adapters.where import Scope, Where

Decide = Callable[[int, np.ndarray, np.ndarray], Edit | None]
"""(layer, what its heads say in the last row of the first prompt [H, D], and of the second) -> what to do to head outputs."""


class _Over(Exception):
    """All layers have decided."""


class Pair:
    """Two prompts, and what is decided from them."""

    def __init__(self, model: Model, other: tuple[Inputs, tuple[Edit, ...]], layers: Sequence[int], decide: Decide) -> None:
        self.decided: dict[int, Edit | None] = {}
        self._model, self._other, self._layers, self._decide = model, other, tuple(layers), decide
        self._where = Where(tower="decoder", layers=self._layers)
        self._second: greenlet | None = None
        self._aside: Aside | None = None

    @property
    def edit(self) -> Deciding:
        """Decides in the first pass over a prompt that it meets, and does from then on what was decided."""
        return Deciding(self._where, self, self._lead)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around the passes of the first prompt: the second one is read meanwhile, and ended where it stands."""
        leader = getcurrent()
        self._aside = Aside(self._model.module)
        self._second = greenlet(lambda: self._read_second(leader))
        try:
            yield
        finally:
            self._end()

    def _lead(self, layer: int, rows: np.ndarray) -> Edit | None:
        """What the first prompt's heads say at a layer; returns what to do to them."""
        if self._second is None or self._aside is None:
            raise RuntimeError("edits that decide while a prompt is read work only inside `reading`.")
        second = self._second
        with unobserved():
            found = self._aside.run(lambda: second.switch(*list(self.decided.values())[-1:]))
        if found is None:
            raise AdapterError(f"{self._model.name} reads the second prompt with fewer layers than the first.")
        self.decided[layer] = self._decide(layer, rows, found)
        if len(self.decided) == len(self._layers):
            self._end()
        return self.decided[layer]

    def _end(self) -> None:
        if self._second:
            with unobserved():
                self._second.throw(_Over)
        self._second = None

    def check(self) -> None:
        """Refuse layers that were never met."""
        if missing := [layer for layer in self._layers if layer not in self.decided]:
            raise ValueError(f"layer {missing[0]} of the decoder has no attention whose heads can be compared.")

    def _read_second(self, leader: greenlet) -> None:
        def follow(layer: int, rows: np.ndarray) -> Edit | None:
            with unobserved():
                return leader.switch(rows)

        inputs, edits = self._other
        model = self._model
        tap = AttentionTap(
            model.module, keep=NOTHING, edits=(*edits, Deciding(self._where, self, follow)), labels=model.tap_labels,
            scopes=model.tap_scopes, roles=Roles(model, inputs),
        )  # fmt: skip
        try:
            with tap:
                model.module(**inputs.tensors)
        except _Over:
            pass


@dataclass(frozen=True, eq=False)
class Deciding(Edit):
    """Does to head outputs what a pair decides at their layer; where that is still open they are told to it."""

    pair: Pair | None = None
    meet: Callable[[int, np.ndarray], Edit | None] | None = None
    stage: ClassVar[Stage] = "output"

    def __call__(self, output: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Head outputs [B, 1, H, q, D] under the decision."""
        assert self.pair is not None and self.meet is not None and scope.site.layer is not None
        layer, known = scope.site.layer, self.pair.decided
        edit: Any = known[layer] if layer in known else self.meet(layer, output[0, 0, :, -1].double().cpu().numpy())
        return output if edit is None else edit(output, scope)

    @property
    def settled(self) -> tuple[Edit, ...]:
        """What was decided."""
        assert self.pair is not None
        return tuple(edit for edit in self.pair.decided.values() if edit is not None)


@contextmanager
def reading(edits: Iterable[Edit]) -> Iterator[None]:
    """Around a generation: edits that decide while it reads its prompt may do so."""
    pairs = [edit.pair for edit in edits if isinstance(edit, Deciding) and edit.pair is not None]
    with ExitStack() as open_pairs:
        for pair in pairs:
            open_pairs.enter_context(pair.reading())
        yield
    for pair in pairs:
        pair.check()


def settled(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """Edits with what was decided in place of what decided it."""
    return tuple(one for edit in edits for one in (edit.settled if isinstance(edit, Deciding) else (edit,)))


def settled_by_a_pass(model: Model, inputs: Inputs, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """The edits, those that decide replaced by what they decide in one pass over the prompt."""
    if not any(isinstance(edit, Deciding) for edit in edits):
        return edits
    tap = AttentionTap(
        model.module, keep=NOTHING, edits=edits, labels=model.tap_labels, scopes=model.tap_scopes, roles=Roles(model, inputs)
    )
    with model.lock, torch.no_grad(), reading(edits), tap:
        model.module(**inputs.tensors)
    return settled(edits)
