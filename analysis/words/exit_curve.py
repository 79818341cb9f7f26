"""From which layer on the image is no longer needed: its tokens are hidden from all others from a layer on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.registry import method
from analysis.results import Curve
from analysis.words.answer import Answer, log_softmax
from analysis.words.runs import AnswerRun, checked_run, positions, where
from analysis.words.words import Word
from model_adapters.edits import Block


@dataclass(frozen=True, eq=False)
class ExitCurve:
    """The answer when the image is hidden from layer l on; the last point is the model as it is."""

    layers: np.ndarray
    """[S] the first layer in which the image is hidden; one more than the last layer means never."""
    divergence: np.ndarray
    """[S, A] KL(as it is || hidden) of every token's choice, in nats."""
    log_probabilities: np.ndarray
    """[S, A] of the tokens that were said."""
    same: np.ndarray
    """[S, A] bool: whether the same token is still the likeliest."""

    def of_word(self, word: Word) -> Curve:
        """The log-probability of one word, all its tokens together."""
        values = self.log_probabilities[:, list(word.steps)].sum(-1)
        return Curve(self.layers, values, label=f"log-probability of {word.text!r}", step_label="image hidden from layer")

    def mean(self) -> Curve:
        """The mean divergence over the answer."""
        return Curve(self.layers, self.divergence.mean(-1), label="KL, nats", step_label="image hidden from layer")

    def exit(self, share: float = 0.99) -> int:
        """The first layer from which the image can be hidden so that this share of the tokens stays the likeliest."""
        enough = self.same.mean(-1) >= share
        settled = np.flatnonzero(~enough)
        return int(self.layers[settled[-1] + 1 if len(settled) else 0])


@method(
    title="Exit curve",
    kind="word flow",
    cites=("wu2024",),
    needs={"generation", "text", "run"},
    range="KL 0 and above; 0 once the image is no longer needed",
    misleads="What the text has read before stays with it: a layer that needs no image may stand on what was read earlier.",
)
def exit_curve(answer: Answer, run: AnswerRun, *, progress: Callable[[float], None] | None = None) -> ExitCurve:
    """What becomes of the answer when all text is blind to the image from a layer on, for every layer.

    After the exit of visual tokens: the published criterion is the share of tokens that stay (above 0.99); the curve is
    ours. One pass per layer.

    Args:
        answer: the answer.
        run: edits to its scores, from `answer_runner`.
        progress: told the share that is done.
    """
    if not len(answer):
        raise ValueError("the answer is empty, so there is nothing to read.")
    image, others = positions(answer)
    numbers = sorted({site.layer for site in answer.sites})
    base = log_softmax(checked_run(answer, run))
    shares, said = np.exp(base), np.arange(len(answer))
    logs = []
    for count in range(len(numbers)):
        edit = Block(where(answer, numbers[count:], others, image))
        logs.append(log_softmax(run((edit,))))
        if progress is not None:
            progress((count + 1) / len(numbers))
    hidden = np.stack([*logs, base])
    divergence = (shares * (base - hidden)).sum(-1)
    same = hidden.argmax(-1) == base.argmax(-1)
    return ExitCurve(np.array([*numbers, numbers[-1] + 1]), divergence, hidden[:, said, answer.ids], same)
