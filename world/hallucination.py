"""What is asked of a scene to count what a model makes up, and which of the world's things a text names."""

import numpy as np

from analysis.evaluation import names
from world.questions import Question, existence_text
from world.scenes import Scene
from world.vocabulary import CATEGORIES, PARTNERS, background_of, plural

NAMES = {form: name for name in CATEGORIES for form in (name, plural(name))}
"""How the world's things may be called."""
POPE_KINDS = ("random", "popular", "adversarial")


def mentioned(text: str) -> tuple[str, ...]:
    """The categories that a text names, each once, in order.

    >>> mentioned("two boats, a red boat and a star.")
    ('boat', 'star')
    """
    return tuple(dict.fromkeys(word.name for word in names.mentioned(text, NAMES)))


def _absent(scene: Scene, kind: str, rng: np.random.Generator) -> str:
    missing = [name for name in CATEGORIES if name not in scene.categories]
    if kind == "random":
        return missing[int(rng.integers(len(missing)))]
    partners = [PARTNERS[item.category] for item in scene.objects]
    at_home = [background_of(name) == scene.background for name in missing]
    # What the training scenes would have led one to expect here: partners first, then the background's own.
    expected = [2 * (name in partners) + home for name, home in zip(missing, at_home, strict=True)]
    if kind == "popular":
        expected = [int(home) for home in at_home]
    best = [name for name, score in zip(missing, expected, strict=True) if score == max(expected)]
    return best[int(rng.integers(len(best)))]


def pope_questions(scene: Scene, kind: str, rng: np.random.Generator, pairs: int = 3) -> list[Question]:
    """Up to `pairs` questions about things that are there and as many about things that are not.

    Args:
        scene: what is asked about.
        kind: random, popular (at home on this background) or adversarial (most expected here).
        rng: the source of chance.
        pairs: how many of each.
    """
    if kind not in POPE_KINDS:
        raise ValueError(f"{kind!r} is not a kind of POPE question; there are {', '.join(POPE_KINDS)}")
    there = sorted(scene.categories)
    chosen = [there[i] for i in rng.permutation(len(there))[:pairs]]
    asked = [Question("existence", existence_text(name), "yes", (name,)) for name in chosen]
    absent: dict[str, None] = {}
    for _ in range(20):
        if len(absent) == len(chosen):
            break
        absent[_absent(scene, kind, rng)] = None
    return asked + [Question("existence", existence_text(name), "no", (name,)) for name in absent]
