"""How the processors of transformers fill the inputs of vision towers, dual encoders and LVLMs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image

from model_adapters.errors import AdapterError
from model_adapters.inputs import Inputs, Kind, Request
from model_adapters.prompts import prompt

_PAIRS = frozenset({"bridgetower", "vilt", "flava"})
"""Dual encoders that read an image and a text together: one text per image."""


@dataclass(frozen=True)
class ProcessorPreparation:
    """Requests through the model's own processor; only what the module's forward takes is passed on."""

    processor: Any
    kind: Kind
    accepts: frozenset[str]
    """The names of the arguments of the module's forward; empty where it takes any."""
    config: Any = None
    call: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments for each call of the processor."""

    def __call__(self, request: Request, device: torch.device, dtype: torch.dtype) -> Inputs:
        """The inputs of one run."""
        frames = tuple(_spread(f, getattr(self.config, "num_frames", None)) for f in request.frames)
        fill = {"vit": self._tower, "dual": self._dual, "lvlm": self._lvlm}[self.kind]
        try:
            found = dict(fill(request, frames))
        except (TypeError, IndexError, KeyError) as error:
            raise AdapterError(f"{type(self.processor).__name__} cannot prepare this input: {error}.") from error
        found.update(self._further(found, request.batch))
        tensors = {n: _moved(v, device, dtype) for n, v in found.items() if not self.accepts or n in self.accepts}
        if not tensors:
            raise AdapterError(f"The processor returned {sorted(found)}, the model takes {sorted(self.accepts)}.")
        return Inputs(tensors, request.batch, request.many, request.images, request.texts, frames)

    def _tower(self, request: Request, frames: tuple) -> Mapping[str, Any]:
        if frames:
            return self._video(frames)
        if getattr(self.config, "num_frames", None):
            count = self.config.num_frames
            raise ValueError(f"This model takes a video of {count} frames. Give the frames as `video`.")
        return self.processor(images=_firsts(request), return_tensors="pt", **self.call)

    def _video(self, frames: tuple) -> Mapping[str, Any]:
        taken = inspect.signature(type(self.processor).__call__).parameters
        clips = [list(clip) for clip in frames]
        if "videos" in taken or "Video" in type(self.processor).__name__:
            try:
                return self.processor(videos=clips, return_tensors="pt", **self.call)
            except TypeError:
                pass  # the older video processors take the frames as images
        return self.processor(images=clips[0], return_tensors="pt", **self.call)

    def _dual(self, request: Request, frames: tuple) -> Mapping[str, Any]:
        if not request.texts:
            raise ValueError("This model compares images with texts. Give the captions as `text`, one or a list.")
        together = getattr(self.config, "model_type", "") in _PAIRS
        if together and len(request.texts) != request.batch:
            raise ValueError(
                "This model reads each image together with one text. "
                f"Got {request.batch} images, {len(request.texts)} texts."
            )
        padding = "max_length" if str(getattr(self.config, "model_type", "")).startswith("siglip") else True
        return self.processor(
            text=list(request.texts), images=_firsts(request), return_tensors="pt", padding=padding, **self.call
        )

    def _lvlm(self, request: Request, frames: tuple) -> Mapping[str, Any]:
        given: dict[str, Any] = {}
        counts = [len(images) for images in request.images] or [0] * request.batch
        if request.images:
            several = request.batch > 1 or counts[0] > 1
            given["images"] = [list(images) for images in request.images] if several else list(request.images[0])
        if frames:
            given["videos"] = [[np.asarray(frame) for frame in clip] for clip in frames]
        if getattr(self.processor, "tokenizer", None) is not None:
            given["text"] = [
                prompt(self.processor, text, count, bool(frames))
                for text, count in zip(request.texts, counts, strict=True)
            ]
        if request.batch > 1:
            given.update(padding=True, padding_side="left")
        return self.processor(**given, return_tensors="pt", **self.call)

    def _further(self, found: Mapping[str, Any], batch: int) -> dict[str, Any]:
        """What the module needs and no processor gives."""
        more: dict[str, Any] = {}
        start = getattr(self.config, "decoder_start_token_id", None)
        if self.kind == "lvlm" and getattr(self.config, "is_encoder_decoder", False) and start is not None:
            more["decoder_input_ids"] = torch.full((batch, 1), start)
        if "noise" in self.accepts and self.kind == "vit":
            more["noise"] = torch.arange(_patches(self.config)).float().expand(batch, -1).contiguous()
        return {name: value for name, value in more.items() if name in self.accepts and name not in found}


def accepted(module: torch.nn.Module) -> frozenset[str]:
    """The names of the arguments of a module's forward; empty where it takes any."""
    found = inspect.signature(module.forward).parameters
    names = frozenset(n for n, p in found.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    return names if "pixel_values" in names or "input_ids" in names else frozenset()


def _firsts(request: Request) -> list[Image.Image]:
    return [images[0] for images in request.images]


def _spread(frames: tuple, count: int | None) -> tuple:
    """As many frames as the model takes, evenly spread over those that were given."""
    if not count or len(frames) == count:
        return frames
    return tuple(frames[i] for i in np.linspace(0, len(frames) - 1, count).round().astype(int))


def _patches(config: Any) -> int:
    size, patch = config.image_size, config.patch_size
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    return (height // patch) * (width // patch)


def _moved(value: Any, device: torch.device, dtype: torch.dtype) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device, dtype) if value.is_floating_point() else value.to(device)
    if isinstance(value, (list, tuple)):
        return type(value)(_moved(one, device, dtype) for one in value)
    return value
