"""What the page Compare shows: two runs, and how their maps, heads, layers and answers differ. Knows no Streamlit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr

import analysis
import model_adapters as ma
from analysis.compare import (
    attention_change,
    head_difference,
    map_difference,
    rank_change,
    row_of_attention,
    why_not_comparable,
)
from analysis.explain import WANTED
from analysis.layer_similarity import LayerSimilarity, layer_cka
from analysis.words.word_maps import word_map
from model_adapters.edits import Gate, Uniform
from ui import pictures
from ui.jobs import Progress
from ui.results.answering import Answered, answered, first_word
from ui.results.fix import aligned, texts
from ui.results.heads import Text, scene_ids, subject_for

if TYPE_CHECKING:
    from analysis.results import HeadMatrix, TokenMap
    from model_adapters.edits import Edit
    from ui.pictures import Picture
    from ui.recording import View

SCENES = 7
"""Drawn scenes that layers are compared over, beside the picture itself."""
LONGEST = 32
"""Tokens of an answer."""
_TOP = 6


@dataclass(frozen=True)
class Run:
    """One pass that a column stands on: everything that the attention depends on."""

    model: str
    weights: str
    picture: str
    """The picture's key."""
    text: Text
    edits: tuple[Edit, ...] = ()


@dataclass(eq=False)
class EditedSubject(ma.Subject):
    """A model under edits before one picture; what edits do not reach is refused."""

    edits: tuple[Edit, ...] = ()

    @cached_property
    def refusals(self) -> dict[str, str]:
        """What the model cannot give, and what would leave the edits out."""
        sentence = "It runs the model in its own way, where the edit is not applied."
        return super().refusals | {need: sentence for need in ("pixels", "module", "run")}

    def capture(self, want: frozenset[str] = frozenset(), target: int | None = None) -> ma.Capture:
        """All rows of all sites, under the edits."""
        aim = self.aim(target) if "gradients" in want else None
        key = frozenset(want), aim
        with self._lock:
            if key not in self._kept:
                self._kept[key] = ma.capture(self.model, self.inputs, want=want, target=aim, edits=self.edits)
            return self._kept[key]

    def run(self) -> Callable[[tuple[Edit, ...]], np.ndarray]:
        """Further edits to scores [1, C], under the edits."""
        plain = super().run()

        def answer(edits: tuple[Edit, ...] = ()) -> np.ndarray:
            return plain((*self.edits, *edits))

        return answer


def subject_of(model: ma.Model, picture: Picture, text: Text, edits: tuple[Edit, ...] = ()) -> ma.Subject:
    """The model before a picture, under edits where there are some."""
    found = subject_for(model, picture, text)
    return EditedSubject(found.model, found.inputs, found.text, edits=edits) if edits else found


def edits_of(kind: str, site: ma.Site, head: int, gathered: Sequence[tuple[ma.Site, int]] = ()) -> tuple[Edit, ...]:
    """An edit by its name on the page.

    Args:
        kind: "head" or "layer" is silenced, "even" attention in the layer, or the "sent" heads are silenced.
        site: the layer.
        head: the head, where one is meant.
        gathered: heads that another page sent.
    """
    where = ma.Where(sites=(site.name,))
    if kind == "head":
        return (Gate(replace(where, heads=(head,)), 0.0),)
    if kind == "layer":
        return (Gate(where, 0.0),)
    if kind == "even":
        return (Uniform(where),)
    if kind == "sent" and gathered:
        from analysis.agreement import silence

        return silence(gathered)
    raise ValueError(f"an edit is head, layer, even, or sent with at least one head. Got {kind!r} with {len(gathered)} heads.")


def view_of_run(subject: ma.Subject, picture: Picture, tower: str, progress: Progress) -> View:
    """Every head of one tower."""
    from ui.results.looking import of_tower
    from ui.viewer.from_capture import view_of

    progress.step(0.1, "running the model")
    found = of_tower(view_of(subject.capture(frozenset({"hidden"})), picture.image), tower)
    if not any(layer.tower == tower for layer in found.layers):
        raise ValueError(f"{subject.model.name} has no tower {tower!r}. It has {', '.join({s.tower for s in found.layers})}.")
    return found


@dataclass(frozen=True, eq=False)
class MapPair:
    """Two maps and what the second says more."""

    first: TokenMap
    second: TokenMap
    difference: TokenMap | None
    reason: str = ""
    """Why there is no difference."""

    @property
    def lacking(self) -> str:
        """What the difference leaves out, in words; empty where it leaves out nothing."""
        if self.difference is None or not np.isnan(self.difference.values).any():
            return ""
        values = self.difference.values
        return (
            f"{np.isnan(values).sum()} of {len(values)} patches on the left lie where the right has none: they are left out of "
            "the difference."
        )


def rows_of(subject: ma.Subject, tower: str, layer: int, head: int | None, query: int | None) -> TokenMap:
    """Where one row of attention, or the mean row, leads."""
    capture = subject.capture(frozenset({"hidden"}))
    sites = [site for site in capture.sites if site.tower == tower]
    return row_of_attention(capture, sites[min(layer, len(sites) - 1)], head=head, query=query)


def paired(first: TokenMap, second: TokenMap, names: tuple[str, str], *, scale: bool, stretch: bool = False) -> MapPair:
    """Both maps and the difference, second minus first, on the tokens of the first.

    Args:
        first: on the left.
        second: on the right.
        names: what both are called.
        scale: to a total of 1 before, for maps of different units.
        stretch: the maps are of two pictures.
    """
    try:
        found = map_difference(second, first, scale=scale, on="second", stretch=stretch)
    except ValueError as error:
        return MapPair(first, second, None, str(error))
    return MapPair(first, second, replace(found, label=f"{names[1]} − {names[0]}"))


def changed_heads(first: ma.Subject, second: ma.Subject, tower: str) -> HeadMatrix:
    """How much of each head's attention lies elsewhere; raises ValueError with the reason where that has no meaning."""
    want = frozenset({"hidden"})
    return attention_change(first.capture(want), second.capture(want), tower=tower)


METRICS = {
    "gate_gradient": "Importance (gate gradient)",
    "attention_distance": "Mean attention distance",
    "attention_entropy": "Attention entropy",
}
"""Numbers per head whose ranking is compared."""


@dataclass(frozen=True, eq=False)
class Rankings:
    """One number per head in both runs."""

    first: HeadMatrix
    second: HeadMatrix
    difference: HeadMatrix
    moved: HeadMatrix
    """Places that each head moved up in the second."""
    correlation: float
    """Spearman's; NaN where one ranking is constant."""
    heads: int


def rankings(first: ma.Subject, second: ma.Subject, metric: str, tower: str) -> Rankings:
    """A number per head of both runs, held against each other."""
    method = analysis.find(metric)
    want = frozenset(method.needs & WANTED)
    if reason := why_not_comparable(first.capture(want), second.capture(want), tower):
        raise ValueError(f"Heads cannot be ranked against each other: {reason}")
    one, two = (method.function(subject.capture(want), tower=tower) for subject in (first, second))
    there = np.isfinite(one.values) & np.isfinite(two.values)
    a, b = one.values[there], two.values[there]
    constant = len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0
    found = float("nan") if constant else float(spearmanr(a, b).statistic)
    return Rankings(one, two, head_difference(two, one), rank_change(one, two), found, int(there.sum()))


def alike_layers(
    models: tuple[ma.Model, ma.Model], texts: tuple[Text, Text], edits: tuple[tuple[Edit, ...], ...],
    picture: Picture, tower: str, progress: Progress,
) -> LayerSimilarity:  # fmt: skip
    """CKA between the layers of two runs, over the picture and some drawn scenes."""
    shown = [picture, *(pictures.picture(id) for id in scene_ids(SCENES))]
    captures: list[list[ma.Capture]] = [[], []]
    for number, each in enumerate(shown):
        progress.step(number / len(shown), each.title)
        for side in (0, 1):
            inputs = subject_for(models[side], each, texts[side]).inputs
            keep = ma.Keep(sites="none")
            captures[side].append(ma.capture(models[side], inputs, keep=keep, want={"hidden"}, edits=edits[side]))
    return layer_cka(captures[0], captures[1], tower=tower)


@dataclass(frozen=True, eq=False)
class Answers:
    """Probabilities of the same classes in both runs."""

    names: tuple[str, ...]
    first: np.ndarray
    """[C]."""
    second: np.ndarray
    """[C]."""
    sides: tuple[str, str] = ("left", "right")


def answers(first: ma.Subject, second: ma.Subject, names: tuple[tuple[str, ...], tuple[str, ...]]) -> Answers:
    """The likeliest classes of either run.

    Raises:
        ValueError: if their classes are others.
    """
    for subject in (first, second):
        if reason := subject.refusals.get("logits"):
            raise ValueError(reason)
    if names[0] != names[1] or first.classes != second.classes:
        raise ValueError(f"{first.model.name} and {second.model.name} choose between other classes or captions.")
    one, two = (_softmax(subject.scores) for subject in (first, second))
    top = np.argsort(-np.maximum(one, two), kind="stable")[:_TOP]
    told = tuple(names[0][n] if n < len(names[0]) else f"class {n}" for n in top)
    return Answers(told, one[top], two[top])


@dataclass(frozen=True, eq=False)
class Spoken:
    """Two written answers, word by word."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    gone: tuple[bool, ...]
    """For each word of the first whether the second leaves it out."""
    new: tuple[bool, ...]
    """For each word of the second whether the first does not say it."""

    @property
    def sentence(self) -> str:
        """In words."""
        if self.first == self.second:
            return "Both say the same, word by word."
        return f"{sum(self.new)} of {len(self.second)} words on the right are not said on the left."


def answer_of_run(
    model: ma.Model, picture: Picture, text: Text, edits: tuple[Edit, ...], progress: Progress
) -> Answered:
    """What a language model answers."""
    return answered(model, [picture], str(text), longest=LONGEST, decoding=ma.Greedy(), edits=edits, progress=progress)


def held_together(first: Answered, second: Answered) -> Spoken:
    """Two answers with what is said by one only."""
    one, two = (tuple(texts(each.answer)) for each in (first, second))
    return Spoken(one, two, tuple(not same for same in aligned(two, one).same), tuple(not s for s in aligned(one, two).same))


def word_pairs(first: Answered, second: Answered) -> dict[int, int]:
    """Words of the first answer and what stands in their place in the second."""
    places = aligned(texts(first.answer), texts(second.answer))
    found = {word.index: places.of_plain(word.index) for word in first.answer.words if word.kind == "word" and word.steps}
    return {left: right for left, right in found.items() if right is not None and second.answer.words[right].steps}


def first_pair(first: Answered, pairs: Mapping[int, int]) -> int:
    """The word that is shown before one is chosen: the first thing that is named."""
    from world.vocabulary import CATEGORIES

    number = first_word(first, CATEGORIES)
    return number if number in pairs else next(iter(pairs))


def word_map_of(found: Answered, word: int) -> TokenMap:
    """Where the model looked when it said a word."""
    return word_map(found.answer, word)


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores.astype(np.float64) - scores.max())
    return powers / powers.sum()

