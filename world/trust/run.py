"""Run every participant: the harness behind `make trust`."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import model_adapters as ma
from world.datasets import TRUST_SEED, SceneStream
from world.scenes import UNBIASED, Scene
from world.trust.head_scores import ablation_costs, cases_of, score_importance, score_pruner
from world.trust.map_scores import score_maps
from world.trust.registry import KINDS, Kind, Score, entries
from world.trust.word_scores import describe, judged_mentions, score_fix, score_signal

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Size:
    """On how many scenes each kind of method is tried."""

    maps: int
    faithful: int
    heads: int
    words: int
    fixes: int
    pruned: int


SHORT = Size(maps=100, faithful=25, heads=100, words=150, fixes=60, pruned=60)
FULL = Size(maps=1000, faithful=300, heads=1000, words=1000, fixes=1000, pruned=500)


def scenes(count: int) -> list[Scene]:
    """Scenes that no training and no card has used."""
    return SceneStream(TRUST_SEED + 200, UNBIASED).take(count)


def _maps(model: ma.Model, name: str, size: Size) -> list[Score]:
    return [
        score
        for entry in entries("map")
        if entry.model == name
        for score in score_maps(entry, model, scenes(size.maps), size.faithful)
    ]


def _importances(model: ma.Model, name: str, size: Size) -> list[Score]:
    cases = cases_of(model, scenes(size.heads))
    costs = ablation_costs(model, cases)
    own = [entry for entry in entries("importance") if entry.model == name]
    return [score for entry in own for score in score_importance(entry, cases, costs)]


def _signals(model: ma.Model, name: str, size: Size) -> list[Score]:
    shown = scenes(size.words)
    said = [describe(model, scene, number, {}, ma.Keep()) for number, scene in enumerate(shown)]
    judged = judged_mentions(shown, said)
    own = [entry for entry in entries("signal") if entry.model == name]
    return [score for entry in own for score in score_signal(entry, judged, len(shown))]


def _fixes(model: ma.Model, name: str, size: Size) -> list[Score]:
    own = [entry for entry in entries("fix") if entry.model == name]
    return [score for entry in own for score in score_fix(entry, model, scenes(size.fixes))]


def _pruners(model: ma.Model, name: str, size: Size) -> list[Score]:
    cases = cases_of(model, scenes(size.pruned))
    own = [entry for entry in entries("pruner") if entry.model == name]
    return [score for entry in own for score in score_pruner(entry, cases)]


SCORING: dict[Kind, Callable[[ma.Model, str, Size], list[Score]]] = {
    "map": _maps, "importance": _importances, "signal": _signals, "fix": _fixes, "pruner": _pruners,
}  # fmt: skip


def run(size: Size, kinds: Sequence[Kind] = KINDS) -> list[Score]:
    """Every score of every participant."""
    models: dict[str, ma.Model] = {}
    scores: list[Score] = []
    for kind in kinds:
        for name in dict.fromkeys(entry.model for entry in entries(kind)):
            started = time.monotonic()
            model = models.setdefault(name, None) or ma.load(f"bundled:{name}")
            models[name] = model
            scores += SCORING[kind](model, name, size)
            log.info("%s on %s: %.0f s", kind, name, time.monotonic() - started)
    return scores
