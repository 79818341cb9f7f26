"""The colours of every picture: one accent per theme, scales whose equal steps look equal, ten colours for types.

Scales run through a few anchors in OKLCH, where the first number is the lightness that people see. Lightness alone orders
the sequential scale, so it survives colour blindness and grey printing. The browser's parts draw the same anchors.
"""

from __future__ import annotations

import math
from typing import Any

ACCENT = {"light": "#0b6e75", "dark": "#41b8bf"}
"""The primary colours of the two themes."""

ANCHORS: dict[str, Any] = {
    "space": "oklch: lightness 0 to 1, chroma, hue in degrees",
    "sequential": [
        [0.2, 0.07, 292], [0.36, 0.12, 275], [0.52, 0.11, 235], [0.66, 0.11, 185], [0.8, 0.15, 145], [0.94, 0.16, 108],
    ],
    "sequential_at": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
    "diverging": [
        [0.38, 0.12, 258], [0.55, 0.13, 252], [0.76, 0.08, 245], [0.97, 0.0, 245],
        [0.97, 0.0, 60], [0.81, 0.1, 65], [0.66, 0.15, 52], [0.48, 0.13, 42],
    ],
    "diverging_at": [0.0, 0.17, 0.34, 0.5, 0.5, 0.66, 0.83, 1.0],
}  # fmt: skip
"""Both scales as numbers that may be sent to the browser: zero is the first anchor, or the middle of the diverging one."""

CATEGORICAL = (
    "#0f68d0", "#f5660a", "#007a58", "#8f3d99", "#1f8fad", "#cc3370", "#ad8f7a", "#7a66eb", "#ad3d00", "#cc70e0",
)  # fmt: skip
"""Ten colours that stay apart for people who see no difference of red and green, and stand out on both backgrounds."""

SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "hexagon", "triangle-down", "pentagon")
"""Shapes of points that go with `CATEGORICAL`, so that colour is never alone."""

NEUTRAL = "#7c888d"
"""Lines of reference, whiskers, and what belongs to no type: readable on both backgrounds."""

FAINT = "rgba(124,136,141,0.22)"
"""Grids and bands of reference."""

TYPES = ("class", "register", "sink", "self", "diagonal", "row", "column", "local", "content", "global")
"""Types of heads in the order of `CATEGORICAL`."""

_STEPS = 64


def sequential(steps: int = _STEPS) -> list[str]:
    """Hex colours from zero to the most."""
    return _scale("sequential", steps)


def diverging(steps: int = _STEPS + 1) -> list[str]:
    """Hex colours from the most below zero to the most above; an odd number has zero in the middle."""
    return _scale("diverging", steps)


def plotly_scale(signed: bool = False) -> list[list[Any]]:
    """A colour scale as Plotly takes it."""
    colours = diverging() if signed else sequential()
    return [[n / (len(colours) - 1), colour] for n, colour in enumerate(colours)]


def colour_of(name: str) -> str:
    """The colour of a type of heads; grey for hybrids and unclear ones."""
    return CATEGORICAL[TYPES.index(name)] if name in TYPES else NEUTRAL


def category(number: int) -> str:
    """The colour of the n-th of several things; after ten they come again."""
    return CATEGORICAL[number % len(CATEGORICAL)]


def translucent(colour: str, opacity: float) -> str:
    """A hex colour that lets the picture below shine through."""
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def _scale(name: str, steps: int) -> list[str]:
    anchors = [_oklab(*anchor) for anchor in ANCHORS[name]]
    return [_between(anchors, ANCHORS[f"{name}_at"], n / (steps - 1)) for n in range(steps)]


def _between(anchors: list[tuple[float, float, float]], at: list[float], share: float) -> str:
    k = 0
    while k < len(at) - 2 and share > at[k + 1]:
        k += 1
    span = at[k + 1] - at[k]
    part = (share - at[k]) / span if span > 0 else 0.0
    return _hex(*(low + part * (high - low) for low, high in zip(anchors[k], anchors[k + 1], strict=True)))


def _oklab(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    turn = math.radians(hue)
    return lightness, chroma * math.cos(turn), chroma * math.sin(turn)


def _hex(lightness: float, a: float, b: float) -> str:
    """OKLab to sRGB, with Ottosson's published constants; what no screen shows is clipped."""
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.707614701 * short,
    )
    return "#" + "".join(f"{_byte(value):02x}" for value in linear)


def _byte(linear: float) -> int:
    value = min(1.0, max(0.0, linear))
    return round(255 * (12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055))
