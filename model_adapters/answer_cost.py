"""What an answer costs under any way of reading and decoding: passes of the model counted, and the time on the clock."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from model_adapters.decoding import Decoding
from model_adapters.edits import Edit
from model_adapters.generate import Generation, generate
from model_adapters.inputs import Inputs
from model_adapters.model import Model
from model_adapters.planned import Plan
from model_adapters.site import NOTHING


@dataclass(frozen=True)
class AnswerCost:
    """What one answer took, its first token and what came after it."""

    tokens: int
    first_passes: int
    """Passes up to and with the first new token: looks at the prompt and second branches included."""
    token_passes: float
    """Passes for each further token; NaN for an answer of one."""
    first_seconds: float
    """Median time until the first new token is there."""
    token_seconds: float
    """Median time of each further one; NaN for an answer of one."""


def answer_cost(
    model: Model,
    inputs: Inputs,
    *,
    max_new_tokens: int,
    edits: Iterable[Edit | Plan] | Edit | Plan = (),
    decoding: Decoding | None = None,
    repeats: int = 3,
    patience: float = 2.0,
) -> AnswerCost:
    """Answer with the first token only and to the end, count the passes of both and time them; no attention is kept.

    Args:
        model: an LVLM. It is held meanwhile, so that no other work is counted along.
        inputs: one prompt.
        max_new_tokens: the longest answer.
        edits: as for `generate`.
        decoding: as for `generate`.
        repeats: how many times each is timed at most.
        patience: seconds after which nothing is timed again.
    """

    def run(longest: int) -> tuple[Generation, int, float]:
        with model.lock, _counted(model.module) as count:
            start = _clock(model.device)
            found = generate(model, inputs, max_new_tokens=longest, keep=NOTHING, edits=edits, decoding=decoding)
            if not isinstance(found, Generation):
                raise TypeError("one prompt has one answer.")
            return found, count[0], _clock(model.device) - start

    run(1)  # warms up
    firsts: list[tuple[Generation, int, float]] = []
    wholes: list[tuple[Generation, int, float]] = []
    begun = time.perf_counter()
    while len(firsts) < max(repeats, 1) and (not firsts or time.perf_counter() - begun < patience):
        firsts.append(run(1))
        wholes.append(run(max_new_tokens))
    tokens, first_passes, passes = len(wholes[0][0].tokens), firsts[0][1], wholes[0][1]
    first, whole = (float(np.median([seconds for _, _, seconds in each])) for each in (firsts, wholes))
    more = tokens - 1
    each = (float("nan"),) * 2 if more < 1 else ((passes - first_passes) / more, max(whole - first, 0.0) / more)
    return AnswerCost(tokens, first_passes, each[0], first, each[1])


@contextmanager
def _counted(module: torch.nn.Module) -> Iterator[list[int]]:
    """How often scores of words are made meanwhile, by this answer or by a second branch: once in every pass."""
    count = [0]

    def add(*_: Any) -> None:
        count[0] += 1

    head = getattr(module, "get_output_embeddings", lambda: None)()
    handle = (module if head is None else head).register_forward_pre_hook(add)
    try:
        yield count
    finally:
        handle.remove()


def _clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
