"""Beam search with a penalty on answers that lean on one of their own words, and steps back where they keep leaning on it.

The search knows no model: it is given a function that reads a beginning of an answer. Every candidate is read whole, without
a cache, because its own row of attention is what it is judged by.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    parent: int = 0
    """Which path of the step before it goes on."""

    def mean(self, ends: frozenset[int]) -> float:
        """The score per token: the end does not count, the beginning of the sequence does."""
        return self.score / (1 + len(self.ids) - (bool(self.ids) and self.ids[-1] in ends))


@dataclass
class _Step:
    """One length of the answer, to which the search can step back."""

    paths: list[_Path]
    finished: list[_Path]
    columns: tuple[int, ...] = ()
    """Per path the column that most of its candidates lean on."""


def columns(answer: np.ndarray, scale: float) -> np.ndarray:
    """[R]: c_j = 1e-7 times the product over i >= j of scale times the attention of token i to token j."""
    scaled = scale * answer
    return np.array([1e-7 * scaled[j:, j].prod() for j in range(len(answer))])


def penalty(reading: Reading, scale: float) -> float:
    """The largest column; up to ten tokens, less than nothing for attention to the image."""
    return -reading.image if len(reading.answer) <= EARLY else float(columns(reading.answer, scale).max())


def search(read: Read, ends: frozenset[int], longest: int, told: OverTrust) -> tuple[int, ...]:
    """The ids of the best answer."""
    return _Search(read, ends, told).answer(longest)


class _Search:
    """Candidates of a path share its probability by their penalised scores; all other tokens have none.

    Where one column has been leant on too often, the answer is cut behind it, and what was chosen there is refused: the next
    token is then the likeliest of the whole vocabulary, unpenalised.
    """

    def __init__(self, read: Read, ends: frozenset[int], told: OverTrust) -> None:
        self.read, self.ends, self.told = read, ends, told
        self.steps = [_Step([_Path((), 0.0)], [])]
        self.readings: dict[tuple[int, ...], Reading] = {}
        """Of the paths that go on now."""
        self.finished: list[_Path] = []
        self.returns: Counter[int] = Counter()
        self.refused: defaultdict[int, set[tuple[int, int]]] = defaultdict(set)
        """By length: (path, token) that may not be chosen again."""

    def answer(self, longest: int) -> tuple[int, ...]:
        """The ids of the best answer of at most so many tokens."""
        while len(self.steps) <= longest:
            found = self._candidates(self.steps[-1])
            if self._steps_back():
                found = self._others(self.steps[-1])
            best = sorted(found, key=lambda path: -path.score)[: 2 * self.told.beams]
            for path in best[: self.told.beams]:
                if path.ids[-1] in self.ends:
                    self._keep(path)
            alive = [path for path in best if path.ids[-1] not in self.ends][: self.told.beams]
            if self._is_done(best) or not alive:
                break
            self.steps.append(_Step(alive, list(self.finished)))
            self.readings = {path.ids: self._reading(path.ids) for path in alive}
        else:
            for path in self.steps[-1].paths:
                self._keep(path)
        return max(self.finished or self.steps[-1].paths, key=lambda path: path.mean(self.ends)).ids

    def _candidates(self, step: _Step) -> list[_Path]:
        """The likeliest continuations of every path, each read and penalised."""
        found, columns_of = [], []
        for number, path in enumerate(step.paths):
            logs = self._reading(path.ids).log_probabilities
            likely = [int(t) for t in np.argsort(-logs, kind="stable")[: self.told.candidates] if not np.isneginf(logs[t])]
            readings = [self._reading((*path.ids, token)) for token in likely]
            penalties = np.array([penalty(reading, self.told.scale) for reading in readings])
            scores = logs[likely] - self.told.weight * penalties
            scores = path.score + scores - np.logaddexp.reduce(scores)
            found += [_Path((*path.ids, token), float(score), number) for token, score in zip(likely, scores, strict=True)]
            columns_of.append(_mode([int(columns(r.answer, self.told.scale).argmax()) for r in readings]))
        step.columns = tuple(columns_of)
        return found

    def _steps_back(self) -> bool:
        """Cut the answer behind a column that every path has leant on too often, unless that was done too often there."""
        here = self.steps[-1].columns
        column, most = _mode(here), self.told.candidates
        counts = [sum(s.columns[min(n, len(s.columns) - 1)] == column for s in self.steps) for n in range(len(here))]
        if column < EARLY or min(counts) <= self.told.threshold:
            return False
        back = next((length for length in (column + 1, column) if self.returns[length] < most), None)
        if back is None:
            return False
        self.returns[back] += 1
        back = min(back, len(self.steps) - 2)
        self.refused[back] |= {(path.parent, path.ids[-1]) for path in self.steps[back + 1].paths}
        self.refused[back + 1] = set()
        del self.steps[back + 1 :]
        self.finished = self.steps[back].finished
        return True

    def _others(self, step: _Step) -> list[_Path]:
        """The likeliest continuations of every path, those that were refused counted as the unlikeliest."""
        refused, found = self.refused[len(self.steps) - 1], []
        for number, path in enumerate(step.paths):
            logs = self._reading(path.ids).log_probabilities.copy()
            logs[[token for parent, token in refused if parent == number]] = logs[np.isfinite(logs)].min()
            logs = path.score + logs - np.logaddexp.reduce(logs)
            likely = [int(t) for t in np.argsort(-logs, kind="stable")[: 2 * self.told.beams] if np.isfinite(logs[t])]
            found += [_Path((*path.ids, token), float(logs[token]), number) for token in likely]
        return found

    def _keep(self, path: _Path) -> None:
        """Keep the best answers only, as many as there are beams."""
        self.finished.append(path)
        self.finished.sort(key=lambda kept: -kept.mean(self.ends))
        del self.finished[self.told.beams :]

    def _is_done(self, best: Sequence[_Path]) -> bool:
        """Whether no answer that goes on can better the worst that is kept, if its score stays as it is."""
        if len(self.finished) < self.told.beams:
            return False
        return self.finished[-1].mean(self.ends) >= best[0].score / (1 + len(self.steps))

    def _reading(self, ids: tuple[int, ...]) -> Reading:
        if ids not in self.readings:
            self.readings[ids] = self.read(ids)
        return self.readings[ids]


def _mode(values: Sequence[int]) -> int:
    """The most frequent value, the smallest of several."""
    each, counts = np.unique(values, return_counts=True)
    return int(each[counts.argmax()])


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
