"""What is true of what a learner has chosen: computed on the model and the picture at hand. Knows no Streamlit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ui.results.heads import label_of, name_of, row_of, sites_of, subject_for

if TYPE_CHECKING:
    from analysis.results import HeadMatrix, TokenMap
    from model_adapters import Capture, Model, Site, Subject
    from ui.pictures import Picture
    from ui.results.answering import Answered
    from ui.results.heads import Text
    from ui.state import Chosen


@dataclass(frozen=True)
class Outcome:
    """Whether a task is done, and what was found."""

    passed: bool
    told: str


@dataclass(frozen=True, eq=False)
class Here:
    """What is chosen, as the pages know it."""

    page: str
    """The path of the page in the link."""
    model: Model
    weights: str
    picture: Picture
    text: Text
    tower: str
    class_name: str
    chosen: Chosen
    values: Mapping[str, Any] = field(default_factory=dict)
    """Controls of the page by their name in the link."""
    answered: Answered | None = None
    """The last answer that was asked for."""
    load: Callable[[str], Model] | None = None
    """Another bundled model."""

    @cached_property
    def subject(self) -> Subject:
        """The model looking at the picture."""
        return subject_for(self.model, self.picture, self.text)

    @cached_property
    def capture(self) -> Capture:
        """All attention, and hidden states."""
        return self.subject.capture(frozenset({"hidden"}))

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        """Rows of the head matrix."""
        return sites_of(self.model, self.tower)

    @property
    def row(self) -> int:
        """The chosen layer."""
        count = len(self.sites)
        return self.chosen.layer % count if -count <= self.chosen.layer < count else count - 1

    @property
    def head(self) -> int:
        """The chosen head."""
        return min(self.chosen.head, self.sites[self.row].heads - 1)

    @property
    def name(self) -> str:
        """Of the chosen head."""
        return f"Layer {self.row}, head {self.head}"

    @property
    def query(self) -> int | None:
        """The chosen row; None for none, and for the mean."""
        if self.chosen.query == "class":
            roles = list(self.rows.roles)
            return roles.index("class") if "class" in roles else None
        return int(self.chosen.query) if self.chosen.query.isdigit() and int(self.chosen.query) < len(self.rows) else None

    @property
    def rows(self) -> Any:
        """The tokens that ask in the chosen layer."""
        return self.capture.layouts[self.sites[self.row]].queries

    def target(self) -> int:
        """The class that maps are about."""
        names = self.text if isinstance(self.text, tuple) else self.model.labels or ()
        return names.index(self.class_name) if self.class_name in names else self.subject.aim(None)


def on_object(here: Here) -> tuple[int, float] | None:
    """The chosen patch, and how much of it is covered by objects; None where none is chosen."""
    row = here.query
    if row is None or not here.rows.placed[row]:
        return None
    height, width = here.picture.array.shape[:2]
    x0, y0, x1, y1 = (int(round(v)) for v in here.rows.boxes[row])
    covered = np.zeros((height, width), bool)
    for _, mask in here.picture.objects:
        covered |= mask
    return row, float(covered[y0:y1, x0:x1].mean())


def place_of(here: Here, matrix: HeadMatrix) -> tuple[int, int, float] | None:
    """The place of the chosen head (1 is the highest), how many heads there are, and its value."""
    row = row_of(matrix.sites, here.sites[here.row])
    if row is None or not np.isfinite(matrix.values[row, here.head]):
        return None
    value = float(matrix.values[row, here.head])
    known = matrix.values[np.isfinite(matrix.values)]
    return int((known > value).sum()) + 1, len(known), value


def kinds(here: Here) -> tuple[str, ...]:
    """The types of the chosen head on this picture."""
    from analysis.head_measures import head_measures
    from analysis.head_types import head_types

    found = head_types(head_measures([here.capture], tower=here.tower))
    row = row_of(found.sites, here.sites[here.row])
    return () if row is None else tuple(str(found.parts[row, here.head]).split(" + "))


def losses(here: Here) -> HeadMatrix:
    """How much the loss rises when each head is silent, on this picture."""
    from ui.results.importance import exact
    from ui.results.importance_metrics import LOSS

    label = label_of(here.model, here.picture, here.text, here.subject)
    return exact(here.model, here.subject, label, here.tower, lambda done: None).matrix(LOSS)


def guesses(here: Here) -> HeadMatrix:
    """The cheap guess at the same."""
    from ui.results.importance import cheap

    label = label_of(here.model, here.picture, here.text, here.subject)
    return cheap(here.model, here.subject, label, here.tower).matrix("gate_times_gradient")


@dataclass(frozen=True)
class Silenced:
    """The answer with some heads silent."""

    before: str
    after: str
    probability: float
    left: float
    """Probability of the first answer that is left."""


def silenced(here: Here, heads: tuple[tuple[int, int], ...]) -> Silenced:
    """What the model answers without these heads."""
    from analysis.agreement import silence

    places = [(here.sites[row], head) for row, head in heads if row < len(here.sites) and head < here.sites[row].heads]
    run = here.subject.run()
    before, after = (_softmax(run(edits)[0]) for edits in ((), silence(places)))
    best, now = int(before.argmax()), int(after.argmax())
    names = [name_of(here.model, here.text, number) for number in (best, now)]
    return Silenced(names[0], names[1], float(before[best]), float(after[best]))


def sinks_at(here: Here) -> dict[int, tuple[int, ...]]:
    """The tokens that are sinks by the attention they receive, layer by layer."""
    from ui.results import sinks

    return {layer.number: layer.sinks for layer in sinks.layers(sinks.look(here.subject), "attention", tower=here.tower)}


def parked(here: Here, tokens: tuple[int, ...]) -> float:
    """The share of the chosen head's attention that goes to these tokens, on average over patches."""
    weights, rows = here.capture.weights[here.sites[here.row]][here.head], here.rows
    return float(weights[rows.where("patch", "image")][:, list(tokens)].sum(-1).mean())


def method_map(here: Here, method: str, target: int | None = None) -> TokenMap:
    """The map of a method for a class."""
    import analysis

    return analysis.explain(here.subject, method, target=here.target() if target is None else target, tower=here.tower)


def beaten(here: Here, method: str) -> Any:
    """The verdict over a map on this picture."""
    from ui.jobs import Progress
    from ui.results.looking import mask_of, verdict

    target = here.target()
    mask = mask_of(here.subject, here.picture, target)
    return verdict(here.subject, method_map(here, method), target, mask, Progress())


def verdicts(here: Here, found: Answered | None = None) -> dict[int, str]:
    """Which words of the answer are true and which are false, where they name things."""
    from ui.results.truth import known_of, truth_of

    answered = found or here.answered
    if answered is None or not answered.pictures:
        return {}
    return dict(truth_of(answered.answer, answered.text, known_of(answered.pictures[0])))


def log_probability(answered: Answered, word: int) -> float:
    """Of all tokens of a word."""
    return float(answered.answer.log_probabilities[list(answered.answer.words[word].steps)].sum())


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores.astype(np.float64) - scores.max())
    return powers / powers.sum()
