"""Questions about a scene, with the right answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from world.captions import article, caption
from world.scenes import Scene, SceneObject
from world.vocabulary import CATEGORIES, COLOURS, plural

NUMBERS = ("zero", "one", "two", "three", "four", "five")
CAPTION_PROMPTS = ("describe the picture.", "describe the image.", "what do you see?", "what is in the picture?")
_EXISTENCE: tuple[str, ...] = ("is there {a} {thing}?", "is there {a} {thing} in the picture?", "do you see {a} {thing}?")
_EXISTENCE += ("is there {a} {thing} in the image?", "can you see {a} {thing}?")
_CLEARLY_APART = 0.1  # of the picture's side


@dataclass(frozen=True)
class Question:
    """A question with its answer.

    Attributes:
        kind: caption, existence, attribute, colour, place, count, relation or scene.
        text: what is asked.
        answer: the right answer.
        categories: the categories that it is about.
    """

    kind: str
    text: str
    answer: str
    categories: tuple[str, ...] = ()


def existence_text(thing: str, template: int = 0) -> str:
    """Ask whether `thing` is there.

    >>> existence_text("red ball")
    'is there a red ball?'
    """
    return _EXISTENCE[template].format(a=article(thing), thing=thing)


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _only_of_its_kind(scene: Scene) -> list[SceneObject]:
    names = [item.category for item in scene.objects]
    return [item for item in scene.objects if names.count(item.category) == 1]


def ask_caption(scene: Scene, rng: np.random.Generator) -> Question:
    """Ask for the caption."""
    return Question("caption", _pick(rng, CAPTION_PROMPTS), caption(scene), tuple(sorted(scene.categories)))


def ask_existence(scene: Scene, rng: np.random.Generator) -> Question:
    """Ask for a category; half of the answers are yes, and the absent ones are drawn by chance."""
    there = rng.random() < 0.5
    options = sorted(scene.categories) if there else [name for name in CATEGORIES if name not in scene.categories]
    category = _pick(rng, options)
    text = existence_text(category, int(rng.integers(len(_EXISTENCE))))
    return Question("existence", text, "yes" if there else "no", (category,))


def ask_attribute(scene: Scene, rng: np.random.Generator) -> Question:
    """Ask for a category in a colour; most wrong ones name a thing that is there in another colour."""
    pairs = {(item.colour, item.category) for item in scene.objects}
    colour, category = sorted(pairs)[int(rng.integers(len(pairs)))]
    there = rng.random() < 0.5
    if not there:
        category = category if rng.random() < 0.7 else _pick(rng, CATEGORIES)
        colour = _pick(rng, [name for name in COLOURS if (name, category) not in pairs])
    text = existence_text(f"{colour} {category}", int(rng.integers(len(_EXISTENCE))))
    return Question("attribute", text, "yes" if there else "no", (category,))


def ask_colour(scene: Scene, rng: np.random.Generator) -> Question | None:
    """Ask for the colour of the only object of its category."""
    items = _only_of_its_kind(scene)
    if not items:
        return None
    item = items[int(rng.integers(len(items)))]
    word = "colour" if rng.random() < 0.5 else "color"
    return Question("colour", f"what {word} is the {item.category}?", item.colour, (item.category,))


def ask_place(scene: Scene, rng: np.random.Generator) -> Question | None:
    """Ask where an object is: left or right, at the top or at the bottom."""
    items = [i for i in _only_of_its_kind(scene) if min(abs(i.x - 0.5), abs(i.y - 0.5)) > _CLEARLY_APART / 2]
    if not items:
        return None
    item = items[int(rng.integers(len(items)))]
    answer = f"{'top' if item.y < 0.5 else 'bottom'} {'left' if item.x < 0.5 else 'right'}"
    return Question("place", f"where is the {item.category}?", answer, (item.category,))


def ask_count(scene: Scene, rng: np.random.Generator) -> Question:
    """Ask how many of a category there are, mostly of one that is there."""
    category = _pick(rng, sorted(scene.categories) if rng.random() < 0.75 else CATEGORIES)
    number = sum(item.category == category for item in scene.objects)
    return Question("count", f"how many {plural(category)} are there?", NUMBERS[number], (category,))


def ask_relation(scene: Scene, rng: np.random.Generator) -> Question | None:
    """Ask whether one object is left of, right of, above or below another."""
    items = _only_of_its_kind(scene)
    if len(items) < 2:
        return None
    first, second = (items[i] for i in rng.permutation(len(items))[:2])
    relation = _pick(rng, ("left of", "right of", "above", "below"))
    gap = first.x - second.x if relation in ("left of", "right of") else first.y - second.y
    if abs(gap) < _CLEARLY_APART:
        return None
    holds = gap < 0 if relation in ("left of", "above") else gap > 0
    text = f"is the {first.category} {relation} the {second.category}?"
    return Question("relation", text, "yes" if holds else "no", (first.category, second.category))


def ask_scene(scene: Scene, rng: np.random.Generator) -> Question:
    """Ask for the background."""
    return Question("scene", _pick(rng, ("what is the background?", "what place is this?")), scene.background)


ASKING: dict[str, Callable[[Scene, np.random.Generator], Question | None]] = {
    "caption": ask_caption, "existence": ask_existence, "attribute": ask_attribute, "colour": ask_colour,
    "place": ask_place, "count": ask_count, "relation": ask_relation, "scene": ask_scene,
}  # fmt: skip


def ask(scene: Scene, kinds: Sequence[str], rng: np.random.Generator) -> list[Question]:
    """One question of each kind named; kinds that this scene does not allow are left out."""
    unknown = [kind for kind in kinds if kind not in ASKING]
    if unknown:
        raise ValueError(f"unknown kinds of question {unknown}; there are {list(ASKING)}")
    asked = (ASKING[kind](scene, rng) for kind in kinds)
    return [question for question in asked if question is not None]
