"""The outline of each category: which points of the square [-1, 1] x [-1, 1] lie inside (v points down)."""

from collections.abc import Callable

import numpy as np

Coordinates = np.ndarray


def _ball(u: Coordinates, v: Coordinates) -> np.ndarray:
    return u * u + v * v < 0.9


def _ring(u: Coordinates, v: Coordinates) -> np.ndarray:
    squared = u * u + v * v
    return (squared < 0.96) & (squared > 0.27)


def _box(u: Coordinates, v: Coordinates) -> np.ndarray:
    return (np.abs(u) < 0.85) & (np.abs(v) < 0.85)


def _cone(u: Coordinates, v: Coordinates) -> np.ndarray:
    return (np.abs(u) < (v + 0.95) * 0.48) & (v < 0.9)


def _heart(u: Coordinates, v: Coordinates) -> np.ndarray:
    x, y = u * 1.18, 0.16 - v * 1.12
    body = x * x + y * y - 1.0
    return body * body * body < x * x * y * y * y


def _star(u: Coordinates, v: Coordinates) -> np.ndarray:
    angle = np.arctan2(u, -v)
    # Fold the plane into one of five points; the edge between tip and notch is a straight line.
    folded = np.abs((angle + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
    radius = np.hypot(u, v)
    along, across = radius * np.cos(folded), radius * np.sin(folded)
    notch_along, notch_across = 0.42 * np.cos(np.pi / 5), 0.42 * np.sin(np.pi / 5)
    return (1.0 - along) * notch_across > across * (1.0 - notch_along)


def _cross(u: Coordinates, v: Coordinates) -> np.ndarray:
    across, down = np.abs(u), np.abs(v)
    return (np.minimum(across, down) < 0.3) & (np.maximum(across, down) < 0.95)


def _moon(u: Coordinates, v: Coordinates) -> np.ndarray:
    return (u * u + v * v < 0.95) & ((u - 0.5) ** 2 + (v + 0.12) ** 2 > 0.58)


def _boat(u: Coordinates, v: Coordinates) -> np.ndarray:
    hull = (v > 0.3) & (v < 0.85) & (np.abs(u) < 1.22 - 0.75 * v)
    sail = (v > -0.95) & (v < 0.2) & (u > -0.08) & (u < 0.62 * (v + 0.95))
    return hull | sail | ((np.abs(u + 0.08) < 0.07) & (v > -0.95) & (v < 0.4))


def _fish(u: Coordinates, v: Coordinates) -> np.ndarray:
    body = ((u + 0.25) / 0.72) ** 2 + (v / 0.5) ** 2 < 1.0
    tail = (u > 0.3) & (u < 0.97) & (np.abs(v) < (u - 0.2) * 0.85)
    return body | tail


def _tree(u: Coordinates, v: Coordinates) -> np.ndarray:
    crown = u * u + (v + 0.32) ** 2 < 0.42
    return crown | ((np.abs(u) < 0.17) & (v > 0.0) & (v < 0.97))


def _house(u: Coordinates, v: Coordinates) -> np.ndarray:
    walls = (np.abs(u) < 0.66) & (v > -0.05) & (v < 0.9)
    door = (np.abs(u) < 0.2) & (v > 0.35)
    roof = (v > -0.95) & (v <= -0.05) & (np.abs(u) < (v + 0.95) * 1.07)
    return (walls & ~door) | roof


INSIDE: dict[str, Callable[[Coordinates, Coordinates], np.ndarray]] = {
    "ball": _ball, "ring": _ring, "box": _box, "cone": _cone, "heart": _heart, "star": _star,
    "cross": _cross, "moon": _moon, "boat": _boat, "fish": _fish, "tree": _tree, "house": _house,
}  # fmt: skip
