"""Two prompts read side by side, layer by layer: what is decided from both at a layer holds in both from there on.

One pass of each, however many layers decide. Both are read in one thread, where each stands still while the other runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from greenlet import getcurrent, greenlet

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


@dataclass(frozen=True, eq=False)
class _Meeting(Edit):
    """Waits at the layers of `where` for what is decided there."""

    meet: Callable[[int, np.ndarray], Edit | None] | None = None
    stage: ClassVar[Stage] = "output"

    def __call__(self, output: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Head outputs [1, 1, H, q, D] under the decision."""
        assert self.meet is not None and scope.site.layer is not None
        edit: Any = self.meet(scope.site.layer, output[0, 0, :, -1].double().cpu().numpy())
        return output if edit is None else edit(output, scope)


class _Pair:
    """The two passes; the first one leads."""

    def __init__(self, model: Model, other: tuple[Inputs, tuple[Edit, ...]], layers: Sequence[int], decide: Decide) -> None:
        self.decided: dict[int, Edit | None] = {}
        self._model, self._other, self._layers, self._decide = model, other, tuple(layers), decide
        self._where = Where(tower="decoder", layers=self._layers)
        self._leader, self._second = getcurrent(), greenlet(self._read_second)

    def first(self, inputs: Inputs) -> None:
        try:
            self._pass(inputs, (), self._lead)
        except _Over:
            pass
        finally:
            if self._second:
                with unobserved():
                    self._second.throw(_Over)

    def _pass(self, inputs: Inputs, edits: tuple[Edit, ...], meet: Callable[[int, np.ndarray], Edit | None]) -> None:
        model = self._model
        tap = AttentionTap(
            model.module, keep=NOTHING, edits=(*edits, _Meeting(self._where, meet)), labels=model.tap_labels,
            scopes=model.tap_scopes, roles=Roles(model, inputs),
        )  # fmt: skip
        with tap:
            model.module(**inputs.tensors)

    def _lead(self, layer: int, rows: np.ndarray) -> Edit | None:
        with unobserved():
            found = self._second.switch(*list(self.decided.values())[-1:])
        if found is None:
            raise AdapterError(f"{self._model.name} reads the second prompt with fewer layers than the first.")
        self.decided[layer] = self._decide(layer, rows, found)
        if len(self.decided) == len(self._layers):
            raise _Over
        return self.decided[layer]

    def _read_second(self) -> None:
        try:
            self._pass(*self._other, self._follow)
        except _Over:
            pass

    def _follow(self, layer: int, rows: np.ndarray) -> Edit | None:
        with unobserved():
            return self._leader.switch(rows)


def side_by_side(
    model: Model, inputs: Inputs, other: tuple[Inputs, tuple[Edit, ...]], layers: Sequence[int], decide: Decide
) -> dict[int, Edit | None]:
    """What is decided at each of these layers of the decoder.

    Args:
        model: an LVLM.
        inputs: the first prompt.
        other: the second, and the edits that it is read under.
        layers: where to decide, from the shallowest to the deepest.
        decide: what to do to the head outputs of a layer in both prompts.
    """
    pair = _Pair(model, other, layers, decide)
    # Around both passes, which end in either order: the one that ends last must not leave gradients off.
    with model.lock, torch.no_grad():
        pair.first(inputs)
    if missing := [layer for layer in layers if layer not in pair.decided]:
        raise ValueError(f"layer {missing[0]} of the decoder has no attention whose heads can be compared.")
    return pair.decided
