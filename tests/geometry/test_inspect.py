"""The inspection picture: boxes where the rows are, darkness where none is, and a caption for the rest."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from model_adapters.geometry import measured
from model_adapters.geometry.inspect import inspection
from model_adapters.layout import Layout
from model_adapters.load import wrap
from tests.zoo.timm_models import build_timm


@pytest.fixture(scope="module")
def layout() -> Layout:
    model = wrap(build_timm("vit_tiny_patch16_224"), verify=False)
    return next(iter(measured(model, model.prepare(image=Image.new("RGB", (320, 160), "white"))).values()))


def test_it_outlines_the_boxes_and_dims_what_was_cropped(layout: Layout) -> None:
    picture = inspection(layout, [Image.new("RGB", (320, 160), "white")], width=640)
    assert picture.width == 640 and picture.height > 320
    pixels = np.asarray(picture).astype(int)
    box = layout.queries.boxes[1] * 2
    x, y = int(box[0]), int(box[1] + box[3]) // 2
    assert (pixels[y, x - 1 : x + 2, 2] < 60).any(), "a yellow line at the left edge of the first box"
    assert (pixels[y, x + 8] > 200).all(), "bright inside"
    assert (pixels[y, 5] < 128).all(), "dark where the crop cut the image off"


def test_it_refuses_an_image_that_was_not_given(layout: Layout) -> None:
    with pytest.raises(ValueError, match="image=1"):
        inspection(layout, [Image.new("RGB", (320, 160))], image=1)


def test_larger_letters_take_more_room_and_no_caption_is_cut_off(layout: Layout) -> None:
    white = [Image.new("RGB", (320, 160), "white")]
    small, large = (inspection(layout, white, width=400, letters=letters) for letters in (13, 26))
    assert large.height - 200 > 2 * (small.height - 200) - 8, "the longer caption goes on in a line of its own"
    assert (np.asarray(large)[200:, -6:] > 250).all(), "nothing is written up to the right edge"
