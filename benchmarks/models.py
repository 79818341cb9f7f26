"""The models that are timed: real architectures with random weights."""

from __future__ import annotations

import timm
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import model_adapters as ma


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
