"""Layouts on disk: a hit equals a miss, a damaged file is measured again, another size is another key."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_adapters.geometry import cache, layouts, measured
from model_adapters.geometry.originals import Originals
from model_adapters.load import wrap
from model_adapters.model import Model
from tests.zoo import hf
from tests.zoo.shake import scene
from tests.zoo.timm_models import build_timm


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setenv("HEADLIGHT_CACHE", str(tmp_path))
    return wrap(build_timm("deit_tiny_distilled_patch16_224"), verify=False)


def never(*_: object) -> dict:
    raise AssertionError("measured again")


def test_a_hit_equals_a_miss(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = model.prepare(image=scene())
    missed = layouts(model, inputs)
    monkeypatch.setattr("model_adapters.geometry.measure.measured", never)
    hit = layouts(model, inputs)
    assert list(hit) == list(missed)
    for key, layout in missed.items():
        found = hit[key]
        assert (found.quality, found.reason, found.size, found.windows) == (
            layout.quality, layout.reason, layout.size, layout.windows,
        )  # fmt: skip
        for side in ("queries", "keys", "values"):
            a, b = getattr(layout, side), getattr(found, side)
            assert a.roles.tolist() == b.roles.tolist()
            np.testing.assert_array_equal(a.boxes, b.boxes)
            for name in ("image", "tile", "frame"):
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert hit[next(iter(hit))].queries.roles[:2].tolist() == ["class", "distillation"]


@pytest.mark.parametrize("damage", [b"", b"no archive", None])
def test_a_damaged_file_is_measured_again(model: Model, damage: bytes | None) -> None:
    inputs = model.prepare(image=scene())
    layouts(model, inputs)
    key = cache.key_of(model, Originals(model, inputs))
    (path,) = cache.folder().glob(f"{key}*")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert cache.read(path.stem) is None
    assert len(layouts(model, inputs)) == 2
    assert cache.read(path.stem) is not None


def test_another_size_or_model_is_another_key(model: Model) -> None:
    other = wrap(build_timm("deit_tiny_patch16_224"), verify=False)
    keys = {
        cache.key_of(model, Originals(model, model.prepare(image=scene()))),
        cache.key_of(model, Originals(model, model.prepare(image=Image.new("RGB", (90, 200))))),
        cache.key_of(other, Originals(other, other.prepare(image=scene()))),
    }
    assert len(keys) == 3
    same = Image.new("RGB", scene().size)
    assert cache.key_of(model, Originals(model, model.prepare(image=same))) in keys


def test_another_question_moves_the_text_and_not_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADLIGHT_CACHE", str(tmp_path))
    model = wrap(*hf.build("llava_next"), verify=False)
    short, long = (model.prepare(image=scene(), text=text) for text in ("What?", "What is left of the large red circle?"))
    layouts(model, short)
    expected = measured(model, long)
    monkeypatch.setattr("model_adapters.geometry.measure.measured", never)
    found = layouts(model, long)
    assert list(found) == list(expected)
    for key, layout in expected.items():
        for side in ("queries", "keys", "values"):
            a, b = getattr(layout, side), getattr(found[key], side)
            assert a.roles.tolist() == b.roles.tolist()
            np.testing.assert_array_equal(a.boxes, b.boxes)
            np.testing.assert_array_equal(a.tile, b.tile)


def test_a_folder_that_cannot_be_written_only_costs_time(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEADLIGHT_CACHE", os.fspath(tmp_path / "file" / "below"))
    assert len(layouts(model, model.prepare(image=scene()))) == 2
