"""Twins differ only where they should, and they do differ there."""

import numpy as np
import pytest

from world.datasets import TEST_UNBIASED
from world.rendering import render
from world.scenes import Scene
from world.twins import footprint, may_differ, moved, on_background, recoloured, without
from world.vocabulary import BACKGROUNDS, COLOURS

SCENES = TEST_UNBIASED.take(25)


def _twins(scene: Scene) -> dict[str, Scene]:
    item = scene.objects[0]
    other = COLOURS[(COLOURS.index(item.colour) + 1) % len(COLOURS)]
    elsewhere = BACKGROUNDS[(BACKGROUNDS.index(scene.background) + 1) % len(BACKGROUNDS)]
    return {
        "without": without(scene, 0),
        "recoloured": recoloured(scene, 0, other),
        "moved": moved(scene, 0, 1 - item.x, 1 - item.y),
        "on_background": on_background(scene, elsewhere),
    }


@pytest.mark.parametrize("kind", ["without", "recoloured", "moved", "on_background"])
@pytest.mark.parametrize("size", [96, 131])
def test_pictures_differ_only_where_they_may(kind: str, size: int) -> None:
    for scene in SCENES:
        twin = _twins(scene)[kind]
        differs = (render(scene, size).image != render(twin, size).image).any(axis=2)
        allowed = may_differ(scene, twin, size)
        assert not (differs & ~allowed).any()
        assert differs.sum() > 0.2 * allowed.sum() or scene.objects[0].fade > 0.3 or len(scene.objects) > 1


def test_the_allowed_region_is_not_the_whole_picture() -> None:
    shares = [may_differ(scene, without(scene, 0), 96).mean() for scene in SCENES]
    assert max(shares) < 0.3


def test_footprint_holds_the_mask() -> None:
    for scene in SCENES:
        drawn = render(scene, 96)
        for index, item in enumerate(scene.objects):
            assert not (drawn.mask(index) & ~footprint(item, 96)).any()


def test_other_objects_keep_their_masks() -> None:
    scene = next(s for s in SCENES if len(s.objects) == 3)
    before, after = render(scene, 96), render(without(scene, 2), 96)
    for index in (0, 1):
        assert not (before.mask(index) & ~after.mask(index)).any()
    assert not np.array_equal(before.ids, after.ids)


def test_impossible_twins_are_refused() -> None:
    with pytest.raises(ValueError, match="object 9 was asked for"):
        without(SCENES[0], 9)
    with pytest.raises(ValueError, match="'mauve' is not a colour"):
        recoloured(SCENES[0], 0, "mauve")
    with pytest.raises(ValueError, match="has its centre in"):
        moved(SCENES[0], 0, 1.2, 0.5)
    with pytest.raises(ValueError, match="'moor' is not a background"):
        on_background(SCENES[0], "moor")
