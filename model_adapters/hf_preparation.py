"""How the processors of transformers fill the inputs of vision towers, dual encoders and LVLMs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from model_adapters.errors import AdapterError
from model_adapters.hf_inputs import Texts
from model_adapters.inputs import Inputs, Kind, Request
from model_adapters.prompts import PLACES_ITS_OWN, SEVERAL_IMAGES, placeholder, prompt

TASK = "semantic"
"""What a model is told whose task is one of its inputs (OneFormer)."""
_CANNOT = (TypeError, IndexError, KeyError, RuntimeError, ValueError, AttributeError, AssertionError)
"""What processors raise when an input does not suit them."""


@dataclass(frozen=True)
class ProcessorPreparation:
    """Requests through the model's own processor; only what the module's forward takes is passed on."""

    processor: Any
    kind: Kind
    accepts: frozenset[str]
    """The names of the arguments of the module's forward; empty where it takes any."""
    needs: frozenset[str] = frozenset()
    """Those of them without which it does not run."""
    config: Any = None
    call: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments for each call of the processor."""
    frames: int = 0
    """How many frames a model takes that is given nothing but videos; 0 where it takes still images."""
    reads: Texts = "captions"
    """Which texts a dual encoder takes."""
    writes_apart: bool = False
    """Whether the answer is written by a decoder with an input of its own."""
    argument: str = "pixel_values"
    """The name of the module's main input."""
    together: int = 1
    """How many images a vision model looks at in one item."""

    def __call__(self, request: Request, device: torch.device, dtype: torch.dtype) -> Inputs:
        """The inputs of one run."""
        request = self._grouped(request)
        count = self.frames or getattr(self.config, "num_frames", None)
        frames = tuple(_spread(f, count) for f in request.frames)
        if self.frames and not frames:
            raise ValueError(f"This model takes a video of {self.frames} frames. Give the frames as `video`.")
        fill = {"vit": self._tower, "dual": self._dual, "lvlm": self._lvlm}[self.kind]
        found = dict(fill(request, frames))
        found.update(self._further(found, request.batch))
        taken = {name for name in found if name in self.accepts or not self.accepts} - {"labels"}
        tensors = {name: _moved(found[name], device, dtype) for name in found if name in taken}
        missing = sorted(self.needs - set(tensors) - {"args", "kwargs"})
        if missing or not tensors:
            raise ValueError(self._lacking(missing, found, request))
        return Inputs(tensors, request.batch, request.many, request.images, request.texts, frames)

    def _lacking(self, missing: list[str], found: Mapping[str, Any], request: Request) -> str:
        given = "an image" if request.images else "a video" if request.frames else "text alone"
        return (
            f"This model needs {', '.join(missing) or 'other inputs'}, and from {given} its processor makes "
            f"{', '.join(sorted(found)) or 'nothing'}. Give it an image, or a video where it takes one; what no processor "
            "makes can be given in Inputs(tensors={...})."
        )

    def _grouped(self, request: Request) -> Request:
        """Images that belong to one item together, for a model that looks at several."""
        if self.together == 1:
            return request
        images = [one for images in request.images for one in images]
        if not images or len(images) % self.together:
            raise ValueError(f"This model looks at {self.together} images together. Give them as a list. Got {len(images)}.")
        items = tuple(tuple(images[n : n + self.together]) for n in range(0, len(images), self.together))
        return replace(request, images=items, batch=len(items), many=len(items) > 1)

    def _tower(self, request: Request, frames: tuple) -> Mapping[str, Any]:
        if frames:
            return self._video(frames)
        images: list[Any] = _firsts(request) if self.together == 1 else [list(images) for images in request.images]
        told = {"task_inputs": [TASK] * request.batch} if "task_inputs" in self.needs else {}
        found = dict(self._processed(images=images, **told))
        if self.argument == "inputs" and "pixel_values" in found:
            found["inputs"] = found.pop("pixel_values")
        return found

    def _video(self, frames: tuple) -> Mapping[str, Any]:
        taken = inspect.signature(type(self.processor).__call__).parameters
        clips = [list(clip) for clip in frames]
        if "videos" in taken or "Video" in type(self.processor).__name__:
            try:
                return self._processed(videos=clips)
            except AdapterError as error:
                if not isinstance(error.__cause__, TypeError):  # the older video processors take the frames as images
                    raise
        return self._processed(images=clips[0])

    def _dual(self, request: Request, frames: tuple) -> Mapping[str, Any]:
        if not request.texts:
            raise ValueError("This model compares images with texts. Give the captions as `text`, one or a list.")
        if self.reads == "pairs" and len(request.texts) != request.batch:
            raise ValueError(
                f"This model reads each image together with one text. Got {request.batch} images, {len(request.texts)} texts."
            )
        texts: list[Any] = list(request.texts)
        if placeholder(self.processor):  # a model of texts that hold their image
            texts = [prompt(self.processor, text, 1, 0) for text in texts]
        padding: dict[str, Any] = {"padding": True} if len(texts) > 1 or self.reads == "captions" else {}
        if self.reads == "queries":
            texts, padding = [texts] * request.batch, {}
        if str(getattr(self.config, "model_type", "")).startswith(("siglip", "owl")):  # trained on padded texts, without a mask
            padding = {"padding": "max_length", "max_length": self.config.text_config.max_position_embeddings}
        images: list[Any] = [list(clip) for clip in frames] if frames else _firsts(request)
        return self._processed(text=texts, images=images, **padding)

    def _lvlm(self, request: Request, frames: tuple) -> Mapping[str, Any]:
        self._check(request, frames)
        given: dict[str, Any] = {}
        counts = [len(images) for images in request.images] or [0] * request.batch
        if request.images:
            several = request.batch > 1 or counts[0] > 1
            given["images"] = [list(images) for images in request.images] if several else list(request.images[0])
        if frames:
            takes_videos = "videos" in inspect.signature(type(self.processor).__call__).parameters
            given["videos" if takes_videos else "images"] = [[np.asarray(one) for one in clip] for clip in frames]
            if takes_videos:
                given["do_sample_frames"] = False  # the frames were chosen by whoever gave them
        if getattr(self.processor, "tokenizer", None) is not None:
            given.update(self._written(request, counts, bool(frames)))
        if request.batch > 1:
            given.update(padding=True, padding_side="left")
        found = self._processed(**given)
        if "mm_token_type_ids" in self.accepts and "mm_token_type_ids" not in found:
            found = self._processed(**given, return_mm_token_type_ids=True)
        found = dict(found) if isinstance(found, Mapping) else {"pixel_values": found}
        apart = getattr(self.processor, "qformer_tokenizer", None)
        if apart is not None and request.batch > 1:  # it counts positions from the left, so padding goes to the right
            again = apart(given["text"], padding=True, padding_side="right", return_tensors="pt")
            found.update({f"qformer_{name}": tensor for name, tensor in again.items()})
        if "image_patches" in found and "pixel_values" in self.accepts:  # an older name of Fuyu's
            found.setdefault("pixel_values", found.pop("image_patches"))
        return found

    def _written(self, request: Request, counts: list[int], video: bool) -> dict[str, Any]:
        """The prompts; where a processor wants to know where words lie, those of a question lie nowhere."""
        texts = [prompt(self.processor, text, count, video) for text, count in zip(request.texts, counts, strict=True)]
        if "boxes" not in inspect.signature(type(self.processor).__call__).parameters or self._reads_letters:
            return {"text": texts}
        words = [text.split() or [""] for text in texts]
        return {"text": words, "boxes": [[[0, 0, 0, 0]] * len(each) for each in words]}

    @property
    def _reads_letters(self) -> bool:
        """Whether the processor finds the words of a page itself."""
        return bool(getattr(getattr(self.processor, "image_processor", None), "apply_ocr", False))

    def _processed(self, **given: Any) -> Any:
        try:
            return self.processor(**given, return_tensors="pt", **self.call)
        except _CANNOT as error:
            told = str(error).rstrip(".")
            raise AdapterError(
                f"{type(self.processor).__name__} cannot prepare this input: {told}. It may need more than an image and a text."
            ) from error

    def _check(self, request: Request, frames: tuple) -> None:
        name = type(self.processor).__name__
        most = max((len(images) for images in request.images), default=0)
        if most > 1 and name in PLACES_ITS_OWN - SEVERAL_IMAGES:
            raise ValueError(f"This model reads one image per prompt ({name}). Got {most}.")
        has_video = hasattr(self.processor, "video_processor") or placeholder(self.processor, "video")
        if frames and not has_video and "pixel_values_videos" not in self.accepts:
            raise ValueError(f"This model takes no video ({name}). Give the frames as a list of images.")

    def _further(self, found: Mapping[str, Any], batch: int) -> dict[str, Any]:
        """What the module needs and no processor gives."""
        more: dict[str, Any] = {}
        if self.kind == "lvlm" and self.writes_apart:
            more["decoder_input_ids"] = torch.full((batch, getattr(self.config, "canvas_length", 1)), self._start())
        if "noise" in self.accepts and self.kind == "vit":
            more["noise"] = torch.arange(_patches(self.config)).float().expand(batch, -1).contiguous()
        return {name: value for name, value in more.items() if name in self.accepts and name not in found}

    def _start(self) -> int:
        """The token that an encoder-decoder begins its answer with."""
        parts = [self.config, getattr(self.config, "text_config", None), getattr(self.config, "decoder", None)]
        for field_name in ("decoder_start_token_id", "bos_token_id", "pad_token_id"):
            for part in parts:
                value = getattr(part, field_name, None)
                if isinstance(value, int):
                    return value
        raise AdapterError("The configuration names no token to begin an answer with (decoder_start_token_id).")


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
    if isinstance(value, (list, tuple)) and not _holds_tensors(value):
        return _moved(torch.as_tensor(value), device, dtype)
    if isinstance(value, (list, tuple)):
        return type(value)(_moved(one, device, dtype) for one in value)
    return value


def _holds_tensors(value: Any) -> bool:
    return any(isinstance(one, torch.Tensor) or (isinstance(one, (list, tuple)) and _holds_tensors(one)) for one in value)
