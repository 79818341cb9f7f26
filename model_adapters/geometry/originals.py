"""The original images of one item, and the same item prepared again with other pictures of the same sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from model_adapters.errors import AdapterError
from model_adapters.geometry.doors import Door, doors_of
from model_adapters.geometry.ramp import SAME, Traced, picture, trace
from model_adapters.inputs import Inputs
from model_adapters.model import Model


@dataclass(frozen=True)
class Originals:
    """The pictures of the first item of some inputs: still images first, then video frames."""

    model: Model
    inputs: Inputs

    @property
    def pictures(self) -> tuple[Image.Image, ...]:
        """All pictures."""
        return (*self._stills, *self._frames)

    @property
    def known(self) -> bool:
        """Whether the pictures and the way to prepare them are known."""
        return self.model.preparation is not None and bool(self.pictures)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the first picture."""
        return self.pictures[0].size

    def address(self, source: int) -> tuple[int, int]:
        """The image and the frame that a picture is; frames belong to the image behind the last still."""
        stills = len(self._stills)
        return (source, 0) if source < stills else (stills, source - stills)

    def prepared(self, pictures: list[Image.Image]) -> dict[str, Any]:
        """The tensors of the first item with other pictures in place of its own."""
        stills, frames = pictures[: len(self._stills)], pictures[len(self._stills) :]
        kind, texts = self.model.kind, self.inputs.texts
        alone = kind == "lvlm" or self.model.pairs
        text: Any = texts[0] if texts and alone else list(texts) if texts else None
        image = stills if (kind == "lvlm" or len(stills) > 1) and stills else stills[0] if stills else None
        return self.model.prepare(image=image, text=text, video=frames or None).tensors

    def first(self) -> dict[str, Any]:
        """The tensors of the first item alone."""
        if self.inputs.batch == 1 or not self.known:
            return {name: _first(value, self.inputs.batch) for name, value in self.inputs.tensors.items()}
        return self.prepared(list(self.pictures))

    def pixel_names(self, tensors: Mapping[str, Any]) -> tuple[str, ...]:
        """Which tensors are made of pixels: those that differ between a black and a white picture."""
        floating = [n for n, v in tensors.items() if _is_floating(v)]
        if not self.known or len(floating) == 1:
            return tuple(floating)
        black, white = (self.prepared([picture(k, p.size) for p in self.pictures]) for k in ("black", "white"))
        found = tuple(n for n in floating if _differs(black[n], white[n]))
        if not found:
            raise AdapterError(SAME)
        return found

    def traced(self, names: tuple[str, ...], doors: list[Door]) -> list[Traced | None]:
        """Where the pixels at the doors come from; None where the originals are not known."""
        if not self.known:
            return [None] * len(doors)

        def send(pictures: list[Image.Image]) -> list[torch.Tensor]:
            given = self.prepared(pictures)
            return [door.pixels for door in doors_of(self.model.module, given, names, last=doors[-1].place)]

        return list(trace(send, [p.size for p in self.pictures]))

    @property
    def _stills(self) -> tuple[Image.Image, ...]:
        return self.inputs.images[0] if self.inputs.images else ()

    @property
    def _frames(self) -> tuple[Image.Image, ...]:
        return self.inputs.frames[0] if self.inputs.frames else ()


def first_item(model: Model, inputs: Inputs) -> Inputs:
    """The first item of a batch, prepared alone."""
    if inputs.batch == 1:
        return inputs
    originals = Originals(model, inputs)
    texts = inputs.texts[:1] if model.kind == "lvlm" else inputs.texts
    return Inputs(originals.first(), 1, False, inputs.images[:1], texts, inputs.frames[:1])


def _first(value: Any, batch: int) -> Any:
    if isinstance(value, torch.Tensor) and batch > 1 and value.dim() and value.shape[0] == batch:
        return value[:1]
    return value


def _is_floating(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and _is_floating(value[0])
    return isinstance(value, torch.Tensor) and value.is_floating_point() and value.dim() > 1


def _differs(black: Any, white: Any) -> bool:
    if isinstance(black, (list, tuple)):
        return any(_differs(b, w) for b, w in zip(black, white, strict=True))
    return black.shape == white.shape and not torch.equal(black, white)
