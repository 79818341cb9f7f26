"""Studies of dual encoders: captions against the model's own scores one by one, and the vision tower against `analysis`."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import model_adapters as ma
from analysis.strength import attention_entropy, attention_share
from studies import StudyError
from studies.conduct import conduct
from studies.data import opened
from studies.held import held
from studies.reading import query
from studies.spec import ModelSpec
from studies.store import Store
from studies.telling import report
from tests.studies.small import folder_of, pictures, rows, same, study
from world.vocabulary import CATEGORIES

CLIP = {"models": ["bundled:clip"]}
WORLD = {"kind": "world", "count": 7, "seed": 5}
WORDS = ("a ball", "a star", "a boat", "a fish")
OWN = {"matches": {"truth": "caption", "among": 5}}


@pytest.fixture(scope="module")
def model():
    return held(ModelSpec("bundled:clip"))[0]


@pytest.fixture(scope="module")
def scenes():
    source = opened(study("x", WORLD, ("matches",), **CLIP).data)
    return [p.read() for first, items in source.chunks(100, None) for p in source.pending(first, items)]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    conduct(study(folder, WORLD, ("strength", "sinks", "class_attention", "matches"), **CLIP, batch=3))
    return folder


def fits(model: ma.Model, image, caption: str) -> float:
    """How well one caption fits one picture, from the module itself."""
    inputs = model.prepare(image=image, text=[caption])
    with torch.no_grad():
        return float(model.module(**inputs.tensors).logits_per_image)


def test_the_caption_that_names_the_class_is_ranked_as_the_model_scores_it(model, scenes, store):
    found = rows(store, "matches").to_pylist()
    assert [row["record"] for row in found] == list(range(7))
    for row, scene in zip(found, scenes, strict=True):
        scores = {name: fits(model, scene.image, f"a picture of a {name}") for name in CATEGORIES}
        own = scores.pop(scene.label)
        assert row["caption"] == f"a picture of a {scene.label}" and row["among"] == 12
        assert row["rank"] == 1 + sum(score > own for score in scores.values())
        assert row["right"] == (row["rank"] == 1) == (row["predicted"] == row["caption"])
        assert row["margin"] == pytest.approx(own - max(scores.values()), abs=1e-3)
        shares = np.exp(np.array([own, *scores.values()]) - own)
        assert row["probability"] == pytest.approx(1 / shares.sum(), rel=1e-3)


def test_its_own_caption_is_compared_with_those_of_the_first_records(model, scenes, tmp_path):
    conduct(study(tmp_path, WORLD, (OWN,), **CLIP))
    found = rows(tmp_path, "matches").to_pylist()
    first = list(dict.fromkeys(scene.answer for scene in scenes[:5]))
    for row, scene in zip(found, scenes, strict=True):
        scores = [fits(model, scene.image, caption) for caption in first if caption != scene.answer]
        assert row["caption"] == scene.answer and row["among"] == len(scores) + 1
        assert row["rank"] == 1 + sum(score > fits(model, scene.image, scene.answer) for score in scores)
    assert np.mean([row["right"] for row in found]) > 0.5  # chance is 0.2


def test_the_vision_tower_is_measured_as_that_of_a_vit(model, scenes, store):
    found = rows(store, "heads").to_pandas()
    assert set(found.tower) == {"vision"}
    capture = ma.capture(model, model.prepare(image=scenes[3].image, text=["anything else", "a picture of the sea"]))
    here = found[found.record == 3].pivot(index="layer", columns="head", values=["entropy", "to_class"])
    expected = {
        "entropy": attention_entropy(capture, tower="vision"), "to_class": attention_share(capture, to="class", tower="vision")
    }  # fmt: skip
    for name, matrix in expected.items():
        np.testing.assert_allclose(here[name].to_numpy(), matrix.values, rtol=2e-5, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("measures", [("strength", "sinks", "matches"), (OWN,)], ids=["label", "caption"])
def test_no_number_depends_on_batch_or_shard(tmp_path, measures):
    for number, (batch, shard) in enumerate([(1, 7), (4, 3)]):
        conduct(study(tmp_path / str(number), WORLD, measures, **CLIP, batch=batch, shard=shard))
    for table in ("matches", "heads") if "strength" in measures else ("matches",):
        same(rows(tmp_path / "0", table), rows(tmp_path / "1", table))


def test_pictures_in_folders_need_captions_that_are_written_out(tmp_path):
    folder = folder_of(tmp_path / "data", 4)
    (folder / "cat").rename(folder / "ball")
    (folder / "dog").rename(folder / "star")
    data = {"kind": "images", "path": str(folder)}
    with pytest.raises(StudyError, match=r"less than two captions.*such as matches: \{captions"):
        conduct(study(tmp_path / "a", data, ("matches",), **CLIP))
    with pytest.raises(StudyError, match="needs captions, and the first 5 records have 0"):
        conduct(study(tmp_path / "b", data, (OWN,), **CLIP))
    written = {"matches": {"captions": ["a picture of a ball", "one star in a field"]}}
    conduct(study(tmp_path / "c", data, (written,), **CLIP))
    assert [row["caption"][-3:] for row in rows(tmp_path / "c", "matches").to_pylist()] == ["all", "all", "eld", "eld"]
    assert "## Captions" in report(Store(str(tmp_path / "c")))
    assert query(Store(str(tmp_path / "c")), "matches")[1][0][:2] == (0, 4)


def test_records_without_a_caption_have_no_row(tmp_path):
    lines = []
    for number, picture in enumerate(pictures(4)):
        picture.save(tmp_path / f"{number}.png")
        told = {"answer": f"a picture of {WORDS[number]}"} if number != 2 else {}
        lines.append(json.dumps({"image": f"{number}.png", **told}))
    (tmp_path / "lines.jsonl").write_text("\n".join(lines))
    for batch in (1, 4):
        data = {"kind": "questions", "path": str(tmp_path / "lines.jsonl")}
        conduct(study(tmp_path / f"s{batch}", data, (OWN,), **CLIP, batch=batch))
        assert rows(tmp_path / f"s{batch}", "matches")["record"].to_pylist() == [0, 1, 3]
        assert len(rows(tmp_path / f"s{batch}", "images")) == 4
