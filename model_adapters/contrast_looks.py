"""The other look of a contrastive decoder: its prompt, and the edits that it is read under."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from model_adapters.decoding import Blank, Imageless, Look, Noised, Under
from model_adapters.edits import Edit
from model_adapters.errors import AdapterError
from model_adapters.inputs import Inputs
from model_adapters.model import Model
from model_adapters.planned import Glance, decided, picture_of, without_image

_PIXELS = ("pixel_values", "pixel_values_videos", "flattened_patches", "image_patches")
_FILLS = {"grey": 128, "black": 0}


def looked(model: Model, inputs: Inputs, look: Look) -> tuple[Inputs, tuple[Edit, ...]]:
    """What the second branch is given: inputs, and edits."""
    if isinstance(look, Noised):
        return noised(model, inputs, look), ()
    if isinstance(look, Blank):
        return repainted(model, inputs, blank(np.asarray(picture_of(model, inputs).convert("RGB")), look)), ()
    if isinstance(look, Imageless):
        return without_image(model, inputs, look.how)
    if isinstance(look, Under):
        return inputs, decided(model, inputs, look.edits)
    return repainted(model, inputs, look.picture(Glance(model, inputs))), ()


def blank(picture: np.ndarray, look: Blank) -> np.ndarray:
    """A picture of the same size in one colour."""
    colour = picture.reshape(-1, 3).mean(0).round() if look.fill == "mean" else np.full(3, _FILLS[look.fill])
    return np.broadcast_to(colour.astype(np.uint8), picture.shape)


def repainted(model: Model, inputs: Inputs, picture: np.ndarray) -> Inputs:
    """The same question about another picture."""
    picture_of(model, inputs)
    return model.prepare(image=Image.fromarray(np.ascontiguousarray(picture)), text=inputs.texts[0])


def noised(model: Model, inputs: Inputs, look: Noised) -> Inputs:
    """The same prompt with noise in the prepared image."""
    found = {n: t for n, t in inputs.tensors.items() if n in _PIXELS and isinstance(t, torch.Tensor) and t.is_floating_point()}
    if not found:
        raise AdapterError(f"{model.name} is given no pixels ({', '.join(inputs.tensors)}), so there is nothing to put noise in.")
    left = kept_share(look.step)
    draws = torch.Generator().manual_seed(look.seed)
    changed = {}
    for name, pixels in found.items():
        noise = torch.randn(pixels.shape, generator=draws)
        changed[name] = (left**0.5 * pixels.float().cpu() + (1 - left) ** 0.5 * noise).to(pixels)
    return inputs.with_tensors(**changed)


def kept_share(step: int) -> float:
    """abar: the share of the image's variance that is left after `step` steps of noise."""
    beta = torch.sigmoid(torch.linspace(-6, 6, 1000, dtype=torch.float64)) * (5e-3 - 1e-5) + 1e-5
    return float((1 - beta).cumprod(0)[step])
