"""The pictures that a fix is measured on: drawn scenes whose truth is known, or a folder annotated in COCO's format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analysis.evaluation.yes_no import Rule

if TYPE_CHECKING:
    from analysis.evaluation.pope import Kind

Source = Literal["scene", "biased", "coco"]
FIRST = 200
"""Scenes from this number on; those before it are offered to look at."""
DATA = {"scene": "scenes", "biased": "biased scenes", "coco": "annotated images"}


@dataclass(frozen=True)
class Wish:
    """Over what a fix is measured, and how it is asked."""

    source: Source = "scene"
    count: int = 24
    kind: Kind = "adversarial"
    """Which things that are not there are asked about."""
    pairs: int = 1
    """Questions about things that are there, and as many about things that are not, of each picture."""
    describe: str = "describe the picture."
    longest: int = 40
    longest_answer: int = 3
    rule: Rule = "official"
    annotations: str = ""
    folder: str = ""

    @property
    def data(self) -> str:
        """The pictures in words."""
        if self.source == "coco":
            return f"annotated images of {Path(self.annotations).name}"
        return f"{DATA[self.source]} ({self.source}:{FIRST} to {self.source}:{FIRST + self.count - 1})"


@dataclass(frozen=True, eq=False)
class Shown:
    """One picture: its pixels or its file, what is there, and what is asked."""

    name: str
    image: Any
    there: frozenset[str]
    questions: tuple[tuple[str, bool], ...]
    """(text, whether yes is right)."""


def pictures_of(wish: Wish) -> tuple[list[Shown], tuple[str, ...]]:
    """The pictures, and the names of all things that may be in them."""
    return _annotated(wish) if wish.source == "coco" else _scenes(wish)


def _scenes(wish: Wish) -> tuple[list[Shown], tuple[str, ...]]:
    from ui.pictures import picture
    from world.hallucination import pope_questions
    from world.vocabulary import CATEGORIES

    rng = np.random.default_rng(0)
    found = []
    for number in range(FIRST, FIRST + wish.count):
        shown = picture(f"{wish.source}:{number}")
        if shown.scene is None:
            raise ValueError(f"what is on a picture must be known. {shown.id} is no drawn scene.")
        asked = pope_questions(shown.scene, wish.kind, rng, pairs=wish.pairs)
        questions = tuple((question.text, question.answer == "yes") for question in asked)
        found.append(Shown(shown.id, shown.array, frozenset(shown.scene.categories), questions))
    return found, tuple(CATEGORIES)


def _annotated(wish: Wish) -> tuple[list[Shown], tuple[str, ...]]:
    from analysis.evaluation import names_of, pope_questions, read_coco
    from analysis.evaluation.chair import things_of

    data = read_coco(wish.annotations, wish.folder or None)
    asked, _ = pope_questions(data, wish.kind, wish.pairs, wish.count)
    names = names_of(data.categories)
    found: dict[str, Shown] = {}
    for question in asked:
        image = question.image
        before = found[image.name].questions if image.name in found else ()
        found[image.name] = Shown(image.name, image.file, things_of(image, names), (*before, (question.text, question.there)))
    return list(found.values()), data.categories
