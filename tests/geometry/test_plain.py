"""The plain grid, known without measuring, equals the measured one; where it is not certain there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from model_adapters.capture import capture
from model_adapters.geometry import measured, plain_layouts
from model_adapters.load import wrap
from model_adapters.model import Model
from tests.zoo import hf
from tests.zoo.shake import scene
from tests.zoo.timm_models import build_timm


def model_of(name: str) -> Model:
    return wrap(build_timm(name), verify=False)


def never(*_: object, **__: object) -> Any:
    raise AssertionError("a dye was run")


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "vit_small_patch14_reg4_dinov2"])
@pytest.mark.parametrize("picture", [scene(), Image.new("RGB", (90, 200))], ids=["scene", "tall"])
def test_the_plain_grid_is_the_measured_one(name: str, picture: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(name)
    inputs = model.prepare(image=picture)
    expected = measured(model, inputs)
    shapes = capture(model, inputs).shapes
    monkeypatch.setattr("model_adapters.geometry.pixel_dye.Sweep.look", never)
    found = plain_layouts(model, inputs, shapes)
    assert found is not None and list(found) == list(expected)
    for key, layout in expected.items():
        mine = found[key]
        assert (mine.quality, mine.windows, mine.size) == (layout.quality, layout.windows, layout.size)
        for side in ("queries", "keys", "values"):
            a, b = getattr(layout, side), getattr(mine, side)
            assert a.roles.tolist() == b.roles.tolist()
            np.testing.assert_array_equal(a.boxes, b.boxes)
            for part in ("image", "tile", "frame"):
                np.testing.assert_array_equal(getattr(a, part), getattr(b, part))


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "cait_xxs24_224", "pvt_v2_b0", "convit_tiny"])
def test_windows_pyramids_and_late_class_tokens_have_no_plain_grid(name: str) -> None:
    model = model_of(name)
    inputs = model.prepare(image=scene())
    assert plain_layouts(model, inputs, capture(model, inputs).shapes) is None


def test_a_model_of_images_and_text_has_no_plain_grid() -> None:
    model = wrap(*hf.build("llava_next"), verify=False)
    inputs = model.prepare(image=scene(), text="Is there a red circle?")
    assert plain_layouts(model, inputs, capture(model, inputs).shapes) is None
