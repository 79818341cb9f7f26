"""What an answer costs under any way of reading and decoding: passes of the model counted, and the time on the clock."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from model_adapters.generate import Generation, generate
from model_adapters.inputs import Inputs
from model_adapters.model import Model
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
    """Shortest measured time until the first new token is there."""
    token_seconds: float
    """Time of each further one, from the shortest runs; NaN for an answer of one."""


def answer_cost(
    model: Model, inputs: Inputs, *, max_new_tokens: int, repeats: int = 5, patience: float = 3.0, **way: Any
) -> AnswerCost:
    """The cost of one way to answer: `answer_costs` says what is measured.

    Args:
        model: an LVLM.
        inputs: one prompt.
        max_new_tokens: the longest answer.
        repeats: how many times it is timed at most.
        patience: seconds after which nothing is timed again.
        way: edits and decoding, as for `generate`.
    """
    return answer_costs(model, inputs, (way,), max_new_tokens=max_new_tokens, repeats=repeats, patience=patience)[0]


def answer_costs(
    model: Model,
    inputs: Inputs,
    ways: Sequence[Mapping[str, Any]],
    *,
    max_new_tokens: int,
    repeats: int = 5,
    patience: float = 3.0,
) -> tuple[AnswerCost, ...]:
    """Answer with the first token only and to the end, count the passes of both and time them; no attention is kept.

    Ways are timed in turn, so that a machine that slows down slows all of them.

    Args:
        model: an LVLM. It is held meanwhile, so that no other work is counted along.
        inputs: one prompt.
        ways: edits and decoding of each, as for `generate`.
        max_new_tokens: the longest answer.
        repeats: how many times each is timed at most.
        patience: seconds after which nothing is timed again.
    """

    def run(way: Mapping[str, Any], longest: int) -> tuple[int, int, float]:
        with model.lock, _counted(model.module) as count:
            start = _clock(model.device)
            found = generate(model, inputs, max_new_tokens=longest, keep=NOTHING, **way)
            if not isinstance(found, Generation):
                raise TypeError("one prompt has one answer.")
            return len(found.tokens), count[0], _clock(model.device) - start

    runs: list[list[tuple[tuple[int, int, float], tuple[int, int, float]]]] = [[] for _ in ways]
    for way in ways:
        run(way, 1)  # warms up
    begun = time.perf_counter()
    while len(runs[0]) < max(repeats, 1) and (not runs[0] or time.perf_counter() - begun < patience):
        for way, own in zip(ways, runs, strict=True):
            own.append((run(way, 1), run(way, max_new_tokens)))
    return tuple(_summed(own) for own in runs)


def _summed(runs: Sequence[tuple[tuple[int, int, float], tuple[int, int, float]]]) -> AnswerCost:
    (_, first_passes, _), (tokens, passes, _) = runs[0]
    # Other work on the machine only ever makes a run longer.
    first, whole = (min(run[which][2] for run in runs) for which in (0, 1))
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
