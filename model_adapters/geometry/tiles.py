"""From traced pixels to the canvas that is dyed, and the map from its tiles back to the original image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from model_adapters.errors import AdapterError
from model_adapters.geometry.canvas import Axis, Canvas
from model_adapters.geometry.forms import Form, form_of, numbers
from model_adapters.geometry.grids import Patches, patches_of
from model_adapters.geometry.ramp import Traced

_SAMPLES = 96
_EDGE = 2
"""Pixels at the edge of the image, where filters of a resize see only one side, are left out."""
_TOLERANCE = 0.02
"""How far a tile may be from an affine picture of the original, as a share of the original's longer side."""


@dataclass(frozen=True, eq=False)
class TileMap:
    """One tile of the processed input as an affine picture of a part of one original."""

    matrix: np.ndarray
    """[2, 3]: (x, y) of the original = matrix @ (x, y, 1) of the tile."""
    source: int
    """Which original; -1 for a tile of padding."""
    inside: np.ndarray
    """[4] x0, y0, x1, y1 of the tile: where it shows the original; the rest is padding."""

    def boxes(self, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Boxes [n, 4] of the tile in pixels of the original; NaN where they show padding only."""
        x0, y0 = np.maximum(boxes[:, :2], self.inside[:2]).T
        x1, y1 = np.minimum(boxes[:, 2:], self.inside[2:]).T
        corners = np.stack([[x, y, np.ones_like(x)] for x in (x0, x1) for y in (y0, y1)], axis=0)
        mapped = np.einsum("ij,cjn->cin", self.matrix, corners)
        low = np.clip(mapped.min(0).T, 0, size)
        high = np.clip(mapped.max(0).T, 0, size)
        made = np.concatenate([low, high], axis=1)
        made[(x1 <= x0) | (y1 <= y0) | (self.source < 0)] = np.nan
        return made.astype(np.float32)


def laid_out(pixels: torch.Tensor, traced: Traced | None, *, stacks: bool) -> tuple[Canvas, list[TileMap]]:
    """The canvas of the pixels at a door and one map per tile; without a trace the tiles are their own originals."""
    form = form_of(tuple(pixels.shape))
    if form is None:
        raise AdapterError(f"The tower takes a tensor of shape {tuple(pixels.shape)}: neither images nor patches.")
    if form.packed:
        if traced is None:
            raise AdapterError("The tower takes a list of patches; without the image processor their places are unknown.")
        return _packed(pixels, traced, form)
    return _images(pixels, traced, form, stacks)


def _images(pixels: torch.Tensor, traced: Traced | None, form: Form, stacks: bool) -> tuple[Canvas, list[TileMap]]:
    number, (count,) = numbers(form, tuple(pixels.shape))
    height, width = pixels.shape[form.y], pixels.shape[form.x]
    axes = [_along("y", pixels, form.y), _along("x", pixels, form.x)]
    if count > 1:
        axes.append(Axis("z", count, torch.from_numpy(number).to(pixels.device)))
    whole = np.array([0, 0, width, height], np.float32)
    if traced is None:
        maps = [TileMap(np.eye(2, 3), n, whole) for n in range(count)]
    else:
        planes = [_plane(values, number, form, count) for values in (traced.x, traced.y, traced.source)]
        maps = [_fit(planes[0][n], planes[1][n], planes[2][n]) for n in range(count)]
    return Canvas(pixels, tuple(axes), stacks=stacks and pixels.shape[0] == 1), maps


def _plane(values: np.ndarray, number: np.ndarray, form: Form, count: int) -> np.ndarray:
    """[tiles, height, width] of the first channel."""
    first = np.moveaxis(values, (form.channel, form.y, form.x), (0, -2, -1))[0]
    return first.reshape(count, *first.shape[-2:])


def _fit(x: np.ndarray, y: np.ndarray, source: np.ndarray) -> TileMap:
    """The affine map of one tile by least squares over its pixels."""
    shown = source >= 0
    if not shown.any():
        return TileMap(np.zeros((2, 3)), -1, np.zeros(4, np.float32))
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    inside = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
    step = [max(1, n // _SAMPLES) for n in x.shape]
    py, px = np.mgrid[0 : x.shape[0] : step[0], 0 : x.shape[1] : step[1]]
    taken = shown[py, px]
    inner = taken & (px >= inside[0] + _EDGE) & (px < inside[2] - _EDGE) & (py >= inside[1] + _EDGE) & (py < inside[3] - _EDGE)
    taken = inner if inner.sum() >= 16 else taken
    known = np.stack([px[taken] + 0.5, py[taken] + 0.5, np.ones(taken.sum())], axis=1)
    wanted = np.stack([x[py, px][taken], y[py, px][taken]], axis=1)
    matrix, *_ = np.linalg.lstsq(known, wanted, rcond=None)
    error = np.sqrt(((known @ matrix - wanted) ** 2).mean())
    if error > max(1.5, _TOLERANCE * wanted.max()):
        raise AdapterError(f"A tile is no affine picture of the original: it is off by {error:.1f} pixels.")
    return TileMap(matrix.T, int(np.median(source[shown])), inside)


def _packed(pixels: torch.Tensor, traced: Traced, form: Form) -> tuple[Canvas, list[TileMap]]:
    number, lead = numbers(form, tuple(pixels.shape))
    patches: Patches = patches_of(traced, number, lead)
    axes = []
    for name, cell in (("y", patches.row), ("x", patches.column), ("z", patches.grid)):
        index = torch.from_numpy(cell[number]).to(pixels.device)
        axes.append(Axis(name, int(cell.max()) + 1, index))
    maps = [
        TileMap(matrix, source, np.array([0, 0, width, height], np.float32))
        for matrix, source, (height, width) in zip(patches.matrices, patches.sources, patches.extents, strict=True)
    ]
    return Canvas(pixels, tuple(axes), stacks=False, packed=True, extents=np.array(patches.extents)), maps


def _along(name: str, pixels: torch.Tensor, axis: int) -> Axis:
    size = pixels.shape[axis]
    shape = [1] * pixels.dim()
    shape[axis] = size
    return Axis(name, size, torch.arange(size, device=pixels.device).view(shape))
