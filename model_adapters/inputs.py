"""What goes into a model: what was asked for (`Request`), and the tensors that the module is called with (`Inputs`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from model_adapters.images import read_frames, read_image

Kind = Literal["vit", "dual", "lvlm"]
ImageLike = Image.Image | np.ndarray | bytes | str | Path


@dataclass(frozen=True, eq=False)
class Inputs:
    """The prepared input of one run."""

    tensors: dict[str, Any]
    """Name -> tensor: the keyword arguments that the module is called with, on the model's device."""
    batch: int = 1
    """How many items (images of a classifier, prompts of an LVLM) lie on the batch axis."""
    many: bool = False
    """A list was given, so results keep their batch axis even for one item."""
    images: tuple[tuple[Image.Image, ...], ...] = ()
    """Per item the original images: RGB, upright."""
    texts: tuple[str, ...] = ()
    """The texts as they were given, without template and placeholders (captions for a dual encoder)."""
    frames: tuple[tuple[Image.Image, ...], ...] = ()
    """Per item the video frames, in the order they were given; empty for still images."""

    @property
    def signature(self) -> tuple:
        """Names, shapes and types of the tensors: runs of equal signature cost the same and share their geometry."""
        return (self.batch, *sorted((name, *_described(value)) for name, value in self.tensors.items()))

    def with_tensors(self, **tensors: Any) -> Inputs:
        """The same input with some tensors exchanged or added."""
        return replace(self, tensors={**self.tensors, **tensors})


@dataclass(frozen=True, eq=False)
class Request:
    """What a user asked to be prepared, read and sorted into items."""

    images: tuple[tuple[Image.Image, ...], ...] = ()
    texts: tuple[str, ...] = ()
    frames: tuple[tuple[Image.Image, ...], ...] = ()
    many: bool = False
    batch: int = field(default=1)


def request(kind: Kind, image: Any = None, text: Any = None, video: Any = None) -> Request:
    """Read images and sort the arguments of `Model.prepare` into items.

    For "vit" and "dual" a list of images is a batch. For "lvlm" a list of images with one text is one prompt over
    several images; a list of texts is a batch, and then `image` is a list of the same length, of images or of lists
    of images.
    """
    if image is None and text is None and video is None:
        raise ValueError("prepare needs an image, a text or a video. Nothing was given.")
    if kind == "lvlm":
        return _prompts(image, text, video)
    return _pictures(kind, image, text, video)


def _pictures(kind: Kind, image: Any, text: Any, video: Any) -> Request:
    if (image is None) == (video is None):
        raise ValueError("This model takes one image (or a list of them), or one video. Give exactly one of the two.")
    if text is not None and kind == "vit":
        raise ValueError("This model takes no text. Leave `text` out.")
    texts = () if text is None else tuple(_listed(text))
    if video is not None:
        return Request(frames=(read_frames(video),), texts=texts)
    many = isinstance(image, (list, tuple))
    images = tuple((read_image(one),) for one in _listed(image))
    if not images:
        raise ValueError("A batch needs at least one image. The list is empty.")
    return Request(images, texts, many=many, batch=len(images))


def _prompts(image: Any, text: Any, video: Any) -> Request:
    many = isinstance(text, (list, tuple))
    texts = tuple(_listed("" if text is None else text))
    if not texts or any(not isinstance(one, str) for one in texts):
        raise ValueError(f"text must be a string or a list of strings. Got {text!r} instead.")
    if isinstance(image, (list, tuple)) and not image and not many:
        raise ValueError("The list of images is empty. Give at least one, or leave `image` out to ask without one.")
    images = _per_prompt("image", image, texts, many, _read_images)
    frames = _per_prompt("video", video, texts, many, read_frames)
    return Request(images, texts, frames, many, len(texts))


def _per_prompt(name: str, given: Any, texts: Sequence[str], many: bool, read: Any) -> tuple:
    if given is None:
        return ()
    if not many:
        return (read(given),)
    if not isinstance(given, (list, tuple)) or len(given) != len(texts):
        count = len(given) if isinstance(given, (list, tuple)) else "no list"
        raise ValueError(f"{len(texts)} texts need a list of {len(texts)} entries as `{name}`. Got {count}.")
    return tuple(read(one) for one in given)


def _read_images(given: Any) -> tuple[Image.Image, ...]:
    return tuple(read_image(one) for one in _listed(given))


def _listed(given: Any) -> Sequence[Any]:
    return given if isinstance(given, (list, tuple)) else [given]


def _described(value: Any) -> tuple[tuple[int, ...], str]:
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), str(value.dtype)
    if isinstance(value, (list, tuple)):
        return (len(value),), ", ".join(str(_described(one)) for one in value)
    return (), repr(value)
