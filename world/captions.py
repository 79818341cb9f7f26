"""Say what is in a scene."""

from world.scenes import Scene
from world.vocabulary import BACKGROUNDS

SCENE_PHRASES = {"sea": "the sea", "field": "a field", "city": "a city", "night": "the night"}
assert tuple(SCENE_PHRASES) == BACKGROUNDS


def article(word: str) -> str:
    """The indefinite article of a word.

    >>> article("orange"), article("red")
    ('an', 'a')
    """
    return "an" if word[0] in "aeiou" else "a"


def listed(phrases: list[str]) -> str:
    """Join phrases as English does.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " and " + phrases[-1]


def caption(scene: Scene) -> str:
    """Background first, then every kind of object once, from large to small."""
    ordered = sorted(scene.objects, key=lambda item: -item.size)
    kinds = dict.fromkeys((item.colour, item.category) for item in ordered)
    phrases = [f"{article(colour)} {colour} {category}" for colour, category in kinds]
    return f"a picture of {SCENE_PHRASES[scene.background]} with {listed(phrases)}."
