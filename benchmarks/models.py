"""The models that are timed: real architectures with random weights."""

from __future__ import annotations

import numpy as np
import timm
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

import model_adapters as ma

SIDE, PATCH = 168, 14
SPECIAL = ("<pad>", "<s>", "<unk>", "</s>", "<image>")
QUESTION = " ".join(f"w{number}" for number in range(1, 21))


def vit_base() -> tuple[ma.Model, ma.Inputs]:
    """ViT-B/16 on a batch of 8 images."""
    model = ma.wrap(timm.create_model("vit_base_patch16_224"), name="vit_base_patch16_224")
    return model, ma.Inputs({"x": torch.randn(8, 3, 224, 224)}, batch=8, many=True)


def dinov2_large() -> tuple[ma.Model, ma.Inputs]:
    """DINOv2-L/14 at 518 px: 1,370 tokens."""
    model = ma.wrap(timm.create_model("vit_large_patch14_dinov2"), name="vit_large_patch14_dinov2", verify=False)
    return model, ma.Inputs({"x": torch.randn(1, 3, 518, 518)})


def decoder(tokens: int) -> tuple[ma.Model, ma.Inputs]:
    """A decoder of width 1,024 with 4 layers and 16 heads, and a prompt of so many tokens."""
    config = LlamaConfig(
        hidden_size=1024, num_hidden_layers=4, num_attention_heads=16, num_key_value_heads=16, intermediate_size=2816,
        vocab_size=1000, max_position_embeddings=4096,
    )  # fmt: skip
    torch.manual_seed(0)
    module = LlamaForCausalLM(config)
    module.generation_config.eos_token_id = None
    module.generation_config.pad_token_id = 0
    model = ma.wrap(module, name=f"decoder, {tokens} tokens", kind="lvlm", verify=False)
    inputs = ma.Inputs({"input_ids": torch.randint(1, 1000, (1, tokens))})
    ma.verify(model, ma.Inputs({"input_ids": inputs.tensors["input_ids"][:, :16]}))
    return model, inputs


LAYERS = {
    "width 1,024": {
        "hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 16, "intermediate_size": 2816,
        "vocab_size": 8192,
    },
    "layers of Qwen2-VL-2B": {
        "hidden_size": 1536, "num_attention_heads": 12, "num_key_value_heads": 2, "intermediate_size": 8960,
        "vocab_size": 21705,
    },
}  # fmt: skip
"""Decoders of four layers: small ones, where what is done around a pass shows most, and those of a model people use.

Their vocabularies cost as much of a layer as those of a 7B model and of the named one do.
"""


def lvlm(layers: str = "width 1,024") -> tuple[ma.Model, ma.Inputs]:
    """A LLaVA with four layers of a kind of `LAYERS`, 144 image tokens, and a question of 20 words."""
    vision = CLIPVisionConfig(
        hidden_size=256, intermediate_size=1024, num_hidden_layers=6, num_attention_heads=8, image_size=SIDE, patch_size=PATCH
    )
    text = LlamaConfig(num_hidden_layers=4, max_position_embeddings=4096, **LAYERS[layers])
    torch.manual_seed(0)
    module = LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=text, image_token_index=4))
    module.generation_config.eos_token_id = None
    module.generation_config.pad_token_id = 0
    model = ma.wrap(module, _processor(text.vocab_size), name=f"LLaVA, {layers}", kind="lvlm", verify=False)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8))
    inputs = model.prepare(image=picture, text=QUESTION)
    ma.verify(model, inputs)
    return model, inputs


def _processor(words: int) -> LlavaProcessor:
    names = (*SPECIAL, *(f"w{number}" for number in range(words - len(SPECIAL))))
    core = Tokenizer(WordLevel({name: place for place, name in enumerate(names)}, unk_token="<unk>"))
    core.pre_tokenizer, core.decoder = pre_tokenizers.WhitespaceSplit(), decoders.WordPiece(prefix="##", cleanup=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", unk_token="<unk>", eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
    images = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    return LlavaProcessor(
        images, tokenizer, patch_size=PATCH, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
