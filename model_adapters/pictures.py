"""The picture as the model receives it: its pixels, what they show of the original, and the scores as a function of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch

from model_adapters.errors import AdapterError
from model_adapters.geometry import layouts
from model_adapters.geometry.originals import Originals
from model_adapters.inputs import Inputs
from model_adapters.layout import Rows
from model_adapters.model import Model


@dataclass(frozen=True, eq=False)
class PreparedPicture:
    """One picture as the model receives it."""

    values: torch.Tensor
    """[3, h, w]."""
    cell: int
    """Side of a token of the last layer, in these pixels: the patch size of a plain transformer."""
    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 in pixels of the original: what the whole picture shows after resizing and cropping."""
    size: tuple[int, int]
    """(width, height) of the original."""


def pixel_name(model: Model, inputs: Inputs) -> str:
    """The tensor of the inputs that is one whole picture [1, 3, h, w]."""
    names = Originals(model, inputs).pixel_names(inputs.tensors)
    value = inputs.tensors.get(names[0]) if len(names) == 1 else None
    if not isinstance(value, torch.Tensor) or value.dim() != 4 or value.shape[0] != 1 or value.shape[1] != 3:
        shapes = {n: tuple(getattr(inputs.tensors[n], "shape", ())) for n in names}
        raise AdapterError(
            f"{model.name} does not receive its picture as one tensor [1, 3, height, width] but as {shapes}: pixels cannot be "
            "changed one by one."
        )
    return names[0]


def prepared_picture(model: Model, inputs: Inputs) -> PreparedPicture:
    """The picture of these inputs and where it lies on the original, by the layout of the last attention with tiles."""
    values = inputs.tensors[pixel_name(model, inputs)][0].detach()
    found = [one for one in layouts(model, inputs).values() if one.quality == "tile" and one.queries.placed.any()]
    if not found:
        raise AdapterError(f"no attention of {model.name} works on tiles of the picture, so there are no cells to change.")
    rows, size = found[-1].queries, found[-1].size
    rows = rows.take(np.flatnonzero(rows.placed))
    return PreparedPicture(values, _cell(rows, values, model.name), _around(rows.boxes), size)


def scores_of_pixels(model: Model, inputs: Inputs, read: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Prepared pictures [B, 3, h, w] to scores [B, C], differentiable; what belongs to the prompt is repeated.

    Args:
        model: any model that receives its picture as one tensor.
        inputs: of one picture.
        read: the model's answer to scores [B, C].
    """
    name = pixel_name(model, inputs)
    others = {n: v for n, v in inputs.tensors.items() if n != name}

    def forward(pictures: torch.Tensor) -> torch.Tensor:
        given = {n: _repeated(v, len(pictures)) if model.kind == "lvlm" else v for n, v in others.items()}
        with model.lock:
            return read(model.logits(model.module(**given, **{name: pictures})))

    return forward


def _repeated(value: object, count: int) -> object:
    if isinstance(value, torch.Tensor) and value.dim() and value.shape[0] == 1:
        return value.expand(count, *value.shape[1:])
    return value


def _cell(rows: Rows, values: torch.Tensor, name: str) -> int:
    """The side of a token in prepared pixels, which must be a square and fill the picture."""
    height, width = values.shape[1:]
    lines, columns = (_distinct(rows.boxes[:, k]) for k in (1, 0))
    if lines * columns != len(rows) or height % lines or width % columns or height // lines != width // columns:
        raise AdapterError(
            f"the {len(rows)} tokens of {name} do not cut the prepared picture of {width} x {height} pixels into squares: parts "
            "of it show nothing of the original, or several pictures are seen."
        )
    return int(height // lines)


def _distinct(starts: np.ndarray) -> int:
    return len(np.unique(np.round(starts, 1)))


def _around(boxes: np.ndarray) -> tuple[float, float, float, float]:
    ends: Iterable[float] = (*boxes[:, :2].min(0), *boxes[:, 2:].max(0))
    x0, y0, x1, y1 = (float(end) for end in ends)
    return x0, y0, x1, y1
