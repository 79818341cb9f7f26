"""Pictures and masks: the same bytes for the same scene, and masks as an independent slow rendering has them."""

import numpy as np
import pytest

from tests.world.slow_outlines import SLOWLY_INSIDE
from world.datasets import TEST_UNBIASED
from world.rendering import render
from world.scenes import Scene, SceneObject
from world.vocabulary import CATEGORIES


def _slow_ids(scene: Scene, size: int, jitter: float = 0.0) -> np.ndarray:
    ids = np.full((size, size), -1)
    for row in range(size):
        for column in range(size):
            for index, item in enumerate(scene.objects):
                u = ((column + 0.5) / size - item.x) * 2 / item.size + jitter
                v = ((row + 0.5) / size - item.y) * 2 / item.size + jitter
                if SLOWLY_INSIDE[item.category](u, v):
                    ids[row, column] = index
    return ids


def _decided(scene: Scene, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The slow rendering, and where it does not hang on the last digit."""
    ids = _slow_ids(scene, size)
    return ids, (ids == _slow_ids(scene, size, 1e-5)) & (ids == _slow_ids(scene, size, -1e-5))


@pytest.mark.parametrize("category", CATEGORIES)
def test_outline_equals_slow_rendering(category: str) -> None:
    scene = Scene("sea", (SceneObject(category, "red", "plain", 0.83, 0.4913, 0.5127),), 1)
    slow, sure = _decided(scene, 64)
    assert sure.mean() > 0.99
    assert np.array_equal(render(scene, 64).ids[sure], slow[sure])


@pytest.mark.parametrize("index", range(4))
def test_masks_with_occlusion_equal_slow_rendering(index: int) -> None:
    slow, sure = _decided(TEST_UNBIASED[index], 56)
    assert np.array_equal(render(TEST_UNBIASED[index], 56).ids[sure], slow[sure])


def test_same_scene_same_bytes() -> None:
    first, second = render(TEST_UNBIASED[3], 96), render(TEST_UNBIASED[3], 96)
    assert first.image.tobytes() == second.image.tobytes()
    assert first.ids.tobytes() == second.ids.tobytes()


def test_another_scene_has_another_picture() -> None:
    assert not np.array_equal(render(TEST_UNBIASED[3]).image, render(TEST_UNBIASED[4]).image)


def test_large_and_small_pictures_show_the_same() -> None:
    scene = TEST_UNBIASED[5]
    small = render(scene, 96).image.astype(float)
    large = render(scene, 384).image.reshape(96, 4, 96, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - large).mean() < 8
    assert np.abs(small - np.roll(large, 12, axis=0)).mean() > 10


def test_boxes_enclose_masks_tightly() -> None:
    for scene in TEST_UNBIASED.take(30):
        drawn = render(scene)
        for index in range(len(scene.objects)):
            left, top, right, bottom = drawn.box(index)
            mask = drawn.mask(index)
            assert mask[top:bottom, left:right].sum() == mask.sum() > 0
            assert mask[top].any() and mask[bottom - 1].any() and mask[:, left].any() and mask[:, right - 1].any()


def test_an_object_that_is_not_there_has_no_box() -> None:
    assert render(TEST_UNBIASED[0]).box(99) is None


def test_areas_count_visible_pixels() -> None:
    drawn = render(TEST_UNBIASED[2])
    count = len(TEST_UNBIASED[2].objects)
    assert drawn.areas(count).tolist() == [int(drawn.mask(index).sum()) for index in range(count)]
