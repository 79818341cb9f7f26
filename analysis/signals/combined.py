"""One score from many signals: a logistic regression on labelled words, kept as plain numbers that explain themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.registry import method
from analysis.results import Parts

FORMAT = "headlight-signals-1"


@dataclass(frozen=True)
class CombinedScore:
    """Weights of standardised signals. The score is the probability that a word is made up."""

    names: tuple[str, ...]
    mean: tuple[float, ...]
    """Of each signal on the words it was fitted on; a missing value counts as this."""
    scale: tuple[float, ...]
    """Standard deviation of each; 1 for a signal that never changed."""
    weights: tuple[float, ...]
    """Per standard deviation."""
    bias: float
    auroc: float
    """On words of answers that were left out of the fit, all folds together."""
    folds: int
    words: int
    """How many words it rests on."""
    made_up: int
    """How many of them were made up."""
    model: str = ""
    """Whose words they were: signals of another model lie on other scales."""

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """[W] probabilities for signals [W, S] in the order of `names`."""
        return _sigmoid(self.standardised(values) @ np.array(self.weights) + self.bias)

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """[W, S]: signals in standard deviations from their mean; 0 where one is missing."""
        values = np.atleast_2d(np.asarray(values, float))
        if values.shape[1] != len(self.names):
            raise ValueError(f"{len(self.names)} signals are needed, {list(self.names)}. Got {values.shape[1]}.")
        return _standardised(values, np.array(self.mean), np.array(self.scale))

    def explain(self, values: np.ndarray) -> Parts:
        """What each signal of one word [S] adds to the logarithm of the odds; with the bias the parts add up to it."""
        each = self.standardised(values)[0] * np.array(self.weights)
        return Parts(
            (*self.names, "bias"), np.array([*each, self.bias]), float(each.sum() + self.bias), "log odds of a made-up word"
        )

    def ranking(self) -> list[tuple[str, float]]:
        """Signals with their weights, the heaviest first."""
        return sorted(zip(self.names, self.weights, strict=True), key=lambda pair: -abs(pair[1]))

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1), encoding="utf-8")

    @staticmethod
    def load(path: Path) -> CombinedScore:
        """Read what `save` wrote."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path.name} holds no JSON: {error}.") from error
        if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
            raise ValueError(f"{path.name} is no combined score of the format {FORMAT!r}.")
        listed: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
        try:
            score = CombinedScore(**listed)
        except TypeError as error:
            raise ValueError(f"{path.name} is not a whole combined score: {error}.") from error
        if len({len(score.names), len(score.mean), len(score.scale), len(score.weights)}) > 1:
            raise ValueError(f"{path.name} holds {len(score.weights)} weights for {len(score.names)} signals.")
        return score


@method(
    title="Combined score of made-up words",
    kind="signal fit",
    cites=("zhou2024",),
    needs=(),
    range="0 to 1; an AUROC of 0.5 is chance",
    misleads="It knows only the model and pictures it was fitted on; signals that go together share their weight by chance.",
)
def combined_score(
    values: np.ndarray,
    made_up: np.ndarray,
    answers: np.ndarray,
    names: Sequence[str],
    *,
    strength: float = 1.0,
    folds: int = 5,
    model: str = "",
) -> CombinedScore:
    """Fit a logistic regression on labelled words, and measure it on answers that it has not seen.

    Our combination; the bibliography's entry showed that probability, position and co-occurrence foretell made-up words.

    Args:
        values: [W, S] signals; NaN where one is missing.
        made_up: [W] bool.
        answers: [W] which answer each word is of: words of one answer are never on both sides of a fold.
        names: [S] what the signals are called.
        strength: the inverse of the regularisation.
        folds: of the cross-validation.
        model: whose words they are.
    """
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold

    values, made_up, answers = np.asarray(values, float), np.asarray(made_up, bool), np.asarray(answers)
    _check(values, made_up, answers, names, folds)
    unseen = np.zeros(len(values))
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    for known, left_out in split.split(values, made_up, answers):
        mean, scale, weights, bias = _fitted(values[known], made_up[known], strength)
        unseen[left_out] = _standardised(values[left_out], mean, scale) @ weights + bias
    mean, scale, weights, bias = _fitted(values, made_up, strength)
    return CombinedScore(
        tuple(names), tuple(mean.tolist()), tuple(scale.tolist()), tuple(weights.tolist()), bias,
        float(roc_auc_score(made_up, unseen)), folds, len(values), int(made_up.sum()), model,
    )  # fmt: skip


def _fitted(values: np.ndarray, made_up: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Mean, scale, weights [S] and bias."""
    from sklearn.linear_model import LogisticRegression

    mean, scale = _moments(values)
    regression = LogisticRegression(C=strength, max_iter=1000)
    regression.fit(_standardised(values, mean, scale), made_up)
    return mean, scale, regression.coef_[0], float(regression.intercept_[0])


def _check(values: np.ndarray, made_up: np.ndarray, answers: np.ndarray, names: Sequence[str], folds: int) -> None:
    if values.ndim != 2 or values.shape[1] != len(names) or not len(names):
        raise ValueError(f"signals must be [words, {len(names)}]. Got shape {values.shape} instead.")
    if made_up.shape != (len(values),) or answers.shape != (len(values),):
        raise ValueError(
            f"one label and one answer per word is needed. Got {made_up.shape} and {answers.shape} for {len(values)}."
        )
    groups = [len(set(answers[made_up].tolist())), len(set(answers[~made_up].tolist()))]
    if min(groups) < folds:
        raise ValueError(
            f"{folds} folds need made-up words in at least {folds} answers, and true ones too. Got {groups[0]} and {groups[1]}."
        )


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    there = np.isfinite(values)
    count = np.maximum(there.sum(0), 1)
    known = np.where(there, values, 0)
    mean = known.sum(0) / count
    scale = np.sqrt((np.where(there, values - mean, 0) ** 2).sum(0) / count)
    return mean, np.where(scale > 1e-12, scale, 1.0)


def _standardised(values: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), (values - mean) / scale, 0.0)


def _sigmoid(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds))
