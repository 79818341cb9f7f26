"""Random weights that hide no bug, and the picture that all models see."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

SIZE = (320, 200)
SPREAD = 0.05


def shaken(model: nn.Module, seed: int = 0) -> nn.Module:
    """Add noise to every parameter, so that none stays zero or one, and switch to evaluation."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(SPREAD * torch.randn(parameter.shape, generator=noise).to(parameter))
    return model.eval()


def settled(model: nn.Module, run: Callable[[], object]) -> nn.Module:
    """Let batch norms measure what `run` sends through them; by random weights alone the signal would fade."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train().reset_running_stats()
        norm.momentum = None
    with torch.no_grad():
        if norms:
            run()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.eval().momentum = momentum
    return model


def scene(size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture that is different everywhere: ramps in red and green, rings in blue."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    rings = 127 + 127 * np.sin(np.hypot(x - 0.7 * width, y - 0.3 * height) / 7)
    pixels = np.stack([255 * x / (width - 1), 255 * y / (height - 1), rings], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))
