"""What a scene holds, apart from how it is drawn, and how scenes are sampled."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from world.vocabulary import (
    BACKGROUND_CATEGORIES,
    BACKGROUNDS,
    CATEGORIES,
    COLOURS,
    PARTNERS,
    PREFERRED_COLOURS,
    PREFERS_UPPER_HALF,
    TEXTURES,
)


@dataclass(frozen=True)
class SceneObject:
    """One thing in a scene; lengths are fractions of the picture's side, (x, y) is its centre, y points down."""

    category: str
    colour: str
    texture: str
    size: float
    x: float
    y: float
    fade: float = 0.0


@dataclass(frozen=True)
class Scene:
    """Objects from back to front on a background; `detail` seeds the background's pattern and the noise."""

    background: str
    objects: tuple[SceneObject, ...]
    detail: int

    @property
    def categories(self) -> frozenset[str]:
        """The categories that are there."""
        return frozenset(item.category for item in self.objects)

    def with_object(self, index: int, **changes: Any) -> "Scene":
        """The same scene with one object changed."""
        items = list(self.objects)
        items[index] = replace(items[index], **changes)
        return replace(self, objects=tuple(items))


@dataclass(frozen=True)
class Bias:
    """Knobs, each the probability that a sampled property follows its stereotype instead of chance.

    Attributes:
        background: an object is one of the three categories of its background.
        partner: a second object is the partner of the first (boat and fish, tree and house, ...).
        colour: an object has the preferred colour of its category.
        place: an object lies in the half of the picture its category prefers.
    """

    background: float = 0.8
    partner: float = 0.8
    colour: float = 0.6
    place: float = 0.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"bias {name!r} is a probability, got {value}; give a number between 0 and 1")


BIASED = Bias()
UNBIASED = Bias(0.0, 0.0, 0.0, 0.0)
_COUNTS = (1, 2, 3, 4, 5)
_COUNT_STEPS = np.cumsum((0.10, 0.25, 0.30, 0.22, 0.13))


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.random() * len(options))]


def _category(rng: np.random.Generator, background: str, bias: Bias, before: list[str]) -> str:
    if len(before) == 1 and rng.random() < bias.partner:
        return PARTNERS[before[0]]
    if rng.random() < bias.background:
        return _pick(rng, BACKGROUND_CATEGORIES[background])
    return _pick(rng, CATEGORIES)


def _place(rng: np.random.Generator, category: str, size: float, bias: Bias) -> tuple[float, float]:
    margin = size / 2 + 0.01
    x, y = margin + rng.random(2) * (1 - 2 * margin)
    if rng.random() < bias.place and (y < 0.5) != PREFERS_UPPER_HALF[category]:
        y = 1.0 - y
    return float(x), float(y)


def _crowded(x: float, y: float, size: float, others: list[SceneObject]) -> bool:
    # Neighbours may overlap by about a third, so that something of each object stays visible.
    return any(max(abs(x - o.x), abs(y - o.y)) < 0.36 * (size + o.size) for o in others)


def _object(rng: np.random.Generator, category: str, bias: Bias, others: list[SceneObject]) -> SceneObject | None:
    subject = not others
    colour = PREFERRED_COLOURS[category] if rng.random() < bias.colour else _pick(rng, COLOURS)
    texture = _pick(rng, TEXTURES)
    size = 0.30 + 0.16 * rng.random() if subject else 0.17 + 0.15 * rng.random()
    fade = 0.0 if subject or rng.random() < 0.6 else 0.1 + 0.45 * rng.random()
    for _ in range(12):
        x, y = _place(rng, category, size, bias)
        if not _crowded(x, y, size, others):
            return SceneObject(category, colour, texture, float(size), x, y, float(fade))
        size = max(0.17, size * 0.95)
    return None


def sample_scene(rng: np.random.Generator, bias: Bias = UNBIASED) -> Scene:
    """Draw a scene: its background first, then its objects, the first of which is the largest."""
    background = _pick(rng, BACKGROUNDS)
    wanted = _COUNTS[min(int(np.searchsorted(_COUNT_STEPS, rng.random())), len(_COUNTS) - 1)]
    objects: list[SceneObject] = []
    for _ in range(wanted):
        category = _category(rng, background, bias, [item.category for item in objects])
        item = _object(rng, category, bias, objects)
        if item is not None:
            objects.append(item)
    order = rng.permutation(len(objects))
    return Scene(background, tuple(objects[i] for i in order), int(rng.integers(2**31)))
