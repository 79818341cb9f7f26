"""What a model of transformers takes, read off its signature, its configuration and its processor."""

from __future__ import annotations

import inspect
from typing import Any, Literal

from torch import nn

from model_adapters.classes import reads_captions, task
from model_adapters.inputs import Kind

SEES = ("pixel_values", "flattened_patches")
FRAMES = 4
"""How many frames a model of videos is given where nothing says how many it takes."""

Texts = Literal["captions", "queries", "pairs"]
"""Which texts a model takes beside images: any captions for all, any queries for all, or one text for each image."""

_QUERIES = frozenset({"owlvit", "owlv2", "omdet-turbo"})
"""Detectors that look for any number of things in each image."""


def accepted(module: nn.Module) -> frozenset[str]:
    """The names of the arguments of a module's forward; empty where it takes any."""
    names = _arguments(module)
    if not names & {"pixel_values", "input_ids", "flattened_patches", "pixel_values_videos"}:
        return frozenset()
    # An encoder-decoder, or a forward that hands on what it does not name, takes what its encoder takes.
    config: Any = getattr(module, "config", None)
    if getattr(config, "is_encoder_decoder", False) or not any(name.startswith(SEES) for name in names):
        inner: Any = getattr(module, "get_encoder", None)
        encoder = inner() if inner is not None else None
        names |= _arguments(encoder) if isinstance(encoder, nn.Module) else frozenset()
    return names


def needed(module: nn.Module) -> frozenset[str]:
    """The arguments of a module's forward that have no default."""
    found = inspect.signature(module.forward).parameters.values()
    return frozenset(p.name for p in found if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD)


def kind_of(module: nn.Module) -> Kind:
    """Say "lvlm" of what sees and writes, "dual" of what takes images and texts, else "vit"."""
    names = accepted(module)
    sees = not names or any(name.startswith((*SEES, "images")) for name in names)
    writes: Any = getattr(module, "can_generate", None)
    if sees and callable(writes) and writes():
        return "lvlm"
    reads = any(name.endswith("input_ids") for name in names) and sees and not embeds_apart(module)
    return "dual" if reads else "vit"


def writes_apart(module: Any) -> bool:
    """Whether the answer is written by a decoder with an input of its own, beside what reads the prompt."""
    config = getattr(module, "config", None)
    parts = (config, getattr(config, "text_config", None))
    halves = all(hasattr(module, name) for name in ("text_encoder", "text_decoder"))
    return halves or hasattr(config, "canvas_length") or any(getattr(part, "is_encoder_decoder", False) for part in parts)


def embeds_apart(module: nn.Module) -> bool:
    """Whether a model embeds pages and questions apart (ColPali): it is given an image alone, with a prompt of its own."""
    return task(module) == "ForRetrieval"


def matches_images(module: nn.Module) -> bool:
    """Whether a model looks for the same points in two images."""
    return task(module) == "ForKeypointMatching"


def texts_of(module: nn.Module) -> Texts:
    """Which texts a model takes that reads texts beside images and does not write."""
    if reads_captions(module):
        return "captions"
    return "queries" if getattr(module.config, "model_type", "") in _QUERIES else "pairs"


def frames_of(module: nn.Module, processor: Any = None) -> int:
    """How many frames a model takes that is given nothing but videos; 0 where it takes still images."""
    names, config = accepted(module), getattr(module, "config", None)
    if getattr(module, "main_input_name", "") == "inputs":  # Perceivers, whose configuration speaks of every modality
        return 0
    told = getattr(config, "num_frames", None) or getattr(config, "frames_per_clip", None)
    if told is None and kind_of(module) != "lvlm":
        told = getattr(getattr(config, "vision_config", None), "num_frames", None)
    if "pixel_values_videos" in names and "pixel_values" not in names:
        return told or FRAMES
    if kind_of(module) == "lvlm":
        parts: list[str] = getattr(processor, "get_attributes", list)()
        return FRAMES if "video_processor" in parts and "image_processor" not in parts else 0
    return told if isinstance(told, int) and "pixel_values" in names else 0


def _arguments(module: nn.Module) -> frozenset[str]:
    found = inspect.signature(module.forward).parameters
    return frozenset(n for n, p in found.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
