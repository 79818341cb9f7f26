"""What the towers in front of the decoder do with the pictures of a prompt; the decoder does not run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from model_adapters.capture import result_of
from model_adapters.capturing import Capture
from model_adapters.cost import check_batch, check_want, free_bytes
from model_adapters.inputs import Inputs
from model_adapters.model import Model
from model_adapters.roles import Roles
from model_adapters.site import Keep
from model_adapters.tap import AttentionTap


class _Reached(Exception):
    """The decoder is about to begin."""


class _BeforeDecoder(AttentionTap):
    """Ends a pass where the decoder begins."""

    def entered(self, name: str, module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        """As ever, up to the first block of the decoder."""
        if name in self.labels.blocks and self.labels[name].tower == "decoder":
            self.recorder.step_ends()
            raise _Reached
        return super().entered(name, module, args, kwargs)


def capture_towers(model: Model, inputs: Inputs, *, keep: Keep | None = None, want: Iterable[str] = ()) -> Capture:
    """Rows of attention of a prompt's vision tower, without the cost of its decoder; the capture has no scores.

    Args:
        model: an LVLM.
        inputs: from `model.prepare`.
        keep: which rows of which sites; all by default.
        want: more to keep, of "hidden", "values", "queries", "heads".
    """
    wanted = check_want(want)
    if "gradients" in wanted:
        raise ValueError("gradients are those of an answer, which needs the decoder: `capture` gives them.")
    check_batch(model, inputs)
    tap: Any = _BeforeDecoder(
        model.module, keep=keep or Keep(), want=wanted, batch=inputs.batch, labels=model.tap_labels, scopes=model.tap_scopes,
        roles=Roles(model, inputs), limit=free_bytes(),
    )  # fmt: skip
    with model.lock, torch.no_grad(), tap:
        try:
            model.forward(inputs)
        except _Reached:
            pass
    return result_of(model, inputs, tap, torch.zeros(inputs.batch, 0, 0))
