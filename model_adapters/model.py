"""A loaded model: its module as it is, and how inputs are made for it and answers read from it."""

from __future__ import annotations

import hashlib
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from model_adapters.card import Card
from model_adapters.classes import PER_CAPTION, Classes, classes_of
from model_adapters.errors import AdapterError
from model_adapters.events import says_attention
from model_adapters.findings import NOTHING_FOUND, Findings
from model_adapters.inputs import Inputs, Kind, Request, request
from model_adapters.labels import Labels

__all__ = ["Inputs", "Model", "answer_of"]

_ANSWERS = (
    "logits", "itm_score", *PER_CAPTION, "class_queries_logits", "pred_masks", "pooler_output", "image_embeds",
    "last_hidden_state",
)  # fmt: skip
"""Where the answer is looked for first. Where none of them is there, it is the first tensor of numbers that is returned."""


@dataclass(eq=False)
class Model:
    """A module with its processor, its card, and the result of its check."""

    name: str
    """The name it was loaded by, such as "timm:deit_tiny_patch16_224"."""
    module: nn.Module
    kind: Kind
    """"vit": image in, scores or features out; "dual": image and captions; "lvlm": image and text in, text out."""
    processor: Any
    """The model's own: timm's transform, or the processor of transformers. None where the user gave none."""
    card: Card
    preparation: Callable[[Request, torch.device, torch.dtype], Inputs] | None = None
    """Turns a request into tensors by means of the processor."""
    labels: tuple[str, ...] | None = None
    """The names of the classes, where they are known."""
    declared: int | None = None
    """How many classes its user says that it scores; None where nothing was said."""
    findings: Findings = NOTHING_FOUND
    """What a survey of the model has found; nothing until it was surveyed."""
    report: Any = None
    """What `verify` found; None until it ran."""
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    """Held around every run: one run at a time per model."""

    @property
    def device(self) -> torch.device:
        """Where the inputs go: the device of the first parameter."""
        return next((p.device for p in self.module.parameters()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """The floating type of the weights: that of the first floating parameter."""
        return next((p.dtype for p in self.module.parameters() if p.is_floating_point()), torch.float32)

    @property
    def classes(self) -> Classes:
        """What its scores are of: classes, captions or tokens; false, with the reason, where its answer is no scores."""
        return classes_of(self)

    @property
    def frames(self) -> int:
        """How many frames it takes, where it takes nothing but videos; else 0."""
        return getattr(self.preparation, "frames", 0)

    @property
    def pairs(self) -> bool:
        """Whether it reads each image together with one text of its own."""
        return self.kind == "dual" and getattr(self.preparation, "reads", "") == "pairs"

    @cached_property
    def tap_labels(self) -> Labels:
        """The towers and layers of the module, read once from its names and from where attention was found."""
        return Labels(self.module, self.kind, self.findings.attended)

    def learn(self, findings: Findings) -> None:
        """Keep what a survey of the model has found."""
        self.findings = findings
        for name in ("tap_labels", "_attention_modules"):
            self.__dict__.pop(name, None)

    @property
    def tap_scopes(self) -> frozenset[str] | None:
        """The modules inside which attention happens, once the check has seen them; None listens everywhere.

        Models that call softmax themselves may use its result outside that module, so they are heard whole.
        """
        if self.report is None or not self.report.passed or any(s.kind == "softmax" for s in self.report.seen):
            return None
        return self._attention_modules

    @cached_property
    def _attention_modules(self) -> frozenset[str]:
        seen = {site.name for site in self.report.seen}
        return frozenset(seen | {n for n, m in self.module.named_modules() if n and says_attention(n, m)})

    @cached_property
    def form(self) -> str:
        """A hash of the module's parts, their shapes and its configuration: all that it is but its weights."""
        named = [(name, type(part).__name__) for name, part in self.module.named_modules()]
        shapes = [(name, tuple(p.shape)) for name, p in self.module.named_parameters()]
        config = self.config.to_json_string() if hasattr(self.config, "to_json_string") else ""
        return hashlib.sha256(repr([self.kind, named, shapes, config]).encode()).hexdigest()[:32]

    @property
    def config(self) -> Any:
        """The configuration of a transformers model, None for others."""
        return getattr(self.module, "config", None)

    def prepare(self, image: Any = None, text: Any = None, video: Any = None) -> Inputs:
        """Make the input of one run, through the model's own processor.

        Args:
            image: a PIL image, an array [height, width, channels], a path or bytes. A list is a batch for "vit" and
                "dual"; for "lvlm" it is several images of one prompt, unless `text` is a list.
            text: the question of an LVLM, or the captions of a dual encoder. A list of questions is a batch, and
                `image` is then a list of the same length whose entries are images or lists of images.
            video: frames as a list of images, an array [frames, height, width, channels], a folder of images or an
                animated image file.
        """
        if self.preparation is None:
            raise AdapterError(
                f"{self.name} was given without a processor, so no image can be prepared for it. Pass `processor=` to "
                "wrap, or build Inputs(tensors={...}) with the tensors that the module is called with."
            )
        return self.preparation(request(self.kind, image, text, video), self.device, self.dtype)

    def forward(self, inputs: Inputs, **kwargs: Any) -> Any:
        """Run the module once and return what it returns; `kwargs` are added to its arguments."""
        given = {**inputs.tensors, **kwargs}
        if unknown := sorted(set(given) - _taken(self.module, given)):
            raise ValueError(f"{self.name} takes no {', '.join(unknown)}. Its arguments are {sorted(_taken(self.module, {}))}.")
        with self.lock:
            try:
                return self.module(**given)
            except (RuntimeError, IndexError) as error:
                if type(error) not in (RuntimeError, IndexError):  # those of ours, and of too little memory, say it themselves
                    raise
                shapes = {name: tuple(value.shape) for name, value in given.items() if isinstance(value, torch.Tensor)}
                raise AdapterError(f"{self.name} does not run on these inputs ({error}). It was given {shapes}.") from error

    def logits(self, output: Any) -> torch.Tensor:
        """The answer in the module's output: scores [B, C], token logits [B, T, V], image-text logits, or features."""
        return answer_of(output, self.name)


def _taken(module: nn.Module, given: Mapping[str, Any]) -> set[str]:
    """The names of the arguments of a module's forward; all that are given where it takes any."""
    found = inspect.signature(module.forward).parameters.values()
    return set(given) if any(p.kind is p.VAR_KEYWORD for p in found) else {p.name for p in found}


def answer_of(output: Any, name: str = "The model") -> torch.Tensor:
    """The tensor that holds the answer: the scores where there are any, else the features."""
    named = dict(_parts(output))
    for key in (*(k for k in _ANSWERS if k in named), None):
        found = next(_numbers(output if key is None else named[key]), None)
        if found is not None:
            return found
    told = list(named) or type(output).__name__
    raise AdapterError(f"{name} returned no tensor of numbers that could be its answer ({told}).")


def _numbers(value: Any) -> Iterator[torch.Tensor]:
    """Floating tensors with a batch axis, in their order; a single number is a loss and no answer."""
    if isinstance(value, torch.Tensor):
        if value.is_floating_point() and value.dim():
            yield value
        return
    for key, part in _parts(value):
        if key != "loss":
            yield from _numbers(part)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((str(key), part) for key, part in value.items())
    elif isinstance(value, (list, tuple)):
        yield from zip(getattr(value, "_fields", map(str, range(len(value)))), value, strict=True)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from ((each.name, getattr(value, each.name)) for each in fields(value))
