"""The signals of `analysis.signals` in the benchmark, and the combined score of them.

`python -m world.trust.word_entries` fits the combined score anew, on captions of scenes that the benchmark does not use.
"""

import logging
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import torch
from PIL import Image

import model_adapters as ma
from analysis.signals import CombinedScore, combined_score, diffused, gather, picture_views, scores_of, signals
from analysis.signals.divergence import unmoved_by_noise
from analysis.words import Word
from world.datasets import TRUST_SEED, SceneStream
from world.hallucination import mentioned
from world.rendering import render
from world.scenes import UNBIASED, Scene
from world.trust.registry import Entry, Mention, enter
from world.trust.word_scores import LONGEST, PROMPT

SCORED, FITTED = SceneStream(TRUST_SEED + 200, UNBIASED), SceneStream(TRUST_SEED + 600, UNBIASED)
"""The scenes of the benchmark, and those that the combined score is fitted on."""
FITTED_ON = 300
AHEAD = 50
"""How many scenes are looked at for the one that an answer is about; captions come in their order."""
SCORE = Path(__file__).with_name("word_score.json")
PUBLISHED_NOISE, NOISE = 500, 700
"""Diffusion steps. The published one leaves 0.86 of a picture's amplitude; the stronger was chosen on the scenes of the fit."""

SIGNALS = {
    "falling_image_attention": "fall of attention to the image",
    "spread_image_map": "spread of the image map",
    "over_trust": "over-trust in one earlier word",
    "undecided": "entropy of the choice",
    "small_margin": "small margin of the choice",
    "unmoved_without_image": "little change without the image",
    "unmoved_by_noise": f"little change with a noised image, step {NOISE}",
    "outvoted": "outvoted by views",
    "unseen_by_lens": "no image token predicts the word",
    "low_alignment": "low alignment of image and word",
    "low_vision_divergence": "low total divergence of heads",
    "shared_outliers": "outliers shared by encoder and decoder",
}
COMBINED = (*SIGNALS, "unlikely_word", "low_image_attention")

PUBLISHED = "unmoved_by_noise, published step"

Values = dict[int, dict[str, float]]
"""Step of the answer -> signals of the word that begins there."""


class Listener:
    """Knows the signals of every mention. A mention does not say which picture it is of: the next that fits is its own."""

    def __init__(self, stream: SceneStream = SCORED) -> None:
        self.stream, self.next = stream, 0
        self.model = ma.load("bundled:lvlm")
        self.lens: ma.Lens | None = None
        self._known: WeakKeyDictionary[ma.Generation, Values] = WeakKeyDictionary()

    def values(self, mention: Mention) -> dict[str, float]:
        """All signals of one mention."""
        generation = mention.generation
        if generation not in self._known:
            self._known[generation] = self.evidence(self._picture_of(generation), generation)
        return self._known[generation][mention.step]

    def evidence(self, picture: Image.Image, generation: ma.Generation) -> Values:
        """The signals of every word of an answer that names a category."""
        model, inputs, asked = self.model, *self._asked(picture)
        without, blind = self._asked(None)
        self.lens = self.lens or ma.lens(model, inputs)
        evidence = gather(
            generation,
            asked,
            partial(ma.reread, model),
            inputs,
            blind=(without, blind),
            noised=_noised(inputs, NOISE),
            views=[self._asked(view)[0] for view in picture_views(np.asarray(picture))],
            lens=self.lens,
            capture=ma.capture(model, inputs),
        )
        steps = [step for step, token in enumerate(generation.tokens) if mentioned(token.text)]
        words = [Word(generation.tokens[step].text, 0, 1, (step,), place) for place, step in enumerate(steps)]
        table = signals(evidence, words, COMBINED)
        if table.refused:
            raise ValueError(f"signals are missing: {table.refused}")
        found = {step: dict(zip(table.names, row, strict=True)) for step, row in zip(steps, table.values, strict=True)}
        passed = ma.reread(model, _noised(inputs, PUBLISHED_NOISE), evidence.answer.ids.tolist(), keep=ma.Keep(sites="none"))
        scores = scores_of(passed, len(evidence.answer))
        for step, word in zip(steps, words, strict=True):
            found[step][PUBLISHED] = unmoved_by_noise(evidence.answer, scores, word)
        return found

    def _asked(self, picture: object) -> tuple[ma.Inputs, ma.Asked]:
        inputs = self.model.prepare(image=picture, text=PROMPT)
        return inputs, ma.asked(self.model, inputs)

    def _picture_of(self, generation: ma.Generation) -> Image.Image:
        """The picture of the next scene whose first word has these scores."""
        first = generation.tokens[0].logits
        for index in (*range(self.next, self.next + AHEAD), *range(AHEAD)):
            picture = picture_of(self.stream[index])
            inputs = self.model.prepare(image=picture, text=PROMPT)
            if np.allclose(ma.run(self.model, inputs)[0, -1].float().cpu().numpy(), first, atol=1e-3):
                self.next = index + 1
                return picture
        raise ValueError("none of the next scenes of the benchmark has this answer.")


def picture_of(scene: Scene) -> Image.Image:
    """A scene as the model sees it."""
    return Image.fromarray(render(scene, 96).image)


def _noised(inputs: ma.Inputs, step: int) -> ma.Inputs:
    noised = diffused(inputs.tensors["pixel_values"].numpy(), step=step)
    return inputs.with_tensors(pixel_values=torch.from_numpy(noised))


@cache
def listener() -> Listener:
    """One for all signals of a run."""
    return Listener()


def signal(name: str) -> Callable[[Mention], float]:
    """A signal as the benchmark takes it."""

    def value(mention: Mention) -> float:
        return listener().values(mention)[name]

    return value


def doubt(mention: Mention) -> float:
    """The combined score, fitted on other scenes."""
    score, values = CombinedScore.load(SCORE), listener().values(mention)
    return float(score(np.array([[values[name] for name in score.names]]))[0])


def fit(count: int = FITTED_ON) -> CombinedScore:
    """Fit the combined score on captions of scenes that nothing else uses."""
    ear = Listener(FITTED)
    rows, made_up, answers = [], [], []
    for number, scene in enumerate(FITTED.take(count)):
        picture = picture_of(scene)
        inputs = ear.model.prepare(image=picture, text=PROMPT)
        generation = ma.generate(ear.model, inputs, max_new_tokens=LONGEST)
        known: set[str] = set()
        for step, values in ear.evidence(picture, generation).items():
            name = mentioned(generation.tokens[step].text)[0]
            if name not in known:
                rows.append([values[column] for column in COMBINED])
                made_up.append(name not in scene.categories)
                answers.append(number)
            known.add(name)
    return combined_score(np.array(rows), np.array(made_up), np.array(answers), COMBINED, model="bundled:lvlm")


for _name, _title in SIGNALS.items():
    enter(Entry("signal", _title, "lvlm", signal(_name), method=_name))
_title = f"little change with a noised image, step {PUBLISHED_NOISE}"
enter(Entry("signal", _title, "lvlm", signal(PUBLISHED), method="unmoved_by_noise"))
enter(Entry("signal", "combined score", "lvlm", doubt, method="combined_score"))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    fitted = fit()
    fitted.save(SCORE)
    logging.info("AUROC %.3f on answers left out, %d words, %d of them made up", fitted.auroc, fitted.words, fitted.made_up)
    for title, weight in fitted.ranking():
        logging.info("%6.2f  %s", weight, title)
