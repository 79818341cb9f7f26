"""The pruners of visual tokens in the trust benchmark."""

from __future__ import annotations

from functools import cache

import numpy as np

import world.trust.entries  # noqa: F401  (importing registers the participants)
from analysis.registry import methods
from analysis.visual_tokens.making import Making
from model_adapters import Model
from model_adapters.load import load
from world.scenes import Scene
from world.trust import visual_token_entries as ours
from world.trust.cases import cells_covered
from world.trust.registry import Entry, entries
from world.trust.run import scenes

SCENES = 12
LEFT_OUT = {
    "visual_window": "it drops no token, so it has no budget",
    "ranking_similarity": "it compares layers and drops nothing",
    "visual_heads": "it drops no token, so it has no budget",
    "visual_exit": "its budget is a layer",
    "look_m": "its budget is a share of the cache",
    "search_budgets": "its budget is a loss",
}


@cache
def model() -> Model:
    return load("bundled:lvlm")


@cache
def some() -> tuple[Scene, ...]:
    return tuple(scenes(SCENES))


def test_every_pruner_takes_part() -> None:
    entered = {entry.method for entry in entries("pruner", ours.MODEL)}
    assert {m.name for m in methods("visual tokens")} == entered | set(LEFT_OUT)
    for stage in ours.STAGES:
        own = [e for e in entries("pruner", ours.MODEL) if ours.stage_of(e.title) == stage]
        assert sum(e.baseline for e in own) == 2 and len(own) > 4


def test_seeing_only_the_thing_asked_for_keeps_the_answer_and_seeing_only_the_rest_does_not() -> None:
    """Planted truth: the patches of the thing that is there, against as many that do not show it."""
    there = [q for q in queries() if q.right == yes() and q.answered(None)]

    def only(shown: bool):
        def plan(query: ours.Query, budget: int):
            cover = covered(query)
            making = Making(query.seen)
            order = np.argsort(-cover if shown else cover, kind="stable")[:budget]
            making.keep(0, np.isin(np.arange(len(cover)), order))
            return making.plan("planted")

        return plan

    seen = [q.answered(only(True)(q, 48)) for q in there]
    rest = [q.answered(only(False)(q, 48)) for q in there]
    assert len(there) >= 6 and np.mean(seen) > 0.8 and np.mean(rest) < 0.5


def test_figures_are_those_of_the_plans() -> None:
    everything = Entry("pruner", "everything", ours.MODEL, lambda query, budget: Making(query.seen).plan("all"))
    fastv = next(e for e in entries("pruner", ours.MODEL) if e.method == "fastv")
    found, (said,) = ours.score_visual_pruners([everything, fastv], model(), some()[:3], budgets=(36,))
    by = {(s.title, s.against): s for s in found}
    right = np.mean([q.answered(None) for q in queries()[:6]])
    assert by["everything", ours.stage_of("everything")].value == right and f"gives {right:.3f} of 6" in said
    assert by["everything", "patches left"].value == 144
    assert by[fastv.title, "patches left"].value == (2 * 144 + 4 * 36) / 6
    assert by[fastv.title, "accuracy, dropped inside the decoder"].count == 3


@cache
def queries() -> tuple[ours.Query, ...]:
    return tuple(ours.queries(model(), some()))


def yes() -> int:
    return int(model().processor.tokenizer.convert_tokens_to_ids("yes"))


def covered(query: ours.Query) -> np.ndarray:
    """[144] how much of each patch the thing that is asked for fills."""
    words = model().processor.tokenizer.decode(query.inputs.tensors["input_ids"][0].tolist())
    scene = some()[query.image]
    named = [name for name in scene.categories if f" {name}" in words]
    return cells_covered(scene, max(named, key=len)).ravel()
