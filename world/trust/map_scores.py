"""Maps: do they lie on the object, do they rank what the answer rests on, do they change when it does?

Scenes come one after the other, and all maps of a scene are made from the same captures.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import torch
from PIL import Image

import model_adapters as ma
from analysis.evaluation.figures import resamples
from analysis.perturbation import ranked
from world.questions import existence_text
from world.rendering import render
from world.scenes import Scene
from world.trust.cases import CAPTIONS, EVERYTHING, GRID, PATCH, SIZE, Case, case_of, cells_covered, make_case, target_of
from world.trust.registry import Entry, Score, interval, score_of
from world.trust.statistics import area, auroc, change, energy, pointing, pointing_chance
from world.twins import recoloured, without
from world.vocabulary import CATEGORIES, COLOURS

SHARES = np.array([0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0])
ORDERS = 3
"""Random orders that deletion and insertion are compared with, on each picture."""
SEEN = 2.0
"""So many cells of another object must be seen for its map to be asked for."""
BATCH = 64
HITS = ("pointing game", "energy on the object")
FAITHFUL = ("deletion, better than random by", "insertion, better than random by")
CHANGES = "changes when, and only when, the object does"
FOLLOWS = "moves to the class asked for"


@dataclass
class Tally:
    """What one method's maps did, scene by scene."""

    hits: list[tuple[float, float, float, float]] = field(default_factory=list)
    """Pointing game and energy, and the chance of each."""
    faithful: list[tuple[float, float]] = field(default_factory=list)
    changes: list[tuple[float, float]] = field(default_factory=list)
    """How far the map moves when the target goes, and when another object changes colour."""
    follows: list[float] = field(default_factory=list)
    """1 where another object gets more of the map when it is asked for, half for the same."""
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Twins:
    """A scene with what is tried on it; None where the scene has no other object to try it with."""

    case: Case
    gone: Case | None
    touched: Case | None
    other: Case | None
    coverage: np.ndarray
    other_coverage: np.ndarray | None

    def capture(self) -> None:
        """Make the captures that all methods share, so that no method is charged for them."""
        for case in filter(None, (self.case, self.gone, self.touched, self.other)):
            case.subject.capture(frozenset(EVERYTHING), case.aim)


def twins_of(model: ma.Model, scene: Scene, number: int) -> Twins:
    """The case about the dominant object, without that object, with another object recoloured, and asked about the other."""
    case, index = case_of(model, scene, number), target_of(scene)
    coverage = cells_covered(scene, case.target)
    areas = [(float(cells_covered(scene, o.category).sum()), i) for i, o in enumerate(scene.objects) if o.category != case.target]
    alone = sum(o.category == case.target for o in scene.objects) == 1
    if not areas or not alone or max(areas)[0] < SEEN:
        return Twins(case, None, None, None, coverage, None)
    other = max(areas)[1]
    item = scene.objects[other]
    colour = COLOURS[(COLOURS.index(item.colour) + 3) % len(COLOURS)]
    gone = make_case(model, without(scene, index), case.target, number + 10_000)
    touched = make_case(model, recoloured(scene, other, colour), case.target, number + 20_000)
    return Twins(case, gone, touched, case.asked(item.category), coverage, cells_covered(scene, item.category))


def target_probabilities(model: ma.Model, images: Sequence[np.ndarray], target: str) -> np.ndarray:
    """How sure the model is of the target on each picture: its class, its caption, or "yes" when asked if it is there."""
    parts = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    return np.concatenate([_probabilities(model, [Image.fromarray(i) for i in part], target) for part in parts])


def _probabilities(model: ma.Model, pictures: list[Image.Image], target: str) -> np.ndarray:
    if model.kind != "lvlm":
        text = list(CAPTIONS) if model.kind == "dual" else None
        logits = ma.run(model, model.prepare(image=pictures, text=text)).float()
        return logits.softmax(-1)[:, CATEGORIES.index(target)].numpy()
    question = existence_text(target)
    inputs = model.prepare(image=[[picture] for picture in pictures], text=[question] * len(pictures))
    last = ma.run(model, inputs).float()[:, -1]
    yes, no = (model.processor.tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
    return torch.stack([last[:, yes], last[:, no]], dim=1).softmax(-1)[:, 0].numpy()


def steps_of(heat: np.ndarray, image: np.ndarray, empty: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Pictures between the whole and the empty one: with the hottest cells deleted, then with only these kept."""
    order = ranked(heat.ravel(), rng)
    deleted, inserted = [], []
    for share in SHARES[1:-1]:
        hot = np.zeros(GRID * GRID, dtype=bool)
        hot[order[: round(share * len(order))]] = True
        mask = np.kron(hot.reshape(GRID, GRID), np.ones((PATCH, PATCH), dtype=bool))[..., None]
        deleted.append(np.where(mask, empty, image))
        inserted.append(np.where(mask, image, empty))
    return [*deleted, *inserted]


def faithfulness(case: Case, heats: Sequence[np.ndarray]) -> list[tuple[float, float]]:
    """By how much deletion and insertion beat random orders on this very picture; above 0 is better than random.

    What is deleted gives way to the same scene without objects, so that no picture is unlike those of the training.
    """
    image, empty = np.asarray(case.image), render(Scene(case.scene.background, (), case.scene.detail), SIZE).image
    rng = np.random.default_rng([case.seed, 77])
    tried = [*heats, *(rng.random((GRID, GRID)) for _ in range(ORDERS))]
    pictures = [step for heat in tried for step in steps_of(heat, image, empty, rng)]
    found = target_probabilities(case.model, [image, empty, *pictures], case.target)
    whole, nothing, between = found[0], found[1], found[2:].reshape(len(tried), 2, -1)
    deletion = np.array([area(SHARES, np.array([whole, *row[0], nothing])) for row in between])
    insertion = np.array([area(SHARES, np.array([nothing, *row[1], whole])) for row in between])
    count = len(heats)
    random_deletion, random_insertion = deletion[count:].mean(), insertion[count:].mean()
    return [
        (float(random_deletion - d), float(i - random_insertion))
        for d, i in zip(deletion[:count], insertion[:count], strict=True)
    ]


def score_maps(
    entries: Sequence[Entry], model: ma.Model, scenes: Iterable[Scene], faithful_on: int, slow_on: int
) -> tuple[list[Score], dict[str, float]]:
    """All scores of the maps of one model, and the seconds that each method took for one map.

    Deletion and insertion are tried on the first `faithful_on` scenes only, slow methods on the first `slow_on`.
    """
    tallies = {entry: Tally() for entry in entries}
    for number, scene in enumerate(scenes):
        twins = twins_of(model, scene, number)
        twins.capture()
        now = [entry for entry in entries if number < slow_on or not entry.slow]
        heats = [_try(entry, twins, tallies[entry]) for entry in now]
        if number < faithful_on:
            for entry, both in zip(now, faithfulness(twins.case, heats), strict=True):
                tallies[entry].faithful.append(both)
    scores = [score for entry, tally in tallies.items() for score in _scores(entry, tally)]
    return scores, {entry.title: tally.seconds / max(1, len(tally.hits)) for entry, tally in tallies.items()}


def _try(entry: Entry, twins: Twins, tally: Tally) -> np.ndarray:
    """The map of one scene; what it and its twins show is noted."""
    started = perf_counter()
    heat = entry.function(twins.case)
    tally.seconds += perf_counter() - started
    cover = twins.coverage
    tally.hits.append((pointing(heat, cover), energy(heat, cover), pointing_chance(cover), float(cover.mean())))
    if twins.gone is not None and twins.touched is not None:
        tally.changes.append((change(heat, entry.function(twins.gone)), change(heat, entry.function(twins.touched))))
    if twins.other is not None and twins.other_coverage is not None:
        tally.follows.append(follows(heat, entry.function(twins.other), twins.other_coverage))
    return heat


def follows(heat: np.ndarray, asked: np.ndarray, coverage: np.ndarray) -> float:
    """Whether an object gets more of the map when it is asked for: 1 or 0, and a half for the same."""
    before, after = energy(heat, coverage), energy(asked, coverage)
    return 0.5 if np.isclose(before, after, rtol=1e-6) else float(after > before)


def _scores(entry: Entry, tally: Tally) -> list[Score]:
    hits, faithful = np.array(tally.hits), np.array(tally.faithful)
    scores = [_mean(entry, name, hits[:, i], hits[:, i + 2].mean()) for i, name in enumerate(HITS)]
    if len(faithful):
        scores += [_mean(entry, name, faithful[:, i], 0.0) for i, name in enumerate(FAITHFUL)]
    if tally.changes:
        scores.append(_changes(entry, np.array(tally.changes)))
        scores.append(_mean(entry, FOLLOWS, np.array(tally.follows), 0.5))
    return scores


def _mean(entry: Entry, name: str, values: np.ndarray, chance: float) -> Score:
    rounds = resamples(len(values)) @ values / len(values)
    return score_of(entry, name, values.mean(), interval(rounds), chance, len(values))


def _changes(entry: Entry, changes: np.ndarray) -> Score:
    """AUROC of the map's change: the target removed against another object recoloured, [N, 2]."""
    truth = np.array([True, False])

    def pooled(drawn: np.ndarray) -> float:
        return auroc(np.tile(truth, len(drawn)), changes[drawn].ravel())

    rng = np.random.default_rng(0)
    rounds = np.array([pooled(rng.integers(len(changes), size=len(changes))) for _ in range(300)])
    return score_of(entry, CHANGES, pooled(np.arange(len(changes))), interval(rounds), 0.5, len(changes))
