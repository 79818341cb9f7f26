"""What the other tests rely on in the zoo."""

from __future__ import annotations

import pytest
import torch
from transformers import LlavaConfig, Qwen3_5Config
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from tests import zoo
from tests.zoo.shrink import HEADS, LAYERS, WIDTH, merge, tiny_config
from tests.zoo.vocabulary import build_tokenizer

NO_IMAGE_CHAT = {"evolla", "mistral4", "pi0"}


def unchanged(name, value):
    return value


def test_every_image_text_family_is_there_but_three():
    built = {zoo.FAMILIES[name].type for name in zoo.families("lvlm")}
    assert built == set(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES) - NO_IMAGE_CHAT


def test_shrinking_makes_every_size_small():
    config = tiny_config(LlavaConfig, {"vision_config.image_size": 112}, unchanged)
    assert config.text_config.hidden_size == config.vision_config.hidden_size == WIDTH
    assert config.text_config.num_hidden_layers == config.vision_config.num_hidden_layers == LAYERS
    assert config.text_config.num_attention_heads == HEADS
    assert config.vision_config.image_size == 112


def test_shrinking_keeps_one_layer_of_each_kind():
    config = tiny_config(Qwen3_5Config, {}, unchanged)
    assert config.text_config.layer_types == ["linear_attention", "full_attention"]


def test_a_dotted_key_reaches_inside():
    assert merge({"a": {"b": 1, "c": 2}}, {"a.b": 3, "d.e": 4}) == {"a": {"b": 3, "c": 2}, "d": {"e": 4}}


@pytest.mark.parametrize("text", ["Is there a red circle?", "Füße 圆 🔴", ""])
def test_the_tokenizer_gives_back_what_it_was_given(text):
    tokenizer = build_tokenizer({"image_token": "<image>"})
    ids = tokenizer(f"<image>{text}").input_ids
    assert ids[:2] == [tokenizer.bos_token_id, tokenizer.image_token_id]
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_weights_come_from_the_seed_alone():
    first, again, other = (zoo.build("vit", seed=seed)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_building_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    zoo.build("vit")
    zoo.build_timm("levit_128s")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_image_tokens_are_as_many_as_the_features():
    model, processor = zoo.build("llava")
    tensors = zoo.inputs("llava", model, processor)
    assert int((tensors["input_ids"] == model.config.image_token_id).sum()) == 64
    assert processor.tokenizer.convert_tokens_to_ids("<image>") == model.config.image_token_id


def test_a_chat_message_becomes_the_prompt_of_the_family():
    _, processor = zoo.build("qwen2_vl")
    content = [{"type": "image"}, {"type": "text", "text": "Hi?"}]
    chat = processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
    assert chat == zoo.FAMILIES["qwen2_vl"].fill("Hi?") == "<|vision_start|><|image_pad|><|vision_end|>Hi?"


def test_shorter_texts_of_a_batch_are_padded_on_the_left_and_answered_alike():
    model, processor = zoo.build("llava")
    pictures, texts = [zoo.scene(), zoo.scene((200, 200))], ["Why?", "Describe the image, please."]
    both = zoo.batch("llava", model, processor, pictures, texts)
    assert both["attention_mask"][0, 0] == 0
    with torch.no_grad():
        together = model(**both).logits[0, -1]
        alone = model(**zoo.inputs("llava", model, processor, pictures[0], texts[0])).logits[0, -1]
    assert torch.allclose(together, alone, atol=1e-5)


def test_several_pictures_of_one_text_have_their_own_image_tokens():
    model, processor = zoo.build("llava")
    tensors = zoo.inputs("llava", model, processor, (zoo.scene(), zoo.scene((200, 200))))
    assert int((tensors["input_ids"] == model.config.image_token_id).sum()) == 2 * 64


def test_batch_norms_are_back_in_evaluation():
    model = zoo.build_timm("levit_128s")
    assert not any(module.training for module in model.modules())


def test_a_film_has_tokens_for_every_pair_of_frames():
    model, processor = zoo.build("qwen2_vl")
    tensors = zoo.film("qwen2_vl", model, processor, [zoo.scene((112, 112))] * 4)
    assert tensors["video_grid_thw"][0, 0] == 2
    assert int((tensors["input_ids"] == model.config.video_token_id).sum()) == tensors["video_grid_thw"].prod() // 4


def test_a_family_without_films_says_which_have_them():
    with pytest.raises(ValueError, match="llava takes no film here; these do: llava_next_video"):
        zoo.film("llava", *zoo.build("llava"), [zoo.scene()])
