"""One picture with what is asked of a method, and all that one run on it shows, so that methods share it."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image

import model_adapters as ma
from analysis.importance_exact import effects
from world.captions import article
from world.questions import existence_text
from world.rendering import render
from world.scenes import Scene
from world.training.pictures import dominant_object, patch_coverage
from world.vocabulary import CATEGORIES

SIZE, PATCH = 96, 8
GRID = SIZE // PATCH
CAPTIONS = tuple(f"there is {article(name)} {name}." for name in CATEGORIES)
"""What a dual encoder chooses from."""
EVERYTHING = ("hidden", "values", "queries", "heads", "gradients")


@dataclass(frozen=True, eq=False)
class Case:
    """One picture with what is asked of a method.

    Attributes:
        model: the model under study.
        scene: what the picture shows.
        image: the picture.
        target: the category that is explained.
        seed: for methods that need chance; differs from case to case and from twin to twin.
    """

    model: ma.Model
    scene: Scene
    image: Image.Image
    target: str
    seed: int

    @property
    def label(self) -> int:
        """The number of the target among the classes."""
        return CATEGORIES.index(self.target)

    @cached_property
    def inputs(self) -> ma.Inputs:
        """The picture as the model receives it."""
        return self.model.prepare(image=self.image)

    @cached_property
    def subject(self) -> Any:
        """The model looking at the picture, as `analysis.explain` takes it; its captures serve all methods."""
        text = {"vit": None, "dual": list(CAPTIONS), "lvlm": existence_text(self.target)}[self.model.kind]
        return ma.subject(self.model, self.image, text)

    @property
    def aim(self) -> int:
        """What is explained: the target's class or caption; of an LVLM the word "yes" to the question whether it is there."""
        if self.model.kind != "lvlm":
            return self.label
        return int(self.model.processor.tokenizer.convert_tokens_to_ids("yes"))

    @cached_property
    def seen(self) -> ma.Capture:
        """All that one run shows, with gradients of the log-probability of the target."""
        return ma.capture(self.model, self.inputs, want=EVERYTHING, target=self._log_probability)

    @cached_property
    def scored(self) -> ma.Capture:
        """The same with gradients of the target's score before the softmax."""
        return self.subject.capture(frozenset(EVERYTHING), self.label)

    @cached_property
    def whole(self) -> ma.Capture:
        """All tokens, with what token reduction reads; no gradients."""
        return ma.capture(self.model, self.inputs, want=("hidden", "values", "queries"))

    @cached_property
    def ablated(self) -> ma.Ablation:
        """The answers with each head silenced in turn."""
        return ma.ablate(self.model, self.inputs)

    @cached_property
    def mask(self) -> np.ndarray:
        """Bool [SIZE, SIZE]: where an object of the target's category is seen."""
        same = [i for i, item in enumerate(self.scene.objects) if item.category == self.target]
        return np.isin(render(self.scene, SIZE).ids, same)

    def effects(self, measure: Any) -> np.ndarray:
        """[L, H]: what silencing each head does to the answer."""
        return effects(self.ablated, np.array([self.label]), measure=measure)[0]

    def asked(self, target: str) -> "Case":
        """The same picture, asked about another category."""
        other = replace(self, target=target)
        if "subject" in self.__dict__ and self.model.kind != "lvlm":
            other.__dict__["subject"] = self.subject
        return other

    def _log_probability(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.float().log_softmax(-1)[:, self.label].sum()


def make_case(model: ma.Model, scene: Scene, target: str, seed: int) -> Case:
    """A case with its picture drawn."""
    return Case(model, scene, Image.fromarray(render(scene, SIZE).image), target, seed)


def target_of(scene: Scene) -> int:
    """The object that is explained: the one seen most."""
    return dominant_object(scene, render(scene, SIZE))[0]


def case_of(model: ma.Model, scene: Scene, number: int) -> Case:
    """The case about a scene's dominant object."""
    return make_case(model, scene, scene.objects[target_of(scene)].category, number)


def cells_covered(scene: Scene, category: str) -> np.ndarray:
    """[GRID, GRID]: the share of each cell that objects of a category fill."""
    same = [i for i, item in enumerate(scene.objects) if item.category == category]
    coverage = patch_coverage(render(scene, SIZE).ids, PATCH, len(scene.objects))
    return coverage[same].sum(axis=0).reshape(GRID, GRID)
