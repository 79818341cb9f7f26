"""The tiny input that a model is checked on."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from model_adapters.errors import AdapterError
from model_adapters.inputs import Inputs
from model_adapters.model import Model


def test_picture(size: int = 128) -> Image.Image:
    """A smooth picture with some texture: every patch of it differs from every other."""
    y, x = np.mgrid[0:size, 0:size] / (size - 1)
    texture = 0.5 + 0.5 * np.sin(25 * x + 13 * y * y)
    return Image.fromarray((np.stack([x, y, texture], -1) * 255).astype(np.uint8))


test_picture.__test__ = False  # type: ignore[attr-defined]


def example(model: Model) -> Inputs:
    """The tiny input that a model is checked on: a picture, or as many and whatever text beside as the model takes."""
    try:
        return model.prepare(**_asked(model))
    except ValueError as error:
        raise AdapterError(
            f"{model.name} cannot be checked on the test picture: {error} Load it with verify=False, and verify it with inputs "
            "of your own: verify(model, inputs)."
        ) from error


def _asked(model: Model) -> dict[str, Any]:
    """What is asked of `prepare`."""
    picture = test_picture()
    image: Any = picture if getattr(model.preparation, "together", 1) == 1 else [picture, picture.rotate(10)]
    shown: dict[str, Any] = {"video": test_frames(model.frames)} if model.frames else {"image": image}
    if model.kind == "vit":
        return shown
    if model.kind == "dual":
        return {**shown, "text": ["an image"] if model.pairs else ["a", "an image"]}
    return {**shown, "text": "Describe the image."}


def test_frames(count: int) -> list[Image.Image]:
    """The test picture, moving to the left: every frame of it differs from every other."""
    whole = np.asarray(test_picture())
    return [Image.fromarray(np.roll(whole, -step, axis=1)) for step in range(count)]


test_frames.__test__ = False  # type: ignore[attr-defined]
