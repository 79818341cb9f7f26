"""Carry the trained ViT over into transformers' CLIP vision model: same layers, other names."""

from collections.abc import Mapping

import torch
from transformers import CLIPVisionConfig

from world.training.vit import VIT_ARGUMENTS

_OUTER = {
    "norm_pre.weight": "pre_layrnorm.weight",
    "norm_pre.bias": "pre_layrnorm.bias",
    "norm.weight": "post_layernorm.weight",
    "norm.bias": "post_layernorm.bias",
    "patch_embed.proj.weight": "embeddings.patch_embedding.weight",
}
_INNER = {
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "attn.proj": "self_attn.out_proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}


def clip_vision_config(**changes: object) -> CLIPVisionConfig:
    """The configuration of a CLIP vision model of the ViT's shape."""
    width = VIT_ARGUMENTS["embed_dim"]
    return CLIPVisionConfig(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=VIT_ARGUMENTS["depth"],
        num_attention_heads=VIT_ARGUMENTS["num_heads"], image_size=VIT_ARGUMENTS["img_size"],
        patch_size=VIT_ARGUMENTS["patch_size"], hidden_act="gelu", layer_norm_eps=1e-6, projection_dim=width, **changes,
    )  # fmt: skip


def clip_vision_weights(vit: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of a timm ViT (class token, normalisation before the blocks) under CLIP's names."""
    found = {new: vit[old] for old, new in _OUTER.items()}
    found["embeddings.class_embedding"] = vit["cls_token"][0, 0]
    found["embeddings.position_embedding.weight"] = vit["pos_embed"][0]
    depth = 1 + max(int(name.split(".")[1]) for name in vit if name.startswith("blocks."))
    for layer in range(depth):
        old, new = f"blocks.{layer}.", f"encoder.layers.{layer}."
        for kind in ("weight", "bias"):
            found |= {f"{new}{b}.{kind}": vit[f"{old}{a}.{kind}"] for a, b in _INNER.items()}
            parts = vit[f"{old}attn.qkv.{kind}"].chunk(3)
            names = ("q_proj", "k_proj", "v_proj")
            found |= {f"{new}self_attn.{name}.{kind}": part for name, part in zip(names, parts, strict=True)}
    return found
