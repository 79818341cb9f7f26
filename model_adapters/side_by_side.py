"""Two prompts read side by side, layer by layer: what is decided from both at a layer holds in both from there on.

One pass of each, however many layers decide. The second prompt is read in a thread that waits whenever the first one runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, ClassVar

import numpy as np
import torch

from model_adapters.edits import Edit
from model_adapters.edits.edit import Stage
from model_adapters.errors import AdapterError
from model_adapters.inputs import Inputs
from model_adapters.model import Model
from model_adapters.roles import Roles
from model_adapters.site import NOTHING
from model_adapters.tap import AttentionTap
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
        self._heard: SimpleQueue[np.ndarray | BaseException] = SimpleQueue()
        self._told: SimpleQueue[Edit | None | _Over] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def first(self, inputs: Inputs) -> None:
        try:
            self._pass(inputs, (), self._lead)
        except _Over:
            pass
        finally:
            if self._thread is not None:
                self._told.put(_Over())
                self._thread.join()

    def _pass(self, inputs: Inputs, edits: tuple[Edit, ...], meet: Callable[[int, np.ndarray], Edit | None]) -> None:
        model = self._model
        tap = AttentionTap(
            model.module, keep=NOTHING, edits=(*edits, _Meeting(self._where, meet)), labels=model.tap_labels,
            scopes=model.tap_scopes, roles=Roles(model, inputs),
        )  # fmt: skip
        with torch.no_grad(), tap:
            model.module(**inputs.tensors)

    def _lead(self, layer: int, rows: np.ndarray) -> Edit | None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._second, daemon=True)
            self._thread.start()
        else:
            self._told.put(list(self.decided.values())[-1])
        found = self._heard.get()
        if isinstance(found, BaseException):
            raise found
        self.decided[layer] = self._decide(layer, rows, found)
        if len(self.decided) == len(self._layers):
            raise _Over
        return self.decided[layer]

    def _second(self) -> None:
        try:
            self._pass(*self._other, self._follow)
            self._heard.put(AdapterError(f"{self._model.name} reads the second prompt with fewer layers than the first."))
        except _Over:
            pass
        except BaseException as error:  # noqa: BLE001 (handed to the thread that waits)
            self._heard.put(error)

    def _follow(self, layer: int, rows: np.ndarray) -> Edit | None:
        self._heard.put(rows)
        told = self._told.get()
        if isinstance(told, _Over):
            raise told
        return told


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
    with model.lock:
        pair.first(inputs)
    if missing := [layer for layer in layers if layer not in pair.decided]:
        raise ValueError(f"layer {missing[0]} of the decoder has no attention whose heads can be compared.")
    return pair.decided
