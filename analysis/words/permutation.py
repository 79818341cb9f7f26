"""Does the order of the image's tokens matter? They are dealt anew at the door of the decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from analysis.registry import Range, method
from analysis.words.answer import Answer, log_softmax
from analysis.words.runs import AnswerRun, checked_run
from model_adapters import Where
from model_adapters.edits import SetHidden, Values


@dataclass(frozen=True, eq=False)
class PermutationSensitivity:
    """What shuffled image tokens do to an answer."""

    drops: np.ndarray
    """[draws, A]: fall of the log-probability of every token that was said, in nats."""
    same: np.ndarray
    """[draws, A] bool: whether it is still the likeliest."""

    @property
    def drop(self) -> float:
        """The mean fall."""
        return float(self.drops.mean())


@method(
    title="Sensitivity to the order of image tokens",
    kind="word knockout",
    cites=("lee2024llvm",),
    needs={"generation", "text", "hidden", "run"},
    range="fall of the log-probability in nats; around 0 where the order does not matter",
    misleads="Positions are also written into the features by the vision tower: what is shuffled here is their order alone.",
)
def permutation_sensitivity(
    answer: Answer,
    run: AnswerRun,
    *,
    draws: Annotated[int, Range(1, 100)] = 5,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> PermutationSensitivity:
    """What an answer loses when the image's tokens stand in random order. One pass per draw; five in the paper.

    Args:
        answer: read again with want={"hidden"}.
        run: edits to its scores.
        draws: random orders.
        seed: of the orders.
        progress: told the share that is done.
    """
    if not len(answer):
        raise ValueError("the answer is empty, so there is nothing to read.")
    first, image = answer.depths[0], np.flatnonzero(answer.image)
    states, draw = answer.hidden(first), np.random.default_rng(seed)
    base, said = log_softmax(checked_run(answer, run)), np.arange(len(answer))
    drops, same = [], []
    for done in range(draws):
        shuffled = states.copy()
        shuffled[image] = states[draw.permutation(image)]
        place = Where(tower="decoder", layers=(first,), queries=tuple(int(i) for i in image))
        after = log_softmax(run((SetHidden(where=place, value=Values(shuffled)),)))
        drops.append((base - after)[said, answer.ids])
        same.append(after.argmax(-1) == base.argmax(-1))
        if progress is not None:
            progress((done + 1) / draws)
    return PermutationSensitivity(np.stack(drops), np.stack(same))
