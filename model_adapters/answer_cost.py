"""What an answer costs under any way of reading and decoding: passes of the model counted, and the time on the clock."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from model_adapters.errors import AdapterError
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
    """Time of each further one, from the first to the last of the quickest run; NaN for an answer of one."""


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

    def run(way: Mapping[str, Any], longest: int) -> _Run:
        with model.lock, _passes(model) as times:
            start = _clock(model.device)
            found = generate(model, inputs, max_new_tokens=longest, keep=NOTHING, **way)
            if not isinstance(found, Generation):
                raise TypeError("one prompt has one answer.")
            return _Run(len(found.tokens), tuple(times), _clock(model.device) - start)

    for way in ways:
        run(way, 1)  # warms up
    runs: list[list[tuple[_Run, _Run]]] = [[] for _ in ways]
    begun = time.perf_counter()
    while len(runs[0]) < max(repeats, 1) and (not runs[0] or time.perf_counter() - begun < patience):
        for way, own in zip(ways, runs, strict=True):
            own.append((run(way, 1), run(way, max_new_tokens)))
    return tuple(_summed(own) for own in runs)


@dataclass(frozen=True)
class _Run:
    """One answer: its tokens, when each pass came to the decoder, and how long it all took."""

    tokens: int
    times: tuple[float, ...]
    seconds: float


def _summed(runs: Sequence[tuple[_Run, _Run]]) -> AnswerCost:
    """The shortest of all runs: other work on the machine only ever makes one longer."""
    first, whole = runs[0]
    begins, more = len(first.times), whole.tokens - 1
    seconds = min(one.seconds for one, _ in runs)
    if more < 1:
        return AnswerCost(whole.tokens, begins, float("nan"), seconds, float("nan"))
    each = min(run.times[-1] - run.times[begins - 1] for _, run in runs) / more
    return AnswerCost(whole.tokens, begins, (len(whole.times) - begins) / more, seconds, each)


@contextmanager
def _passes(model: Model) -> Iterator[list[float]]:
    """When the decoder is entered meanwhile: once in every pass of this answer, of a second branch, or of a look before."""
    times: list[float] = []

    def add(*_: Any) -> None:
        times.append(time.perf_counter())

    labels = model.tap_labels
    blocks = [block for block in labels.blocks if labels.tower(block) == "decoder"]
    if not blocks:
        raise AdapterError(f"{model.name} has no decoder whose passes could be counted.")
    first = min(blocks, key=lambda block: labels[block].layer)
    handle = model.module.get_submodule(first).register_forward_pre_hook(add)
    try:
        yield times
    finally:
        handle.remove()


def _clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
