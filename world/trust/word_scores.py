"""Signals and fixes for what an LVLM makes up in its captions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import model_adapters as ma
from analysis.evaluation import parse_official
from analysis.evaluation.figures import Figure, ratio, resamples
from world.evaluation.speaking import chair_figures
from world.hallucination import mentioned, pope_questions
from world.scenes import Scene
from world.trust.cases import make_case
from world.trust.registry import Entry, Mention, Score, interval, score_of
from world.trust.statistics import auroc, stratified_auroc

PROMPT = "describe the picture."
LONGEST = 40


@dataclass(frozen=True, eq=False)
class Judged:
    """A mention, the image it is about, and whether it is made up."""

    image: int
    mention: Mention
    invented: bool


def describe(model: ma.Model, scene: Scene, number: int, options: dict[str, object], keep: ma.Keep) -> ma.Generation:
    """The model's caption of one scene."""
    inputs = model.prepare(image=make_case(model, scene, "", number).image, text=PROMPT)
    return ma.generate(model, inputs, max_new_tokens=LONGEST, keep=keep, **options)


def judged_mentions(scenes: Sequence[Scene], said: Sequence[ma.Generation]) -> list[Judged]:
    """Every first mention of a category in the captions."""
    found: list[Judged] = []
    for image, (scene, generation) in enumerate(zip(scenes, said, strict=True)):
        known: list[str] = []
        for step, token in enumerate(generation.tokens):
            for name in mentioned(token.text):
                if name not in known:
                    mention = Mention(step, generation, len(known))
                    found.append(Judged(image, mention, name not in scene.categories))
                    known.append(name)
    return found


def score_signal(entry: Entry, judged: list[Judged], images: int) -> list[Score]:
    """AUROC for made-up words, raw and within positions, with intervals over images."""
    truth = np.array([item.invented for item in judged])
    position = np.array([item.mention.position for item in judged])
    value = np.array([entry.function(item.mention) for item in judged])
    image = np.array([item.image for item in judged])
    repeats = [np.repeat(np.arange(len(judged)), drawn[image]) for drawn in resamples(images, 200)]
    scores = []
    for name, statistic in (("AUROC, raw", None), ("AUROC within positions", position)):
        whole = _auroc(truth, value, statistic)
        rounds = [_auroc(truth[i], value[i], None if statistic is None else statistic[i]) for i in repeats]
        scores.append(score_of(entry, name, whole, interval(np.array(rounds)), 0.5, len(judged)))
    return scores


def _auroc(truth: np.ndarray, value: np.ndarray, position: np.ndarray | None) -> float:
    return auroc(truth, value) if position is None else stratified_auroc(truth, value, position)


def _pope(model: ma.Model, scenes: Sequence[Scene], options: dict[str, object]) -> dict[str, Figure]:
    rng = np.random.default_rng(0)
    right, wrongly, negatives, asked_of = [], [], [], []
    for number, scene in enumerate(scenes):
        image = make_case(model, scene, "", number).image
        asked = pope_questions(scene, "adversarial", rng, pairs=1)
        said = [
            parse_official(
                ma.generate(
                    model, model.prepare(image=image, text=q.text), max_new_tokens=3, keep=ma.Keep(sites="none"), **options
                ).text
            )
            for q in asked
        ]
        right.append(sum(s == (q.answer == "yes") for s, q in zip(said, asked, strict=True)))
        wrongly.append(sum(s for s, q in zip(said, asked, strict=True) if q.answer == "no"))
        negatives.append(sum(q.answer == "no" for q in asked))
        asked_of.append(len(asked))
    return {
        "POPE adversarial, accuracy": ratio(right, asked_of),
        "POPE adversarial, false positives": ratio(wrongly, negatives),
    }


NAMES = {"chair_i": "CHAIR, of unique mentions", "chair_s": "CHAIR, of captions", "recall": "recall", "mentions": "mentions"}


def score_fix(entry: Entry, model: ma.Model, scenes: Sequence[Scene]) -> list[Score]:
    """What is made up, what is found, and how long captions are, under one way of decoding."""
    options = entry.function()
    said = [describe(model, scene, n, options, ma.Keep(sites="none")).text for n, scene in enumerate(scenes)]
    figures = chair_figures(said, list(scenes))
    found = {title: figures[name] for name, title in NAMES.items()} | _pope(model, scenes, options)
    return [score_of(entry, name, f.value, (f.low, f.high), float("nan"), f.images) for name, f in found.items()]
