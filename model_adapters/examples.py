"""The tiny input that a model is checked on."""

from __future__ import annotations

import numpy as np
from PIL import Image

from model_adapters.inputs import Inputs
from model_adapters.model import Model


def test_picture(size: int = 128) -> Image.Image:
    """A smooth picture with some texture: every patch of it differs from every other."""
    y, x = np.mgrid[0:size, 0:size] / (size - 1)
    texture = 0.5 + 0.5 * np.sin(25 * x + 13 * y * y)
    return Image.fromarray((np.stack([x, y, texture], -1) * 255).astype(np.uint8))


test_picture.__test__ = False  # type: ignore[attr-defined]


def example(model: Model) -> Inputs:
    """The tiny input that a model is checked on."""
    picture = test_picture()
    if model.kind == "vit":
        return model.prepare(image=picture)
    if model.kind == "dual":
        return model.prepare(image=picture, text=["a", "an image"])
    return model.prepare(image=picture, text="Describe the image.")
