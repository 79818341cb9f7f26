"""The picture as the model receives it: its pixels, what they show of the original, and the scores as a function of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from model_adapters.errors import AdapterError
from model_adapters.geometry import layouts
from model_adapters.geometry.originals import Originals
from model_adapters.geometry.ramp import trace
from model_adapters.inputs import Inputs
from model_adapters.model import Model

USUAL = 16
"""Largest side of a cell where no tokens say how large one is."""


@dataclass(frozen=True, eq=False)
class PreparedPicture:
    """One picture as the model receives it."""

    values: torch.Tensor
    """[3, h, w]."""
    cell: int
    """Side of a token of the last layers, in these pixels: the patch size of a plain transformer."""
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
    """The picture of these inputs, what it shows of the original (traced through the model's own preparation), and its cells."""
    name, originals = pixel_name(model, inputs), Originals(model, inputs)
    values = inputs.tensors[name][0].detach()
    (traced,) = trace(lambda pictures: [originals.prepared(pictures)[name]], [p.size for p in originals.pictures])
    (x0, x1), (y0, y1) = _ends(traced.x[0, 0], 1), _ends(traced.y[0, 0], 0)
    return PreparedPicture(values, _cell(model, inputs, (x0, y0, x1, y1), values), (x0, y0, x1, y1), originals.size)


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


def _ends(places: np.ndarray, axis: int) -> tuple[float, float]:
    """Where the first and the last edge of a picture lie, from the places [h, w] of its pixels' middles; NaN is padding."""
    count = places.shape[axis]
    middles = np.arange(count) + 0.5
    known = ~np.isnan(places).all(1 - axis)
    slope, start = np.polyfit(middles[known], np.nanmean(places.compress(known, axis), 1 - axis), 1)
    return float(start), float(start + slope * count)


def _cell(model: Model, inputs: Inputs, box: tuple[float, float, float, float], values: torch.Tensor) -> int:
    """The side of the last tokens that cut the prepared picture into squares; else up to 16 pixels that divide it."""
    height, width = values.shape[1:]
    for layout in reversed(layouts(model, inputs).values()):
        for rows in (layout.queries, layout.keys):
            boxes = rows.boxes[rows.placed]
            if not len(boxes):
                continue
            count = len(boxes) + len(rows.where("pad"))
            cell = round(float(np.median(boxes[:, 2] - boxes[:, 0])) / (box[2] - box[0]) * width)
            if cell and width % cell == height % cell == 0 and count == (width // cell) * (height // cell):
                return cell
    return max(side for side in range(1, USUAL + 1) if height % side == width % side == 0)
