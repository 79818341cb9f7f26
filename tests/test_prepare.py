"""Inputs: the same tensors as the families' own processors make, batches, several images, video, and bad requests."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import model_adapters as ma
from model_adapters.prompts import placeholder
from tests.zoo import hf

LVLMS = (
    "llava", "llava_next", "llava_onevision", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "idefics3", "paligemma",
    "gemma3", "mllama", "blip-2", "instructblip", "blip", "perception_lm", "fuyu", "git",
)  # fmt: skip
TOWERS = ("vit", "swin", "dinov2_with_registers", "segformer", "detr", "mask2former")
VIDEO = ("llava_next_video", "llava_onevision", "video_llava", "qwen2_5_vl", "qwen3_vl", "internvl", "video_llama_3")


def wrapped(name: str) -> ma.Model:
    return ma.wrap(*hf.build(name), name=name, verify=False)


def answer(model: ma.Model, inputs: ma.Inputs) -> torch.Tensor:
    with torch.no_grad():
        return model.logits(model.forward(inputs))


@pytest.mark.parametrize("name", [*LVLMS, *TOWERS, "clip"])
def test_inputs_are_those_of_the_familys_own_prompt(name, picture):
    model = wrapped(name)
    inputs = model.prepare(picture, text=None if name in TOWERS else "Is there a red circle?")
    expected = hf.inputs(name, model.module, model.processor, picture, "Is there a red circle?")
    assert set(inputs.tensors) == set(expected)
    for key, tensor in expected.items():
        assert torch.equal(inputs.tensors[key], tensor), key


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "internvl", "idefics3", "paligemma", "gemma3", "mllama"])
def test_without_a_template_the_image_token_stands_before_the_text(name, picture):
    model = wrapped(name)
    with_template = answer(model, model.prepare(picture, text="Is it red?"))
    model.processor.chat_template = None
    plain = model.prepare(picture, text="Is it red?")
    marked = model.prepare(picture, text=placeholder(model.processor) + "\nIs it red?")
    assert torch.equal(plain.tensors["input_ids"], marked.tensors["input_ids"])
    assert abs(answer(model, plain).shape[1] - with_template.shape[1]) <= 2


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "idefics3", "mllama", "paligemma", "instructblip"])
def test_a_batch_answers_as_its_items_alone(name, picture):
    model = wrapped(name)
    pictures = [picture, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    texts = ["Is it red?", "Is there a red circle or a blue square?"]
    both = model.prepare(pictures, text=texts)
    assert (both.batch, both.many, both.texts) == (2, True, tuple(texts))
    single = [model.prepare(one, text=text) for one, text in zip(pictures, texts, strict=True)]
    for row, alone in zip(answer(model, both), single, strict=True):
        assert not alone.many
        torch.testing.assert_close(row[-1], answer(model, alone)[0, -1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "internvl", "idefics3", "mllama"])
def test_several_images_of_one_prompt_are_all_seen(name, picture):
    model = wrapped(name)
    other = picture.rotate(180)
    one = model.prepare([picture, other], text="Same?")
    assert (one.batch, one.many, len(one.images[0])) == (1, False, 2)
    answers = [answer(model, model.prepare(pair, text="Same?"))[0, -1] for pair in ([other] * 2, [picture] * 2)]
    assert all((answer(model, one)[0, -1] - a).abs().max() > 1e-6 for a in answers)
    mixed = model.prepare([[picture, other], [picture]], text=["Same?", "What?"])
    assert [len(images) for images in mixed.images] == [2, 1]
    assert answer(model, mixed).shape[0] == 2


@pytest.mark.parametrize("name", VIDEO)
def test_a_video_is_seen(name, picture):
    model = wrapped(name)
    frames = [picture.rotate(90 * n) for n in range(4)]
    frames = [frame.resize((64, 64)) for frame in frames]
    inputs = model.prepare(video=frames, text="What happens?")
    assert len(inputs.frames[0]) == 4
    still = model.prepare(video=frames[:1] * 4, text="What happens?")
    assert (answer(model, inputs)[0, -1] - answer(model, still)[0, -1]).abs().max() > 1e-6


def test_a_video_tower_gets_as_many_frames_as_it_takes(picture):
    model = wrapped("videomae")
    count = model.config.num_frames
    inputs = model.prepare(video=np.stack([np.full((64, 64, 3), 9 * n, np.uint8) for n in range(3 * count)]))
    assert [frame.getpixel((0, 0))[0] // 9 for frame in inputs.frames[0]][:: count - 1] == [0, 3 * count - 1]
    assert len(inputs.frames[0]) == count
    assert answer(model, inputs).shape[0] == 1
    with pytest.raises(ValueError, match=f"a video of {count} frames"):
        model.prepare(picture)


def test_a_masked_autoencoder_sees_its_patches_in_order_every_time(picture):
    model = wrapped("vit_mae")
    model.config.mask_ratio = 0.0
    inputs = model.prepare([picture, picture])
    first = answer(model, inputs)
    assert torch.equal(first, answer(model, inputs))
    assert torch.equal(first[0], first[1])


def test_captions_of_a_dual_encoder(picture):
    model = wrapped("clip")
    assert answer(model, model.prepare([picture] * 2, text=["a", "b", "c"])).shape == (2, 3)
    with pytest.raises(ValueError, match="Give the captions"):
        model.prepare(picture)
    pairs = wrapped("bridgetower")
    with pytest.raises(ValueError, match="Got 2 images, 1 texts"):
        pairs.prepare([picture] * 2, text="a")


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("llava", {}, "Nothing was given"),
        ("llava", {"image": 2, "text": "<image> and what?"}, "1 times, and 2 images were given"),
        ("llava", {"image": 1, "text": ["a", "b"]}, "need a list of 2 entries as `image`"),
        ("llava", {"image": 3, "text": ["a", "b"]}, "need a list of 2 entries as `image`. Got 3"),
        ("llava", {"image": 1, "text": 7}, "must be a string"),
        ("llava", {"image": 0, "text": "a"}, "list of images is empty. Give at least one, or leave"),
        ("llava", {"video": 2, "text": "a"}, "takes no video"),
        ("blip", {"image": 2, "text": "a"}, "one image per prompt"),
        ("blip", {"text": "a"}, "needs pixel_values"),
        ("vit", {"image": 1, "text": "a"}, "takes no text"),
        ("vit", {"text": "a"}, "one image"),
        ("vit", {"image": 0}, "list is empty"),
    ],
)
def test_what_cannot_be_prepared_gets_its_sentence(name, given, sentence, picture):
    for key in ("image", "video"):
        if key in given:
            given = {**given, key: picture if (given[key] == 1 and key == "image") else [picture] * given[key]}
    with pytest.raises(ValueError, match=sentence):
        wrapped(name).prepare(**given)


def test_signatures_tell_sizes_and_not_contents(tiny_vit, picture):
    model = ma.wrap(tiny_vit, verify=False)
    one, other, two = model.prepare(picture), model.prepare(picture.rotate(180)), model.prepare([picture] * 2)
    assert one.signature == other.signature
    assert hash(one.signature) != hash(two.signature)
    assert not torch.equal(one.tensors["x"], other.tensors["x"])
