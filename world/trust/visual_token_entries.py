"""Fewer visual tokens in the LVLM: yes/no answers about things that are there or are not, at five budgets.

Before the decoder a budget is what all layers read; inside it, what the last layer reads, so that such a method costs more at
the same budget. So the two are held to baselines of their own, and a table says how many tokens a layer reads on average.
Later steps read the model that is already reduced.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

import model_adapters as ma
from analysis.evaluation.figures import ratio
from analysis.registry import find
from analysis.visual_tokens import VisualPlan, dropping
from world.hallucination import pope_questions
from world.scenes import Scene
from world.trust.cases import make_case
from world.trust.registry import Entry, Score, enter, score_of

MODEL = "lvlm"
BUDGETS = (108, 72, 36, 18, 9)
ASKED = "random"
BEFORE = {
    "random": "random_visual",
    "evenly spread": "uniform_visual",
    "pooled, at most": "pooled_visual",
    "FasterVLM: class token, one layer": "faster_vlm",
    "VTC-CLS: class token, many layers": "vtc_cls",
    "HiRED on one tile": "hired",
    "GlobalCom2 on one tile": "global_com",
    "density, then class token, at most": "repetitiveness",
    "likest pairs merged": "tome_visual",
}
INSIDE = {
    "random from layer 2": "random_visual",
    "evenly spread from layer 2": "uniform_visual",
    "FastV: last word, from layer 2": "fastv",
    "SparseVLM: words like the image": "sparse_vlm",
    "MustDrop: merged, then thresholds": "must_drop",
    "the image's own threshold, at most": "instance_threshold",
    "along a cosine, others go round": "progressive",
    "AIM: merged, then by page rank": "aim",
}
STAGES = {"accuracy, dropped before the decoder": BEFORE, "accuracy, dropped inside the decoder": INSIDE}
BASELINES = ("random_visual", "uniform_visual")
LAYER = 2
LOOKING = ("sparse_vlm", "must_drop", "instance_threshold", "progressive", "aim")
"""Those whose later steps read the reduced model."""


@dataclass(frozen=True, eq=False)
class Query:
    """One question about one picture.

    Attributes:
        model: the model under study.
        inputs: the prompt.
        right: the first token of the right answer.
        image: which picture.
        seed: for methods that need chance.
    """

    model: ma.Model
    inputs: ma.Inputs
    right: int
    image: int
    seed: int

    @cached_property
    def seen(self) -> ma.Capture:
        """What one run on everything shows."""
        return self.look(())

    def look(self, edits: tuple[ma.edits.Edit, ...]) -> ma.Capture:
        """What a run under edits shows."""
        return ma.capture(self.model, self.inputs, edits=edits, want=("hidden", "queries"))

    def answered(self, plan: VisualPlan | None) -> bool:
        """Whether the likeliest first word is the right one, with the plan's tokens really dropped."""
        edits = () if plan is None else dropping(plan)
        return int(ma.run(self.model, self.inputs, edits)[0, -1].argmax()) == self.right


def planned(name: str, layer: int, query: Query, budget: int) -> VisualPlan:
    """The plan of a method of `analysis` for one question; baselines begin at the layer."""
    more: dict[str, object] = {"layer": layer} if name in BASELINES else {}
    more |= {"seed": query.seed} if name == "random_visual" else {}
    more |= {"look": query.look} if name in LOOKING else {}
    return find(name).function(query.seen, keep=budget, **more)


for _own, _layer in ((BEFORE, 0), (INSIDE, LAYER)):
    for _title, _name in _own.items():
        enter(Entry("pruner", _title, MODEL, partial(planned, _name, _layer), _name in BASELINES, _name))


def queries(model: ma.Model, scenes: Iterable[Scene]) -> list[Query]:
    """One question about a thing that is there and one about a thing that might be, of every scene."""
    rng = np.random.default_rng(0)
    words = {word: int(model.processor.tokenizer.convert_tokens_to_ids(word)) for word in ("yes", "no")}
    found = []
    for image, scene in enumerate(scenes):
        picture = make_case(model, scene, "", image).image
        for question in pope_questions(scene, ASKED, rng, pairs=1):
            inputs = model.prepare(image=picture, text=question.text)
            found.append(Query(model, inputs, words[question.answer], image, len(found)))
    return found


def score_visual_pruners(
    entries: Iterable[Entry], model: ma.Model, scenes: Iterable[Scene], budgets: Iterable[int] = BUDGETS
) -> tuple[list[Score], list[str]]:
    """Accuracy and how many visual tokens a layer reads, at every budget, and a sentence on the model as it is."""
    entries, budgets = tuple(entries), tuple(budgets)
    right: dict[tuple[Entry, int], list[bool]] = {(entry, budget): [] for entry in entries for budget in budgets}
    read: dict[tuple[Entry, int], list[float]] = {place: [] for place in right}
    whole, images = [], []
    for query in queries(model, scenes):
        images.append(query.image)
        whole.append(query.answered(None))
        for entry, budget in right:
            plan = entry.function(query, budget)
            right[entry, budget].append(query.answered(plan))
            read[entry, budget].append(plan.mean_kept)
    answers = f"With all visual tokens bundled:{MODEL} gives {np.mean(whole):.3f} of {len(whole)} yes/no answers right."
    return _figures(right, read, images), [answers]


def stage_of(title: str) -> str:
    """What a participant is held to, by where it drops its tokens."""
    return next((stage for stage, own in STAGES.items() if title in own), next(iter(STAGES)))


def _figures(
    right: dict[tuple[Entry, int], list[bool]], read: dict[tuple[Entry, int], list[float]], images: list[int]
) -> list[Score]:
    scores = []
    asked = np.bincount(images)
    for found, chance in ((right, 0.5), (read, float("nan"))):
        for (entry, budget), values in found.items():
            figure = ratio(np.bincount(images, weights=values), asked)
            against = stage_of(entry.title) if found is right else "patches left"
            ends = figure.low, figure.high
            scores.append(score_of(entry, f"{budget} patches", figure.value, ends, chance, figure.images, against=against))
    return scores
