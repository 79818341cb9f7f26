"""The things a scene can hold, and the words for them."""

from types import MappingProxyType

BACKGROUND_CATEGORIES = MappingProxyType(
    {
        "sea": ("boat", "fish", "ring"),
        "field": ("tree", "house", "heart"),
        "city": ("box", "ball", "cone"),
        "night": ("moon", "star", "cross"),
    }
)
BACKGROUNDS: tuple[str, ...] = tuple(BACKGROUND_CATEGORIES)
CATEGORIES: tuple[str, ...] = tuple(name for group in BACKGROUND_CATEGORIES.values() for name in group)
TEXTURES: tuple[str, ...] = ("plain", "striped", "dotted")

COLOUR_VALUES = MappingProxyType(
    {
        "red": (0.86, 0.13, 0.13),
        "orange": (0.98, 0.56, 0.08),
        "yellow": (0.97, 0.90, 0.20),
        "green": (0.10, 0.72, 0.22),
        "blue": (0.12, 0.25, 0.92),
        "purple": (0.55, 0.16, 0.76),
        "pink": (0.98, 0.52, 0.76),
        "white": (0.97, 0.97, 0.97),
    }
)
COLOURS: tuple[str, ...] = tuple(COLOUR_VALUES)

# In a biased scene the first of a pair brings the second along.
PARTNERS = MappingProxyType(
    {"boat": "fish", "fish": "boat", "tree": "house", "house": "tree", "box": "ball", "ball": "box"}
    | {"moon": "star", "star": "moon", "ring": "boat", "heart": "tree", "cone": "box", "cross": "moon"}
)
PREFERRED_COLOURS = MappingProxyType(
    {"boat": "red", "fish": "orange", "ring": "white", "tree": "green", "house": "red", "heart": "pink"}
    | {"box": "blue", "ball": "yellow", "cone": "orange", "moon": "yellow", "star": "white", "cross": "purple"}
)
# True where a biased scene prefers the upper half of the picture.
PREFERS_UPPER_HALF = MappingProxyType({name: name in {"moon", "star", "heart", "ball", "tree", "cross"} for name in CATEGORIES})


def background_of(category: str) -> str:
    """The background a category belongs to.

    >>> background_of("fish")
    'sea'
    """
    return next(name for name, group in BACKGROUND_CATEGORIES.items() if category in group)


def plural(category: str) -> str:
    """The plural that questions about counts use.

    >>> plural("box"), plural("fish"), plural("tree")
    ('boxes', 'fish', 'trees')
    """
    if category == "fish":
        return "fish"
    return category + ("es" if category.endswith(("x", "s")) else "s")
