"""The ViT family: the shared start of every vision tower, the classifier, and the classifier with registers."""

from collections.abc import Mapping
from typing import TypeVar

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from world.vocabulary import CATEGORIES

# Normalisation before the blocks makes the weights fit transformers' CLIPVisionModel too.
VIT_ARGUMENTS = {
    "img_size": 96, "patch_size": 8, "embed_dim": 128, "depth": 6, "num_heads": 4, "mlp_ratio": 4.0,
    "num_classes": len(CATEGORIES), "global_pool": "token", "pre_norm": True, "norm_layer": "layernorm",
}  # fmt: skip
M = TypeVar("M", bound=nn.Module)
REGISTERS = {"reg_tokens": 4, "no_embed_class": True}


def sine_positions(width: int, grid: int) -> torch.Tensor:
    """Two-dimensional sine and cosine positions [grid * grid, width]."""
    frequencies = 1.0 / 30 ** (torch.arange(width // 4) / (width // 4))
    line = torch.arange(grid)[:, None] * frequencies
    waves = torch.cat([line.sin(), line.cos()], dim=1)
    rows = waves[:, None].expand(grid, grid, -1)
    columns = waves[None].expand(grid, grid, -1)
    return torch.cat([rows, columns], dim=2).reshape(grid * grid, width)


def unfused(model: M) -> M:
    """The model with explicit attention: the fused kernel's backward is slow in bf16 on CPU."""
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
    return model


def new_vit(**changes: object) -> VisionTransformer:
    """An untrained ViT of the bundled shape."""
    arguments = VIT_ARGUMENTS | changes
    model = unfused(VisionTransformer(**arguments))
    grid = arguments["img_size"] // arguments["patch_size"]
    with torch.no_grad():
        model.pos_embed[0, -grid * grid :] = 0.5 * sine_positions(arguments["embed_dim"], grid)
    return model


def vit_features(model: nn.Module, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Class logits, class token and patch tokens."""
    tokens = model.forward_features(pixels)
    return model.head(tokens[:, 0]), tokens[:, 0], tokens[:, model.num_prefix_tokens :]


def add_registers(weights: Mapping[str, torch.Tensor], fresh: VisionTransformer) -> dict[str, torch.Tensor]:
    """Weights of a ViT without registers, completed with the fresh registers of a model that has them."""
    return dict(weights) | {"reg_token": fresh.state_dict()["reg_token"]}
