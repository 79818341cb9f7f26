"""From pictures and texts to the tensors of a family, through its own processor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from .records import QUESTION
from .registry import FAMILIES
from .shake import scene

Pictures = Image.Image | tuple[Image.Image, ...]
"""One picture, or several that belong to the same text."""

FILMS = (
    "llava_next_video",
    "llava_onevision",
    "video_llava",
    "perception_lm",
    "internvl",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen2_5_omni_thinker",
    "qwen3_vl",
    "qwen3_vl_moe",
    "qwen3_5",
    "qwen3_5_moe",
    "qwen3_omni_moe_thinker",
    "qwen4_exp",
    "cosmos3_omni",
    "cohere_compass",
    "lfm3_vl",
    "exaone4_5",
    "hyperclovax_vision_v2",
    "video_llama_3",
    "minicpmv4_6",
    "minicpmv4_7",
    "minicpm_ocr",
    "molmo2",
)
"""Families of images and text that take a film (towers that take nothing else have `frames` in their record)."""


def sample(name: str, image: Pictures | None = None, text: str = QUESTION) -> dict[str, Any]:
    """Return what the processor of a family is called with."""
    return samples(name, [scene() if image is None else image], [text])


def samples(name: str, images: Sequence[Pictures], texts: Sequence[str]) -> dict[str, Any]:
    """Return what the processor is called with for a batch: one entry of `images` for each of `texts`."""
    family = FAMILIES[name]
    groups = [image if isinstance(image, tuple) else (image,) for image in images]
    shown = [[[picture] * family.frames if family.frames else picture for picture in group] for group in groups]
    flat = [picture for group in shown for picture in group]
    if family.kind == "tower":
        name = "videos" if family.image_processor.endswith("VideoProcessor") else "images"
        return {name: flat if len(flat) > 1 else flat[0], **family.call}
    prompts = [family.fill(text, len(group)) for text, group in zip(texts, groups, strict=True)]
    padded = {"padding": True} if len(prompts) > 1 else {}
    return {"images": shown if family.nested else flat, "text": prompts, **padded, **family.call}


def inputs(name: str, model: nn.Module, processor: Any, image: Pictures | None = None, text: str = QUESTION) -> dict[str, Tensor]:
    """Return tensors ready for `model(**inputs)`."""
    return batch(name, model, processor, [scene() if image is None else image], [text])


def batch(name: str, model: nn.Module, processor: Any, images: Sequence[Pictures], texts: Sequence[str]) -> dict[str, Tensor]:
    """Return tensors for several texts at once; shorter ones are padded on the left."""
    family = FAMILIES[name]
    given = processor(**samples(name, images, texts), return_tensors="pt")
    tensors = {key: torch.as_tensor(value) for key, value in _named(given).items() if key not in family.without}
    if model.main_input_name == "inputs":
        tensors["inputs"] = tensors.pop("pixel_values")
    for key, value in family.extra.items():
        one = torch.tensor(numbers(value, getattr(processor, "tokenizer", None)))
        tensors[key] = one.repeat(len(images), *[1] * (one.dim() - 1))
    dtype = next(model.parameters()).dtype
    return {key: value.to(dtype) if value.is_floating_point() else value for key, value in tensors.items()}


def film(name: str, model: nn.Module, processor: Any, frames: Sequence[Image.Image], text: str = QUESTION) -> dict[str, Tensor]:
    """Return tensors for one film and a text; `FILMS` names the families that take one."""
    family = FAMILIES[name]
    if name not in FILMS:
        raise ValueError(f"{name} takes no film here; these do: {', '.join(FILMS)}")
    prompt = family.fill(text).replace(family.tokens["image_token"], family.tokens["video_token"])
    seen = np.stack([np.asarray(frame.convert("RGB")) for frame in frames])
    given = processor(videos=[seen], text=[prompt], do_sample_frames=False, return_tensors="pt", **family.call)
    return {key: torch.as_tensor(value) for key, value in given.items()}


def numbers(value: Any, tokenizer: Any) -> Any:
    """`value` with every text in it replaced by the number of that token."""
    if isinstance(value, str):
        return tokenizer.convert_tokens_to_ids(value)
    if isinstance(value, Mapping):
        return {key: numbers(part, tokenizer) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [numbers(part, tokenizer) for part in value]
    return value


def _named(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {"pixel_values": given}
