"""Small random LLaVA-like models of several layers, and what transformers itself says of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import transformers

import model_adapters as ma
from tests.visual_tokens.small import QUESTION
from tests.zoo import hf
from tests.zoo.parts import build_processor
from tests.zoo.registry import FAMILIES
from tests.zoo.shake import scene, shaken

DEPTH = 5


@cache
def deeper(seed: int) -> ma.Model:
    """A LLaVA of five decoder layers with weights of this seed."""
    family = FAMILIES["llava"]
    processor = build_processor(family)
    config = hf.build_config(family, processor)
    config.text_config.num_hidden_layers = DEPTH
    if getattr(config.text_config, "layer_types", None):
        config.text_config.layer_types = ["full_attention"] * DEPTH
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = transformers.LlavaForConditionalGeneration._from_config(config)
    shaken(module, seed)
    return ma.wrap(module.eval(), processor, name=f"llava {seed}", kind="lvlm", verify=False)


@cache
def asked_of(seed: int, picture: int) -> ma.Inputs:
    """One question about one of several pictures."""
    return deeper(seed).prepare(image=scene((112 + 16 * picture, 112)).rotate(37 * picture), text=QUESTION)


@cache
def told(seed: int, picture: int) -> Any:
    """Attention and hidden states as transformers hands them out, from attention written as plain products."""
    module = deeper(seed).module
    module.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            return module(**asked_of(seed, picture).tensors, output_attentions=True, output_hidden_states=True)
    finally:
        module.set_attn_implementation("sdpa")
