"""Boxes in pixels of the original image: crops, tiles, padding, thumbnails, merges and frames, worked out by hand."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from model_adapters.geometry import decoder_rows, layouts, measured
from model_adapters.layout import Layout
from model_adapters.load import wrap
from model_adapters.model import Model
from tests.geometry.test_one_change import Rows, _differs
from tests.zoo import hf
from tests.zoo.shake import SIZE, scene

WIDTH, HEIGHT = SIZE
NEAR = 0.6
"""Pixels of the original by which a measured edge may be off."""


@cache
def model_of(name: str) -> Model:
    module, processor = hf.build(name)
    return wrap(module, processor, name, verify=False)


def layouts_of(name: str, **given: Any) -> dict[tuple[str, int], Layout]:
    model = model_of(name)
    return measured(model, model.prepare(**(given or {"image": scene(), "text": "Is there a red circle?"})))


def rectangles(rows: int, columns: int, box: tuple[float, float, float, float] = (0, 0, WIDTH, HEIGHT)) -> np.ndarray:
    """A part of the image cut into rows x columns boxes, in raster order."""
    x = np.linspace(box[0], box[2], columns + 1)
    y = np.linspace(box[1], box[3], rows + 1)
    return np.array([[x[c], y[r], x[c + 1], y[r + 1]] for r in range(rows) for c in range(columns)])


def part(found: dict[tuple[str, int], Layout], name: str) -> Layout:
    return next(layout for (site, _), layout in found.items() if name in site)


def test_clip_crops_the_middle() -> None:
    found = layouts_of("clip", image=scene(), text=["a", "b"])
    rows = part(found, "vision_model").queries
    resized = int(64 * WIDTH / HEIGHT)
    left = (resized - 64) // 2 * WIDTH / resized
    expected = rectangles(8, 8, (left, 0, left + 64 * WIDTH / resized, HEIGHT))
    assert rows.roles[0] == "class" and np.isnan(rows.boxes[0]).all()
    np.testing.assert_allclose(rows.boxes[1:], expected, atol=NEAR)
    assert part(found, "text_model").quality == "none"


def test_llava_next_has_a_thumbnail_tiles_padding_and_newlines() -> None:
    found = layouts_of("llava_next")
    tower = part(found, "vision_tower").queries
    assert (tower.where("pad") // 65 > 0).all() and len(tower.where("pad")) == 4 * 3 * 8
    text = part(found, "language_model.layers.0").queries
    image = text.where("image", "separator")
    boxes = text.boxes[image]
    np.testing.assert_allclose(boxes[:64], rectangles(8, 8), atol=NEAR)
    lines = boxes[64:].reshape(10, 17, 4)
    np.testing.assert_allclose(lines[:, :16].reshape(-1, 4), rectangles(10, 16), atol=NEAR)
    assert np.isnan(lines[:, 16]).all()
    assert (text.roles[image].reshape(-1)[64:].reshape(10, 17)[:, 16] == "separator").all()
    assert (text.tile[image][:64] == 0).all()
    tiles = text.tile[image][64:].reshape(10, 17)
    assert (tiles[0, :8] == 1).all() and (tiles[0, 8:16] == 2).all() and (tiles[9, :8] == 3).all()


def test_internvl_has_six_tiles_and_a_thumbnail() -> None:
    found = layouts_of("internvl")
    text = part(found, "language_model").queries
    image = text.where("image")
    third, half = WIDTH / 3, HEIGHT / 2
    cuts = [(c * third, r * half, (c + 1) * third, (r + 1) * half) for r in range(2) for c in range(3)]
    expected = np.concatenate([*(rectangles(4, 4, cut) for cut in cuts), rectangles(4, 4)])
    np.testing.assert_allclose(text.boxes[image], expected, atol=NEAR)
    np.testing.assert_array_equal(text.tile[image], np.repeat(np.arange(7), 16))


def test_qwen2_vl_merges_two_by_two() -> None:
    found = layouts_of("qwen2_vl")
    patches = rectangles(14, 22).reshape(7, 2, 11, 2, 4).transpose(0, 2, 1, 3, 4).reshape(-1, 4)
    np.testing.assert_allclose(part(found, "visual.blocks.0").queries.boxes, patches, atol=NEAR)
    text = part(found, "language_model").queries
    np.testing.assert_allclose(text.boxes[text.where("image")], rectangles(7, 11), atol=NEAR)


def test_qwen2_5_vl_loops_over_windows_and_undoes_their_order_behind_the_tower() -> None:
    found = layouts_of("qwen2_5_vl")
    calls = [layout for (name, _), layout in found.items() if name.endswith("blocks.0.attn")]
    assert [len(call.queries) for call in calls] == [64, 64, 48, 48, 48, 36]
    merged = rectangles(7, 11).reshape(7, 11, 4)
    for number, call in enumerate(calls):
        top, left = number // 3 * 4, number % 3 * 4
        window = merged[top : top + 4, left : left + 4].reshape(-1, 4)
        quads = call.queries.boxes.reshape(-1, 4, 4)
        np.testing.assert_allclose(np.concatenate([quads[..., :2].min(1), quads[..., 2:].max(1)], 1), window, atol=NEAR)
    text = decoder_rows(model_of("qwen2_5_vl"), model_of("qwen2_5_vl").prepare(image=scene(), text="Is there a red circle?"))
    np.testing.assert_allclose(text.boxes[text.where("image")], merged.reshape(-1, 4), atol=NEAR)


def test_frames_of_a_video_are_paired() -> None:
    frames = [scene((96, 64)) for _ in range(4)]
    rows = part(layouts_of("videomae", video=frames), "videomae").queries
    assert set(rows.frame.tolist()) == {0, 2}
    np.testing.assert_array_equal(rows.boxes[rows.frame == 0], rows.boxes[rows.frame == 2])
    text = part(layouts_of("qwen2_vl", video=frames, text="What moves?"), "language_model").queries
    image = text.where("image")
    half = len(image) // 2
    np.testing.assert_array_equal(text.frame[image], np.repeat([0, 2], half))
    np.testing.assert_allclose(text.boxes[image][:half], text.boxes[image][half:], atol=NEAR)


def test_several_images_are_told_apart() -> None:
    text = part(layouts_of("llava_next", image=[scene(), scene((200, 320))], text="Which?"), "language_model").queries
    image = text.where("image")
    first, second = (image[text.image[image] == number] for number in (0, 1))
    assert len(first) == len(second) == 64 + 160 and first.max() < second.min()
    np.testing.assert_allclose(text.boxes[second][:64], rectangles(8, 8, (0, 0, HEIGHT, WIDTH)), atol=NEAR)
    np.testing.assert_allclose(text.boxes[first][:64], rectangles(8, 8), atol=NEAR)


def test_of_a_batch_the_first_item_is_laid_out_with_its_padding() -> None:
    model = model_of("llava")
    inputs = model.prepare(image=[scene(), scene()], text=["What?", "What is left of the large red circle?"])
    text = part(layouts(model, inputs), "language_model").queries
    ids = inputs.tensors["input_ids"][0]
    assert len(text) == len(ids)
    np.testing.assert_array_equal(text.placed, (ids == model.config.image_token_id).numpy())
    assert text.roles[0] == "pad"


def test_queries_of_a_q_former_have_no_place_but_its_keys_do() -> None:
    found = layouts_of("blip-2")
    cross = part(found, "crossattention")
    assert set(cross.queries.roles) == {"query"} and not cross.queries.placed.any()
    np.testing.assert_allclose(cross.keys.boxes[1:], rectangles(8, 8), atol=NEAR)
    text = part(found, "language_model")
    assert text.quality == "none" and "no place" in text.reason


def test_cross_attention_has_keys_on_tiles_with_padding() -> None:
    layout = part(layouts_of("mllama"), "cross_attn")
    assert not layout.queries.placed.any()
    placed = layout.keys.boxes[layout.keys.placed]
    assert np.nanmax(placed[:, 2]) == WIDTH and np.nanmax(placed[:, 3]) == HEIGHT
    np.testing.assert_allclose(placed[0], [0, 0, WIDTH / 16, HEIGHT / 10], atol=NEAR)
    assert len(layout.keys.where("pad")) > 0


def test_a_planted_square_is_the_box_of_the_tokens_that_changed() -> None:
    model = model_of("llava")
    size = 112
    blank = Image.new("RGB", (size, size))
    inputs = model.prepare(image=blank, text="What?")
    rows = part(measured(model, inputs), "vision_tower").queries
    for left, top in ((0, 0), (28, 70), (98, 98)):
        planted = blank.copy()
        planted.paste((255, 255, 255), (left, top, left + 14, top + 14))
        seen = []
        for picture in (blank, planted):
            with torch.no_grad(), Rows() as run:
                model.forward(model.prepare(image=picture, text="What?"))
            seen.append(run.sites[0][0])
        changed = np.flatnonzero(_differs(*seen))
        assert len(changed) == 1
        np.testing.assert_allclose(rows.boxes[changed[0]], [left, top, left + 14, top + 14], atol=NEAR)


def test_without_a_processor_the_processed_image_is_the_original() -> None:
    from model_adapters.inputs import Inputs
    from tests.zoo.timm_models import build_timm

    model = wrap(build_timm("vit_tiny_patch16_224"), verify=False)
    model.preparation = None
    layout = next(iter(measured(model, Inputs({"x": torch.rand(1, 3, 64, 64)})).values()))
    assert layout.size == (64, 64)
    np.testing.assert_array_equal(layout.queries.boxes[1], [0, 0, 16, 16])


def test_what_cannot_be_traced_says_why() -> None:
    found = layouts_of("fuyu")
    assert found
    assert all(layout.quality == "none" and layout.reason for layout in found.values())


@pytest.mark.parametrize("name", ["gemma3", "paligemma", "smolvlm", "llava_onevision", "qwen3_vl"])
def test_every_image_position_has_a_place(name: str) -> None:
    model = model_of(name)
    inputs = model.prepare(image=scene(), text="Is there a red circle?")
    found = measured(model, inputs)
    text = next(layout.queries for (site, _), layout in found.items() if "text_model" in site or "language_model" in site)
    claimed = (inputs.tensors["input_ids"][0] == model.config.image_token_id).numpy()
    assert claimed.sum() > 0
    image = text.roles == "image"
    assert not (image & ~claimed).any()
    assert set(text.roles[claimed & ~image]) <= {"separator"}
    boxes = text.boxes[image]
    assert np.nanmin(boxes[:, 0]) <= NEAR and np.nanmax(boxes[:, 2]) >= WIDTH - NEAR
    assert np.nanmin(boxes[:, 1]) <= NEAR and np.nanmax(boxes[:, 3]) >= HEIGHT - NEAR
