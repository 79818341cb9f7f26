"""What pages ask of workers, as plain data that can be sent, and how a worker answers it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from studies.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

    import model_adapters as ma
    from model_adapters.decoding import Decoding

_FEW = 16
"""Numbers of each tensor by which weights are compared."""


@dataclass(frozen=True, eq=False)
class Look:
    """Rows of attention of one run. Plain data: it is sent to workers."""

    model: ModelSpec
    inputs: ma.Inputs
    keep: ma.Keep


@dataclass(frozen=True, eq=False)
class Question:
    """An answer with the rows of its tokens. Plain data: it is sent to workers."""

    model: ModelSpec
    inputs: ma.Inputs
    longest: int
    decoding: Decoding
    edits: tuple[Any, ...] = ()


@dataclass(frozen=True, eq=False)
class Found:
    """What a worker sends back."""

    result: Any
    weights: str
    """`few_weights` of the model that it ran."""


def worked(asked: Look | Question, heard: Callable[[list[int]], None]) -> Found:
    """Run a request in this process, a worker's."""
    import model_adapters as ma
    from studies.held import held

    model = held(asked.model)[0]
    inputs = moved(asked.inputs, model.device)
    weights = few_weights(model.module)
    if isinstance(asked, Look):
        return Found(_portable(ma.capture(model, inputs, keep=asked.keep)), weights)
    generation = ma.generate(
        model, inputs, max_new_tokens=asked.longest, decoding=asked.decoding, edits=asked.edits, on_token=heard
    )
    return Found(generation, weights)


def few_weights(module: nn.Module) -> str:
    """A hash of every name, type and shape, and of some numbers of each tensor: tells models apart in milliseconds."""
    found = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        flat = tensor.detach().flatten()
        few = flat[:: max(1, flat.numel() // _FEW)].double().cpu().numpy()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(few.tobytes())
    return found.hexdigest()


def _portable(capture: ma.Capture) -> ma.Capture:
    """The same capture with its layouts measured: until then they hold on to the model."""
    from model_adapters import BySite

    layouts = {}
    for site in capture.sites:
        try:
            layouts[site] = capture.layouts[site]
        except KeyError:
            continue  # a site that the geometry did not meet; asking for it says so
    return replace(capture, layouts=BySite(layouts, "has no layout: the geometry did not meet this attention"))


def moved(inputs: ma.Inputs, device: Any) -> ma.Inputs:
    """The same input on another device."""
    return replace(inputs, tensors={name: _to(value, device) for name, value in inputs.tensors.items()})


def _to(value: Any, device: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_to(one, device) for one in value)
    return value.to(device) if hasattr(value, "to") else value
