"""From a model to plain callables: edits in, logits out; pictures in, scores out.

The function that runs a model is given, not imported, so that nothing here knows a model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from scipy.special import softmax

from model_adapters.edits import Edit

Run = Callable[[tuple[Edit, ...]], np.ndarray]
"""Edits -> logits [B, C] of the same inputs."""
Score = Callable[[np.ndarray], np.ndarray]
"""Pictures [B, height, width, 3] of 0..255 -> one number each [B]."""
RunModel = Callable[..., Any]
"""`model_adapters.run`: (model, inputs, edits) -> logits as a tensor."""


class Preparing(Protocol):
    """What is asked of a model: that it makes its own inputs."""

    def prepare(self, image: Any = None, text: Any = None) -> Any:
        """The input of one run."""
        ...


def runner(run: RunModel, model: Any, inputs: Any) -> Run:
    """A callable that runs the model on these inputs under edits; of a sequence, the scores of the next token."""

    def answer(edits: tuple[Edit, ...] = ()) -> np.ndarray:
        logits = run(model, inputs, edits).detach().float().cpu().numpy()
        return logits if logits.ndim == 2 else logits.reshape(len(logits), -1, logits.shape[-1])[:, -1]

    return answer


def as_pictures(pictures: np.ndarray) -> np.ndarray:
    """[B, height, width, 3] uint8, of numbers from 0 to 255."""
    found = np.clip(np.rint(np.asarray(pictures)), 0, 255).astype(np.uint8)
    if found.ndim != 4 or found.shape[-1] != 3:
        raise ValueError(f"pictures must be [B, height, width, 3]. Got shape {found.shape} instead.")
    return found


def scorer(run: RunModel, model: Preparing, target: int | Sequence[int], *, logits: bool = False) -> Score:
    """A callable that gives the probability (or logit) of a class for pictures: one class, or one per picture."""

    def score(pictures: np.ndarray) -> np.ndarray:
        pictures = as_pictures(pictures)
        answers = runner(run, model, model.prepare(image=list(pictures)))(())
        answers = answers if logits else softmax(answers, axis=-1)
        chosen = np.broadcast_to(np.asarray(target), len(answers))
        return answers[np.arange(len(answers)), chosen]

    return score
