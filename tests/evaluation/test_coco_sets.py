"""Reading a user's folder: what is there is found, what is not is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.evaluation import read_coco
from tests.evaluation.folders import CATEGORIES, THINGS, document, written
from world.coco import export_coco
from world.datasets import TEST_UNBIASED


def test_a_folder_says_what_is_in_its_images(tmp_path: Path) -> None:
    found = read_coco(written(tmp_path))
    assert [image.things for image in found.images] == list(THINGS)
    assert (found.name, found.categories, found.missing, found.broken) == ("instances_test", CATEGORIES, (), ())
    assert list(found.counts.items()) == [("person", 4), ("dog", 3), ("tie", 2), ("knife", 2), ("hot dog", 1)]
    assert found.together["dog"] == ("person", "tie", "knife")


def test_the_world_exports_what_this_reads(tmp_path: Path) -> None:
    scenes = TEST_UNBIASED.take(5)
    found = read_coco(export_coco(scenes, tmp_path, size=64))
    assert [set(image.things) for image in found.images] == [set(scene.categories) for scene in scenes]
    assert all(len(image.captions) == 1 for image in found.images)


def test_captions_come_from_a_file_of_their_own(tmp_path: Path) -> None:
    path = written(tmp_path / "set")
    captions = tmp_path / "captions.json"
    captions.write_text(json.dumps({"annotations": [{"image_id": 101, "caption": "A dog."}, {"image_id": 101}]}))
    found = read_coco(path, captions=captions)
    assert [image.captions for image in found.images][:2] == [(), ("A dog.",)]
    assert found.broken == ("caption 1 holds no text",)


def test_images_that_are_missing_and_broken_records_are_told(tmp_path: Path) -> None:
    content = document()
    content["annotations"] += [{"image_id": 100, "category_id": 99}, {"image_id": 7, "category_id": 11}, "x"]
    content["images"] += [{"id": 200}, {"id": 201, "file_name": "../secret.png"}, {"id": 202, "file_name": "/etc/x.png"}]
    found = read_coco(written(tmp_path, content, pictures=3))
    assert (len(found.images), found.missing) == (3, ("3.png", "4.png"))
    assert [fault.split(" ", 2)[0] for fault in found.broken] == ["annotation"] * 3 + ["image"] * 3
    assert sum("outside the folder" in fault for fault in found.broken) == 2


def test_many_faults_are_counted(tmp_path: Path) -> None:
    content = document()
    content["annotations"] += [{"image_id": 7, "category_id": 11}] * 500
    found = read_coco(written(tmp_path, content))
    assert (len(found.broken), found.broken[-1]) == (201, "and 300 more records")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "holds no JSON"),
        ("[]", "holds a list"),
        ('{"images": [{"id": 1}]}', "has no annotations"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "has no annotations"),
        ('{"images": [{"id": 1}], "annotations": [{}], "categories": [{"id": 3}]}', "no category of"),
        ('{"images": [{"id": 1}], "annotations": [{}], "categories": [{"id": 3, "name": "x"}]}', "none of the 0 images"),
    ],
)
def test_bad_files_get_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "instances.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_coco(path)


def test_what_is_not_there_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not there: give the path"):
        read_coco(tmp_path / "instances.json")
    path = written(tmp_path)
    with pytest.raises(ValueError, match="is no folder"):
        read_coco(path, tmp_path / "elsewhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="none of the 5 images of instances_test.json"):
        read_coco(path, tmp_path / "empty")
