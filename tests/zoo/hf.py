"""Tiny random models of transformers with their own processors: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import transformers
from PIL import Image
from torch import Tensor, nn
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from . import dual, lvlm_llava, lvlm_native, lvlm_qformer, lvlm_qwen, lvlm_tiles, towers
from .parts import build_processor, token_ids
from .records import QUESTION, Family
from .shake import scene, settled, shaken
from .shrink import merge, tiny_config

VOCABULARIES = ("vocab_size", "vocab_size_per_layer_input")

FAMILIES: dict[str, Family] = {
    family.name: family
    for table in (lvlm_llava, lvlm_qwen, lvlm_native, lvlm_tiles, lvlm_qformer, towers, dual)
    for family in table.FAMILIES
}


def families(kind: str | None = None) -> tuple[str, ...]:
    """Names that `build` takes; `kind` is lvlm, tower or dual."""
    return tuple(name for name, family in FAMILIES.items() if kind in (None, family.kind))


def build(name: str, *, seed: int = 0, attn_implementation: str | None = None) -> tuple[nn.Module, Any]:
    """Return a tiny random model with shaken weights in evaluation mode, and its processor."""
    family = FAMILIES[name]
    processor = build_processor(family)
    config = build_config(family, processor)
    architecture = getattr(transformers, family.architecture or MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES[name])
    options = {} if attn_implementation is None else {"attn_implementation": attn_implementation}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = architecture._from_config(config, **options)
    shaken(model, seed)
    if family.generation:
        model.generation_config.update(**family.generation)
    settled(model, lambda: model(**inputs(name, model, processor)))
    return model, processor


def build_config(family: Family, processor: Any) -> Any:
    """The tiny configuration of `family`, whose token numbers are those of the processor's tokenizer."""
    config_class = getattr(transformers, CONFIG_MAPPING_NAMES[family.name])
    tokenizer = getattr(processor, "tokenizer", None)
    numbers = {} if tokenizer is None else dict.fromkeys(VOCABULARIES, len(tokenizer))
    reserved = iter(range(4, 20))
    ids = token_ids(family, processor)

    def spelled(name: str, value: Any) -> Any:
        """The number that belongs in a field of the configuration."""
        if name in numbers:
            return numbers[name]
        key = name.replace("_token_index", "_token_id")
        if not numbers or not key.endswith("_token_id") or not isinstance(value, (int, list, type(None))):
            return value
        if key in ids:
            return ids[key]
        return value if value is None else next(reserved)

    numbered = {name: _numbers(token, tokenizer) for name, token in family.ids.items()}
    return tiny_config(config_class, {**family.config, **numbered}, spelled)


def sample(name: str, image: Image.Image | None = None, text: str = QUESTION) -> dict[str, Any]:
    """Return what the processor of a family is called with."""
    family = FAMILIES[name]
    picture = scene() if image is None else image
    shown = [picture] * family.frames if family.frames else picture
    if family.kind == "tower":
        return {"images": shown, **family.call}
    return {"images": [shown], "text": [family.fill(text)], **family.call}


def inputs(
    name: str, model: nn.Module, processor: Any, image: Image.Image | None = None, text: str = QUESTION
) -> dict[str, Tensor]:
    """Return tensors ready for `model(**inputs)`."""
    family = FAMILIES[name]
    given = processor(**sample(name, image, text), return_tensors="pt")
    tensors = {key: torch.as_tensor(value) for key, value in _named(given).items() if key not in family.without}
    for key, value in family.extra.items():
        tensors[key] = torch.tensor(_numbers(value, getattr(processor, "tokenizer", None)))
    dtype = next(model.parameters()).dtype
    return {key: value.to(dtype) if value.is_floating_point() else value for key, value in tensors.items()}


def _named(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {"pixel_values": given}


def _numbers(value: Any, tokenizer: Any) -> Any:
    if isinstance(value, str):
        return tokenizer.convert_tokens_to_ids(value)
    if isinstance(value, Mapping):
        return {key: _numbers(part, tokenizer) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_numbers(part, tokenizer) for part in value]
    return value


__all__ = ["FAMILIES", "build", "build_config", "families", "inputs", "merge", "sample"]
