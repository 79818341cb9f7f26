"""Run every participant: the harness behind `make trust`."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

import model_adapters as ma
import world.trust.entries  # noqa: F401  (importing registers the participants)
from world.datasets import TRUST_SEED, SceneStream
from world.scenes import UNBIASED, Scene
from world.trust.cases import case_of
from world.trust.head_scores import score_importances
from world.trust.map_scores import score_maps
from world.trust.registry import KINDS, Kind, Score, entries
from world.trust.token_scores import score_pruners
from world.trust.type_scores import captured, score_halves, score_seeds, second_model
from world.trust.visual_token_entries import score_visual_pruners
from world.trust.word_scores import describe, judged_mentions, score_fix, score_signal

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Size:
    """On how many scenes each kind of method is tried."""

    maps: int
    slow: int
    """Maps that run the model many times."""
    faithful: int
    heads: int
    types: int
    pruned: int
    words: int
    fixes: int


SHORT = Size(maps=100, slow=8, faithful=20, heads=80, types=40, pruned=30, words=100, fixes=30)
FULL = Size(maps=150, slow=20, faithful=40, heads=150, types=60, pruned=100, words=300, fixes=150)
LONGEST_FIRST: tuple[Kind, ...] = ("fix", "pruner", "map", "signal", "types", "importance")
"""A long job that is begun last keeps one process waiting for the other."""


@dataclass(frozen=True)
class Job:
    """One kind of methods on one model, in a process of its own."""

    kind: Kind
    model: str
    size: Size
    second: Path


@dataclass(frozen=True)
class Done:
    """What a job found, how long it took, and what else is to be said."""

    scores: tuple[Score, ...]
    seconds: float
    notes: tuple[str, ...] = ()


def scenes(count: int) -> list[Scene]:
    """Scenes that no training and no card has used."""
    return SceneStream(TRUST_SEED + 200, UNBIASED).take(count)


def _maps(model: ma.Model, job: Job) -> tuple[list[Score], list[str]]:
    size, own = job.size, entries("map", job.model)
    found, seconds = score_maps(own, model, scenes(size.maps), size.faithful, size.slow)
    return found, [f"  {name}: {1000 * each:.0f} ms for one map" for name, each in seconds.items()]


def _importances(model: ma.Model, job: Job) -> tuple[list[Score], list[str]]:
    cases = (case_of(model, scene, number) for number, scene in enumerate(scenes(job.size.heads)))
    return score_importances(entries("importance", job.model), cases), []


def _types(model: ma.Model, job: Job) -> tuple[list[Score], list[str]]:
    cases = [case_of(model, scene, number) for number, scene in enumerate(scenes(job.size.types))]
    captures, own = captured(model, cases), entries("types", job.model)
    found = [score_halves(entry, captures) for entry in own]
    other = second_model(job.second, job.model)
    if other is not None:
        others = captured(other, cases)
        return found + [score for entry in own for score in score_seeds(entry, captures, others)], []
    return found, [f"No second {job.model} lies in {job.second}, so types are not compared between seeds."]


def _pruners(model: ma.Model, job: Job) -> tuple[list[Score], list[str]]:
    if model.kind == "lvlm":
        return score_visual_pruners(entries("pruner", job.model), model, scenes(job.size.pruned))
    cases = (case_of(model, scene, number) for number, scene in enumerate(scenes(job.size.pruned)))
    return score_pruners(entries("pruner", job.model), cases), []


def _signals(model: ma.Model, job: Job) -> tuple[list[Score], list[str]]:
    shown = scenes(job.size.words)
    said = [describe(model, scene, number, {}, ma.Keep()) for number, scene in enumerate(shown)]
    judged = judged_mentions(shown, said)
    return [s for entry in entries("signal", job.model) for s in score_signal(entry, judged, len(shown))], []


def _fixes(model: ma.Model, job: Job) -> tuple[list[Score], list[str]]:
    return [s for entry in entries("fix", job.model) for s in score_fix(entry, model, scenes(job.size.fixes))], []


SCORING: dict[Kind, Callable[[ma.Model, Job], tuple[list[Score], list[str]]]] = {
    "map": _maps, "importance": _importances, "types": _types, "pruner": _pruners, "signal": _signals, "fix": _fixes,
}  # fmt: skip


def do(job: Job) -> Done:
    """One job, on one thread."""
    torch.set_num_threads(1)
    started = time.monotonic()
    found, notes = SCORING[job.kind](ma.load(f"bundled:{job.model}"), job)
    return Done(tuple(found), time.monotonic() - started, tuple(notes))


def jobs(size: Size, kinds: Sequence[Kind], second: Path) -> list[Job]:
    """What there is to do, in the order of the report."""
    return [Job(kind, name, size, second) for kind in kinds for name in dict.fromkeys(e.model for e in entries(kind))]


def run(size: Size, kinds: Sequence[Kind] = KINDS, *, second: Path, workers: int = 2) -> tuple[list[Score], list[str]]:
    """Every score of every participant, and sentences on what was left out."""
    todo = jobs(size, kinds, second)
    scores: list[Score] = []
    said: list[str] = []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running = {job: pool.submit(do, job) for job in sorted(todo, key=lambda job: LONGEST_FIRST.index(job.kind))}
        for job in todo:
            done = running[job].result()
            log.info("%s on %s: %.0f s", job.kind, job.model, done.seconds)
            for note in done.notes:
                log.info("%s", note)
            said += [note for note in done.notes if not note.startswith(" ")]
            scores += done.scores
    return scores, said
