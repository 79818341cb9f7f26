"""Maps: do they lie on the object, do they rank what the answer rests on, do they change when it does?"""

from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image

import model_adapters as ma
from world.evaluation.figures import resamples
from world.questions import existence_text
from world.rendering import render
from world.scenes import Scene
from world.training.pictures import dominant_object, patch_coverage
from world.trust.entries import GRID
from world.trust.registry import Case, Entry, Score, interval
from world.trust.statistics import area, auroc, change, energy, pointing, pointing_chance
from world.twins import recoloured, without
from world.vocabulary import CATEGORIES, COLOURS

SIZE, PATCH = 96, 8
SHARES = np.array([0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0])


def make_case(model: ma.Model, scene: Scene, target: str, seed: int) -> Case:
    """A case with its picture drawn."""
    return Case(model, scene, Image.fromarray(render(scene, SIZE).image), target, seed)


def target_of(scene: Scene) -> int:
    """The object that is explained: the one seen most."""
    return dominant_object(scene, render(scene, SIZE))[0]


def target_probabilities(model: ma.Model, images: list[np.ndarray], target: str) -> np.ndarray:
    """How sure the model is of the target on each picture: its class, or "yes" to the question whether it is there."""
    pictures = [Image.fromarray(image) for image in images]
    if model.kind != "lvlm":
        logits = ma.run(model, model.prepare(image=pictures)).float()
        return logits.softmax(-1)[:, CATEGORIES.index(target)].numpy()
    question = existence_text(target)
    inputs = model.prepare(image=[[picture] for picture in pictures], text=[question] * len(pictures))
    last = ma.run(model, inputs).float()[:, -1]
    yes, no = (model.processor.tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
    return torch.stack([last[:, yes], last[:, no]], dim=1).softmax(-1)[:, 0].numpy()


def _orders(heat: np.ndarray, image: np.ndarray, empty: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pictures with the hottest cells deleted, and with only the hottest cells kept, in steps."""
    order = np.argsort(-heat.ravel(), kind="stable")
    deleted, inserted = [], []
    for share in SHARES:
        hot = np.zeros(GRID * GRID, dtype=bool)
        hot[order[: round(share * len(order))]] = True
        mask = np.kron(hot.reshape(GRID, GRID), np.ones((PATCH, PATCH), dtype=bool))[..., None]
        deleted.append(np.where(mask, empty, image))
        inserted.append(np.where(mask, image, empty))
    return deleted, inserted


def _areas(case: Case, heat: np.ndarray) -> tuple[float, float]:
    # What is deleted gives way to the same scene without objects, so that no picture is unlike those of the training.
    empty = render(Scene(case.scene.background, (), case.scene.detail), SIZE).image
    deleted, inserted = _orders(heat, np.asarray(case.image), empty)
    found = target_probabilities(case.model, [*deleted, *inserted], case.target)
    return area(SHARES, found[: len(SHARES)]), area(SHARES, found[len(SHARES) :])


def faithfulness(case: Case, heat: np.ndarray) -> tuple[float, float]:
    """By how much deletion and insertion beat a random order on this very picture; above 0 is better than random."""
    noise = np.random.default_rng([case.seed, 77]).random((GRID, GRID))
    deletion, insertion = _areas(case, heat)
    random_deletion, random_insertion = _areas(case, noise)
    return random_deletion - deletion, insertion - random_insertion


def _changes(entry: Entry, case: Case, index: int, heat: np.ndarray) -> tuple[list[float], list[bool]]:
    """How far the map changes when the target goes (it should), and when another object changes colour (it should not)."""
    changes, relevant = [], []
    others = [i for i in range(len(case.scene.objects)) if i != index]
    if not others:
        return changes, relevant
    other = others[0]
    colour = COLOURS[(COLOURS.index(case.scene.objects[other].colour) + 3) % len(COLOURS)]
    for number, (twin, matters) in enumerate(
        [(without(case.scene, index), True), (recoloured(case.scene, other, colour), False)]
    ):
        after = entry.function(make_case(case.model, twin, case.target, case.seed + 10_000 * (number + 1)))
        changes.append(change(heat, after))
        relevant.append(matters)
    return changes, relevant


def score_maps(entry: Entry, model: ma.Model, scenes: Iterable[Scene], faithful_on: int) -> list[Score]:
    """All scores of one map method; deletion and insertion on the first `faithful_on` scenes only."""
    rows: list[tuple[float, float, float, float]] = []
    faithful: list[tuple[float, float]] = []
    changes: list[tuple[list[float], list[bool]]] = []
    for number, scene in enumerate(scenes):
        index = target_of(scene)
        case = make_case(model, scene, scene.objects[index].category, number)
        heat = entry.function(case)
        same = [i for i, item in enumerate(scene.objects) if item.category == case.target]
        ids = render(scene, SIZE).ids
        coverage = patch_coverage(ids, PATCH, len(scene.objects))[same].sum(axis=0).reshape(GRID, GRID)
        rows.append((pointing(heat, coverage), pointing_chance(coverage), energy(heat, coverage), coverage.mean()))
        if number < faithful_on:
            faithful.append(faithfulness(case, heat))
            changes.append(_changes(entry, case, index, heat))
    table, faith = np.array(rows), np.array(faithful)
    return [
        _mean_score(entry, "pointing game", table[:, 0], table[:, 1].mean()),
        _mean_score(entry, "energy on the object", table[:, 2], table[:, 3].mean()),
        _mean_score(entry, "deletion, better than random by", faith[:, 0], 0.0),
        _mean_score(entry, "insertion, better than random by", faith[:, 1], 0.0),
        _change_score(entry, changes),
    ]


def _mean_score(entry: Entry, name: str, values: np.ndarray, chance: float) -> Score:
    low, high = interval(resamples(len(values)) @ values / len(values))
    mean = float(values.mean())
    return Score("map", entry.title, entry.model, name, mean, low, high, float(chance), len(values), entry.baseline)


def _change_score(entry: Entry, changes: list[tuple[list[float], list[bool]]]) -> Score:
    usable = [(np.array(values), np.array(flags)) for values, flags in changes if values]
    if not usable:
        raise ValueError(f"none of {len(changes)} scenes has a second object; give more scenes")

    def pooled(drawn: Iterable[int]) -> float:
        picked = [usable[i] for i in drawn]
        return auroc(np.concatenate([f for _, f in picked]), np.concatenate([v for v, _ in picked]))

    rng = np.random.default_rng(0)
    rounds = np.array([pooled(rng.integers(len(usable), size=len(usable))) for _ in range(300)])
    value, (low, high) = pooled(range(len(usable))), interval(rounds)
    name = "changes when, and only when, the object does"
    return Score("map", entry.title, entry.model, name, value, low, high, 0.5, len(usable), entry.baseline)
