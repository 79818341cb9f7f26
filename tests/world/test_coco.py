"""The exported folder loads back to what was drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from world.captions import caption
from world.coco import export_coco, from_run_lengths, run_lengths
from world.datasets import TEST_UNBIASED
from world.rendering import render

SCENES = TEST_UNBIASED.take(6)
SIZE = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("coco")
    export_coco(SCENES, path, size=SIZE)
    return path


def test_pictures_and_instances_load_back(folder: Path) -> None:
    document = json.loads((folder / "annotations.json").read_text())
    names = {entry["id"]: entry["name"] for entry in document["categories"]}
    for image, scene in zip(document["images"], SCENES, strict=True):
        drawn = render(scene, SIZE)
        assert np.array_equal(np.asarray(Image.open(folder / "images" / image["file_name"])), drawn.image)
        own = [entry for entry in document["annotations"] if entry["image_id"] == image["id"]]
        assert [names[entry["category_id"]] for entry in own] == [item.category for item in scene.objects]
        for index, entry in enumerate(own):
            mask = from_run_lengths(entry["segmentation"])
            left, top, width, height = entry["bbox"]
            assert np.array_equal(mask, drawn.mask(index))
            assert mask.sum() == entry["area"] == mask[top : top + height, left : left + width].sum()


def test_captions_and_ids(folder: Path) -> None:
    document = json.loads((folder / "annotations.json").read_text())
    assert [entry["caption"] for entry in document["captions"]] == [caption(scene) for scene in SCENES]
    ids = [entry["id"] for entry in document["annotations"]]
    assert len(set(ids)) == len(ids) == sum(len(scene.objects) for scene in SCENES)


@pytest.mark.parametrize("kind", ["random", "popular", "adversarial"])
def test_pope_lines_are_true(folder: Path, kind: str) -> None:
    lines = [json.loads(line) for line in (folder / f"pope_{kind}.jsonl").read_text().splitlines()]
    assert {line["label"] for line in lines} == {"yes", "no"}
    for line in lines:
        scene = SCENES[int(line["image"][:6]) - 1]
        asked = any(f" {name}" in line["text"] for name in scene.categories)
        assert asked == (line["label"] == "yes")


def test_the_same_export_twice_is_the_same(folder: Path, tmp_path: Path) -> None:
    again = export_coco(SCENES, tmp_path, size=SIZE)
    assert again.read_bytes() == (folder / "annotations.json").read_bytes()


def test_run_lengths_follow_coco() -> None:
    mask = np.array([[True, False, False], [True, True, False]])
    assert run_lengths(mask) == {"size": [2, 3], "counts": [0, 2, 1, 1, 2]}
    assert np.array_equal(from_run_lengths(run_lengths(mask)), mask)
