"""The outlines once more, point by point and from other formulas: polygons by the even-odd rule, discs by distance."""

import math

Point = tuple[float, float]


def _polygon(corners: list[Point], u: float, v: float) -> bool:
    inside = False
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
        if (y1 > v) != (y2 > v) and u < x1 + (v - y1) * (x2 - x1) / (y2 - y1):
            inside = not inside
    return inside


def _disc(u: float, v: float, x: float, y: float, squared: float) -> bool:
    return math.dist((u, v), (x, y)) < math.sqrt(squared)


def _star_corners() -> list[Point]:
    radii = [1.0, 0.42] * 5
    return [(r * math.sin(k * math.pi / 5), -r * math.cos(k * math.pi / 5)) for k, r in enumerate(radii)]


_HULL = [(1.22 - 0.75 * 0.3, 0.3), (1.22 - 0.75 * 0.85, 0.85), (-1.22 + 0.75 * 0.85, 0.85), (-1.22 + 0.75 * 0.3, 0.3)]
_SAIL_TIP = -0.95
_CROSS = [(-0.3, -0.95), (0.3, -0.95), (0.3, 0.95), (-0.3, 0.95)]


def _boat(u: float, v: float) -> bool:
    sail = [(-0.08, _SAIL_TIP), (0.0, _SAIL_TIP), (0.62 * 1.15, 0.2), (-0.08, 0.2)]
    mast = [(-0.15, -0.95), (-0.01, -0.95), (-0.01, 0.4), (-0.15, 0.4)]
    return _polygon(_HULL, u, v) or _polygon(sail, u, v) or _polygon(mast, u, v)


def _fish(u: float, v: float) -> bool:
    body = math.hypot((u + 0.25) / 0.72, v / 0.5) < 1
    tail = [(0.3, -0.085), (0.97, -0.6545), (0.97, 0.6545), (0.3, 0.085)]
    return body or _polygon(tail, u, v)


def _house(u: float, v: float) -> bool:
    walls = [(-0.66, -0.05), (0.66, -0.05), (0.66, 0.9), (-0.66, 0.9)]
    door = [(-0.2, 0.35), (0.2, 0.35), (0.2, 0.9), (-0.2, 0.9)]
    roof = [(0.0, -0.95), (0.9 * 1.07, -0.05), (-0.9 * 1.07, -0.05)]
    return (_polygon(walls, u, v) and not _polygon(door, u, v)) or _polygon(roof, u, v)


def _cross(u: float, v: float) -> bool:
    return _polygon(_CROSS, u, v) or _polygon(_CROSS, v, u)


def _heart(u: float, v: float) -> bool:
    x, y = 1.18 * u, 0.16 - 1.12 * v
    return (x**2 + y**2 - 1) ** 3 - x**2 * y**3 < 0


def _tree(u: float, v: float) -> bool:
    trunk = [(-0.17, 0.0), (0.17, 0.0), (0.17, 0.97), (-0.17, 0.97)]
    return _disc(u, v, 0, -0.32, 0.42) or _polygon(trunk, u, v)


SLOWLY_INSIDE = {
    "ball": lambda u, v: _disc(u, v, 0, 0, 0.9),
    "ring": lambda u, v: _disc(u, v, 0, 0, 0.96) and not _disc(u, v, 0, 0, 0.27),
    "box": lambda u, v: _polygon([(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)], u, v),
    "cone": lambda u, v: _polygon([(0, -0.95), (0.888, 0.9), (-0.888, 0.9)], u, v),
    "moon": lambda u, v: _disc(u, v, 0, 0, 0.95) and not _disc(u, v, 0.5, -0.12, 0.58),
    "star": lambda u, v: _polygon(_star_corners(), u, v),
    "boat": _boat, "fish": _fish, "house": _house, "cross": _cross, "heart": _heart, "tree": _tree,
}  # fmt: skip
