"""Beam search with a penalty on answers that lean on one of their own words, and steps back where they keep leaning on it.

The search knows no model: it is given a function that reads a beginning of an answer. Every candidate is read whole, without
a cache, because its own row of attention is what it is judged by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from model_adapters.capture import capture
from model_adapters.decoding import OverTrust
from model_adapters.edits import Edit
from model_adapters.errors import AdapterError
from model_adapters.inputs import Inputs
from model_adapters.model import Model
from model_adapters.roles import decoder_roles, image_ids
from model_adapters.site import Keep

EARLY = 10
"""Up to so many tokens an answer is judged by its attention to the image, and steps back never go before them."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What reading a prompt and the beginning of an answer shows."""

    log_probabilities: np.ndarray
    """[V] of the next token; minus infinity for what stands for an image in a prompt, which no answer can say."""
    answer: np.ndarray
    """[R, R]: the answer's attention to itself in the last layer, largest over heads, rows renormalised."""
    image: float
    """The last row's attention to the image, of the same rows."""


Read = Callable[[tuple[int, ...]], Reading]


@dataclass(frozen=True, eq=False)
class _Path:
    ids: tuple[int, ...]
    score: float
    reading: Reading
    column: int = 0

    @property
    def mean(self) -> float:
        return self.score / max(len(self.ids), 1)


@dataclass
class _Tried:
    """One length of the answer, to which the search can step back."""

    paths: list[_Path]
    chosen: set[tuple[int, ...]] = field(default_factory=set)
    returns: int = 0


def columns(answer: np.ndarray, scale: float) -> np.ndarray:
    """[R]: c_j = 1e-7 times the product over i >= j of scale times the attention of token i to token j."""
    scaled = scale * answer
    return np.array([1e-7 * scaled[j:, j].prod() for j in range(len(answer))])


def penalty(reading: Reading, scale: float) -> float:
    """The largest column; up to ten tokens, less than nothing for attention to the image."""
    return -reading.image if len(reading.answer) <= EARLY else float(columns(reading.answer, scale).max())


def search(read: Read, ends: frozenset[int], longest: int, told: OverTrust) -> tuple[int, ...]:
    """The ids of the best answer."""
    steps: dict[int, _Tried] = {0: _Tried([_Path((), 0.0, read(()))])}
    finished: list[_Path] = []
    history: list[int] = []
    length = 0
    while length < longest and len(finished) < told.beams:
        here = steps[length]
        found = _candidates(read, here, told)
        if not found:
            break
        best = sorted(found, key=lambda path: -path.score)[: 2 * told.beams]
        finished += [path for path in best[: told.beams] if path.ids[-1] in ends]
        alive = [path for path in best if path.ids[-1] not in ends][: told.beams]
        here.chosen |= {path.ids for path in alive}
        if not alive:
            break
        length += 1
        steps[length] = _Tried(alive, returns=steps[length].returns if length in steps else 0)
        history[length - 1 :] = [_usual(found)]
        length = _stepped_back(steps, history, length, told)
    return max([*finished, *steps[length].paths], key=lambda path: path.mean).ids


def _candidates(read: Read, here: _Tried, told: OverTrust) -> list[_Path]:
    """The likeliest continuations of every path that were not tried before, each read and penalised."""
    found = []
    for path in here.paths:
        likely = np.argsort(-path.reading.log_probabilities, kind="stable")[: told.candidates]
        for token in (int(t) for t in likely):
            ids = (*path.ids, token)
            if ids in here.chosen or np.isneginf(path.reading.log_probabilities[token]):
                continue
            reading = read(ids)
            score = path.score + float(path.reading.log_probabilities[token]) - told.weight * penalty(reading, told.scale)
            found.append(_Path(ids, score, reading, int(columns(reading.answer, told.scale).argmax())))
    return found


def _usual(found: Sequence[_Path]) -> int:
    """The column that most candidates lean on."""
    values, counts = np.unique([path.column for path in found], return_counts=True)
    return int(values[counts.argmax()])


def _stepped_back(steps: dict[int, _Tried], history: list[int], length: int, told: OverTrust) -> int:
    """The length to go on from: behind the column that was leant on too often, while it has other candidates left."""
    column = history[-1]
    back = column + 1
    if (
        column < EARLY
        or history.count(column) <= told.threshold
        or back not in steps
        or steps[back].returns + 1 >= told.candidates
    ):
        return length
    steps[back].returns += 1
    del history[back:]
    return back


def searched(model: Model, inputs: Inputs, edits: tuple[Edit, ...], longest: int, told: OverTrust) -> tuple[int, ...]:
    """The ids that the search finds for a prompt."""
    config = getattr(model.module, "generation_config", None)
    ends = getattr(config, "eos_token_id", None)
    read = _reader(model, inputs, edits)
    return search(read, frozenset([ends] if isinstance(ends, int) else ends or ()), longest, told)


def _reader(model: Model, inputs: Inputs, edits: tuple[Edit, ...]) -> Read:
    from model_adapters.lens import continued

    image = decoder_roles(model, inputs)[0] == "image"
    unsayable = image_ids(model)
    sites = [site for site in capture(model, inputs, keep=Keep(sites="none")).shapes if site.tower == "decoder"]
    if not sites:
        raise AdapterError(f"{model.name} has no decoder whose attention could be judged.")

    def read(ids: tuple[int, ...]) -> Reading:
        whole = continued(model, inputs, ids) if ids else inputs
        found = capture(model, whole, keep=Keep(sites=(sites[-1],)), edits=edits)
        rows = np.asarray(found.weights[sites[-1]], np.float64).max(0)
        if rows.shape[1] != len(image) + len(ids):
            raise AdapterError(
                f"The last layer of {model.name} does not see its whole prompt, so its columns cannot be followed."
            )
        rows = rows[len(rows) - max(len(ids), 1) :]
        rows = rows / rows.sum(-1, keepdims=True)
        scores = np.asarray(found.logits[-1], np.float64)
        log_probabilities = scores - np.logaddexp.reduce(scores)
        log_probabilities[unsayable] = -np.inf
        return Reading(log_probabilities, rows[:, len(image) :], float(rows[-1, : len(image)][image].sum()))

    return read


class Following:
    """Lets transformers' `generate` write given ids, so that an answer found by search has its rows and scores."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids, self._written = list(ids), 0

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> Any:
        """Scores [1, V] that allow the next id only."""
        forced = torch.full_like(scores, float("-inf"))
        forced[:, self.ids[self._written]] = 0
        self._written += 1
        return forced
