"""Scenes as the records of a study: as many as are asked for, made when their turn comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image

from world.captions import caption
from world.datasets import SceneStream
from world.rendering import render
from world.scenes import BIASED, UNBIASED
from world.training.pictures import dominant_object
from world.vocabulary import CATEGORIES


@dataclass(frozen=True, eq=False)
class SceneRecord:
    """A drawn scene and its truth, with the fields that a study reads."""

    key: str
    image: Image.Image
    label: str | None
    question: str | None
    answer: str | None
    objects: tuple[str, ...]
    names: tuple[str, ...] = CATEGORIES


@dataclass(frozen=True, eq=False)
class PendingScene:
    """A scene that is not drawn yet."""

    number: int
    key: str
    read: Callable[[], SceneRecord]


class Scenes:
    """Scenes of the small world by number: their label is the largest thing."""

    def __init__(self, count: int = 1000, seed: int = 2, biased: bool = False, size: int = 96, question: str = "") -> None:
        self.count, self.seed, self.size, self.question = count, seed, size, question or None
        self.biased = biased
        self.stream = SceneStream(seed, BIASED if biased else UNBIASED)

    def fingerprint(self) -> str:
        """Of what scenes are made from."""
        return f"scenes seed {self.seed}, {'biased' if self.biased else 'unbiased'}, {self.size} pixels, {self.count}"

    def chunks(self, size: int, limit: int | None) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Ranges of numbers."""
        count = self.count if limit is None else min(self.count, limit)
        for first in range(0, count, size):
            yield first, (first, min(first + size, count))

    def pending(self, first: int, items: tuple[Any, ...]) -> Iterator[PendingScene]:
        """The scenes of a range."""
        for number in range(*items):
            yield PendingScene(number, f"scene {number}", partial(self._read, number))

    def _read(self, number: int) -> SceneRecord:
        scene = self.stream[number]
        drawn = render(scene, self.size)
        label = scene.objects[dominant_object(scene, drawn)[0]].category
        return SceneRecord(
            f"scene {number}", Image.fromarray(drawn.image), label, self.question, caption(scene), tuple(sorted(scene.categories))
        )  # fmt: skip
