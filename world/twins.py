"""Counterfactual twins: the same scene with one thing changed, and where its picture may differ."""

from dataclasses import replace

import numpy as np

from world.rendering import render
from world.scenes import Scene, SceneObject
from world.shapes import INSIDE
from world.vocabulary import BACKGROUNDS, COLOUR_VALUES


def _checked(scene: Scene, index: int) -> SceneObject:
    if not 0 <= index < len(scene.objects):
        raise ValueError(f"object {index} was asked for; the scene has objects 0 to {len(scene.objects) - 1}")
    return scene.objects[index]


def without(scene: Scene, index: int) -> Scene:
    """The scene with one object removed."""
    _checked(scene, index)
    return replace(scene, objects=scene.objects[:index] + scene.objects[index + 1 :])


def recoloured(scene: Scene, index: int, colour: str) -> Scene:
    """The scene with one object in another colour."""
    if colour not in COLOUR_VALUES:
        raise ValueError(f"{colour!r} is not a colour of the world; there are {', '.join(COLOUR_VALUES)}")
    _checked(scene, index)
    return scene.with_object(index, colour=colour)


def moved(scene: Scene, index: int, x: float, y: float) -> Scene:
    """The scene with one object elsewhere."""
    half = _checked(scene, index).size / 2
    if not (half <= x <= 1 - half and half <= y <= 1 - half):
        raise ValueError(f"an object of size {2 * half:.2f} has its centre in {half:.2f}..{1 - half:.2f}, got ({x}, {y})")
    return scene.with_object(index, x=x, y=y)


def on_background(scene: Scene, background: str) -> Scene:
    """The scene on another background."""
    if background not in BACKGROUNDS:
        raise ValueError(f"{background!r} is not a background of the world; there are {', '.join(BACKGROUNDS)}")
    return replace(scene, background=background)


def footprint(item: SceneObject, size: int) -> np.ndarray:
    """The pixels that an object touches at all when nothing hides it, bool [size, size]."""
    line = (np.arange(3 * size, dtype=np.float32) + 0.5) / (3 * size)
    inside = INSIDE[item.category](((line - item.x) * (2 / item.size))[None, :], ((line - item.y) * (2 / item.size))[:, None])
    # An outline is defined on its square only; some formulas hold outside it too.
    square = (np.abs(line - item.x) <= item.size / 2 + 1 / size)[None, :] & (np.abs(line - item.y) <= item.size / 2 + 1 / size)[
        :, None
    ]
    return (inside & square).reshape(size, 3, size, 3).any(axis=(1, 3))


def may_differ(scene: Scene, twin: Scene, size: int) -> np.ndarray:
    """Where the pictures of two twins are allowed to differ, bool [size, size]."""
    if scene.background != twin.background:
        # Everywhere but where an opaque object covers the pixel.
        return ~_opaque(scene, size)
    changed = (set(scene.objects) ^ set(twin.objects)) or set()
    allowed = np.zeros((size, size), dtype=bool)
    for item in changed:
        allowed |= footprint(item, size)
    return allowed


def _opaque(scene: Scene, size: int) -> np.ndarray:
    covered = np.zeros((size, size), dtype=bool)
    for item in scene.objects:
        if item.fade == 0.0:
            covered |= _fully_inside(item, size)
    return covered


def _fully_inside(item: SceneObject, size: int) -> np.ndarray:
    alone = Scene("sea", (item,), 0)
    drawn = render(alone, 3 * size).ids == 0
    return drawn.reshape(size, 3, size, 3).all(axis=(1, 3))
