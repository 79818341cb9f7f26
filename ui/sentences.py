"""Plain sentences made of figures by rules: what a head does, what it is worth, and how it compares.

No language model: each sentence follows from the numbers given, and holds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LOOKS: Mapping[str, str] = {
    "class": "gives most of its attention to the class token",
    "register": "gives most of its attention to registers",
    "sink": "parks most of its attention on one patch, whatever asks",
    "self": "looks at the patch itself",
    "row": "looks along its row",
    "column": "looks along its column",
    "local": "looks at its direct neighbours",
    "content": "looks where the picture's content tells it to",
    "global": "looks everywhere alike",
}
MIXED: Mapping[str, str] = {
    "class": "to the class token", "register": "to registers", "sink": "to one patch whatever asks",
    "self": "to the patch itself", "diagonal": "along one fixed offset", "row": "along its row", "column": "along its column",
    "local": "to its direct neighbours", "content": "where the picture's content tells it to", "global": "everywhere alike",
}  # fmt: skip
"""The same as parts of a mix."""
_SMALL = 0.005
"""Changes of a probability below this are called none."""


def probability(value: float) -> str:
    """With two digits, and never a rounded 0 or 1 that is none."""
    if 0 < value < 0.005:
        return "below 0.01"
    return "above 0.99" if 0.995 <= value < 1 else f"{value:.2f}"


def share(value: float) -> str:
    """As a percentage for people."""
    return "less than 1 %" if 0 < value < 0.01 else f"{value:.0%}".replace("%", " %")


def offset(dy: int, dx: int) -> str:
    """Where one fixed offset leads: "1 patch up and 2 left"."""
    told = [(abs(dy), "up" if dy < 0 else "down"), (abs(dx), "left" if dx < 0 else "right")]
    told = [step for step in told if step[0]]
    if not told:
        return "on the patch itself"
    count, way = told[0]
    more = "".join(f" and {number} {where}" for number, where in told[1:])
    return f"{count} {'patch' if count == 1 else 'patches'} {way}{more}"


def looks(kind: str, parts: Sequence[str], place: tuple[int, int] = (0, 0), nearest: str = "") -> str:
    """What a head of this type looks at.

    Args:
        kind: a type of `analysis.head_types`.
        parts: what a hybrid is made of.
        place: the strongest offset, rows and columns.
        nearest: of an unclear head the type whose threshold it comes closest to.
    """
    if kind == "diagonal":
        return f"looks at the patch {offset(*place)}"
    if kind == "hybrid":
        named = [MIXED[part] for part in parts]
        return f"looks partly {', '.join(named[:-1])} and partly {named[-1]}"
    if kind == "unclear":
        closest = f", closest to one that {looks(nearest, (), place)}" if nearest else ""
        return f"is of no clear type{closest}"
    return LOOKS[kind]


def effect(name: str, before: float, after: float) -> str:
    """What becomes of a class's probability without the head."""
    if abs(after - before) < _SMALL:
        return f"removing it leaves “{name}” at {probability(before)}"
    verb = "lowers" if after < before else "raises"
    if probability(before) == probability(after):
        return f"removing it {verb} “{name}” by {abs(after - before):.3f}, from {before:.3f}"
    return f"removing it {verb} “{name}” from {probability(before)} to {probability(after)}"


def flip(before: str, after: str) -> str:
    """Whether the answer becomes another one."""
    return "" if before == after else f"; the answer turns from “{before}” to “{after}”"


def rank(place: int, of: int) -> str:
    """How high it stands among all heads."""
    best = place / of
    if best <= 0.25:
        return f"among the {max(round(best * 100), 1)} % most important"
    if place > of - max(1, of // 4):
        return f"among the {max(round((of - place + 1) / of * 100), 1)} % least important"
    return f"in the middle by importance (place {place} of {of})"


def passport(name: str, parts: Sequence[str]) -> str:
    """One sentence of parts that are there."""
    told = [part for part in parts if part]
    # A line must not end between a number and its sign.
    return f"{name} {'; '.join(told)}.".replace(" %", "\u00a0%")


def distance(pixels: float, width: int) -> str:
    """How far a head looks, as a share of the picture."""
    return f"{pixels:.0f} px on average, {share(pixels / width)} of the picture's width"
