"""Layouts that need no measuring: a plain tower, whose prefix tokens and patch grid make up every site's tokens exactly.

They cost no run of the model. The measured layouts take their place when they are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from model_adapters.errors import AdapterError
from model_adapters.geometry.assemble import Assembler
from model_adapters.geometry.doors import doors_of
from model_adapters.geometry.originals import Originals, first_item
from model_adapters.geometry.pixel_dye import evaluating
from model_adapters.geometry.places import Places, SitePlaces
from model_adapters.geometry.records import Key
from model_adapters.geometry.tiles import laid_out
from model_adapters.inputs import Inputs
from model_adapters.layout import Layout
from model_adapters.model import Model
from model_adapters.roles import plain_roles, prefix_names
from model_adapters.site import Site


def plain_layouts(model: Model, inputs: Inputs, shapes: Mapping[Site, tuple[int, int, int]]) -> dict[Key, Layout] | None:
    """The layouts of all sites on the plain patch grid; None where that grid is not certain.

    Args:
        model: any model.
        inputs: what was run.
        shapes: heads, query rows and keys of every site of the run.
    """
    counts = {count for _, *rows in shapes.values() for count in rows}
    if len(counts) != 1 or plain_roles(model, *counts) is None:
        return None
    originals = Originals(model, first_item(model, inputs))
    try:
        assembler, extent = _tiles(model, originals)
    except AdapterError:  # the measured layouts will say why
        return None
    grid = _grid_size(model.module)
    if any(side % cells for side, cells in zip(extent, grid, strict=True)):
        return None
    places = _grid(grid, extent, counts.pop() - grid[0] * grid[1])
    layout = assembler.tower(SitePlaces(places, places, places))
    return {(site.name, site.call): layout for site in shapes}


def _tiles(model: Model, originals: Originals) -> tuple[Assembler, tuple[int, int]]:
    """What the one picture that the tower takes shows of the original, and its height and width."""
    with model.lock, evaluating(model.module):
        given = originals.first()
        names = originals.pixel_names(given)
        doors = doors_of(model.module, given, names)
        (traced,) = originals.traced(names, doors)
    canvas, maps = laid_out(doors[0].pixels, traced, stacks=True)
    if canvas.packed or len(canvas.extent) != 1:
        raise AdapterError("The tower takes patches or several pictures.")
    return Assembler(maps, originals, prefix_names(model.module)), (canvas.size("y"), canvas.size("x"))


def _grid_size(module: Any) -> tuple[int, int]:
    return module.patch_embed.grid_size


def _grid(grid: tuple[int, int], extent: tuple[int, int], prefix: int) -> Places:
    """Equal tiles in raster order behind rows without a place."""
    rows, columns = grid
    tall, wide = extent[0] / rows, extent[1] / columns
    y, x = (axis.ravel() for axis in np.mgrid[:rows, :columns])
    boxes = np.full((prefix + rows * columns, 4), np.nan, np.float32)
    boxes[prefix:] = np.stack([x * wide, y * tall, (x + 1) * wide, (y + 1) * tall], axis=1)
    tile = np.where(np.isnan(boxes[:, 0]), -1, 0).astype(np.int16)
    return Places(boxes, tile, np.zeros(len(boxes), bool))
