"""Tiny random models of transformers with their own processors: nothing is downloaded."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import nn
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from .asking import inputs, numbers, sample
from .parts import build_processor, token_ids
from .records import Family
from .registry import FAMILIES, families
from .shake import settled, shaken
from .shrink import tiny_config

VOCABULARIES = ("vocab_size", "vocab_size_per_layer_input")


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
    config_class = getattr(transformers, CONFIG_MAPPING_NAMES[family.type])
    tokenizer = getattr(processor, "tokenizer", None)
    sizes = {} if tokenizer is None else dict.fromkeys(VOCABULARIES, len(tokenizer))
    reserved = iter(range(4, 20))
    ids = token_ids(family, processor)

    def spelled(name: str, value: Any) -> Any:
        """The number that belongs in a field of the configuration."""
        if name in sizes:
            return sizes[name]
        key = name.replace("_token_index", "_token_id")
        if not sizes or not key.endswith("_token_id") or not isinstance(value, (int, list, type(None))):
            return value
        if key in ids:
            return ids[key]
        return value if value is None else next(reserved)

    numbered = {name: numbers(token, tokenizer) for name, token in family.ids.items()}
    return tiny_config(config_class, {**family.config, **numbered}, spelled)


__all__ = ["FAMILIES", "build", "build_config", "families", "inputs", "sample"]
