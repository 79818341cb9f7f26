"""The small Swin: windows of 6 x 6 on grids of 24, 12 and 6."""

import torch
from timm.models.swin_transformer import SwinTransformer
from torch import nn

from world.training.vit import unfused
from world.vocabulary import CATEGORIES

SWIN_ARGUMENTS = {
    "img_size": 96, "patch_size": 4, "embed_dim": 48, "depths": (2, 4, 2), "num_heads": (2, 4, 8),
    "window_size": 6, "num_classes": len(CATEGORIES), "drop_path_rate": 0.0,
}  # fmt: skip
SWIN_CELL = 16  # pixels along the side of a cell of the last stage


def new_swin() -> SwinTransformer:
    """An untrained Swin of the bundled shape."""
    return unfused(SwinTransformer(**SWIN_ARGUMENTS))


def swin_features(model: nn.Module, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Class logits, pooled features and the cells of the last stage."""
    cells = model.forward_features(pixels)
    return model.forward_head(cells), cells.mean(dim=(1, 2)), cells.flatten(1, 2)
