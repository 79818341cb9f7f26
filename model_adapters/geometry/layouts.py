"""The layout of every attention site of a model for one input: pixels traced, dyed, and put together."""

from __future__ import annotations

import torch

from model_adapters.errors import AdapterError
from model_adapters.geometry.assemble import Assembler
from model_adapters.geometry.doors import doors_of
from model_adapters.geometry.originals import Originals
from model_adapters.geometry.pixel_dye import canvas_places, evaluating
from model_adapters.geometry.records import Key
from model_adapters.geometry.tiles import laid_out
from model_adapters.inputs import Inputs
from model_adapters.layout import Layout
from model_adapters.model import Model
from model_adapters.roles import prefix_names


def measured(model: Model, inputs: Inputs) -> dict[Key, Layout]:
    """Measure the layouts; of a batch the first item is taken."""
    originals = Originals(model, inputs)
    with model.lock, evaluating(model.module), torch.no_grad():
        return _tower_layouts(model, originals)


def _tower_layouts(model: Model, originals: Originals) -> dict[Key, Layout]:
    """The layouts of a model that is a tower and nothing else."""
    given = originals.first()
    names = originals.pixel_names(given)
    doors = doors_of(model.module, given, names)
    if len(doors) > 1:
        raise AdapterError(f"{model.name} lets images in at {len(doors)} places ({', '.join(d.name for d in doors)}).")
    (door,), (traced,) = doors, originals.traced(names, doors)
    canvas, maps = laid_out(door.pixels, traced, stacks=True)
    module = model.module.get_submodule(door.name)

    def run(pixels: torch.Tensor) -> object:
        args, kwargs = door.exchanged(pixels)
        return module(*args, **kwargs)

    places = canvas_places(model.module, run, canvas)
    assembler = Assembler(maps, originals, prefix_names(module))
    return {key: assembler.tower(place) for key, place in places.items()}
