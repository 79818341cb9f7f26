"""The layout of every attention site of a model for one input: pixels traced, dyed, and put together."""

from __future__ import annotations

import torch

from model_adapters.errors import AdapterError
from model_adapters.geometry import cache
from model_adapters.geometry.assemble import Assembler
from model_adapters.geometry.canvas import Canvases
from model_adapters.geometry.doors import doors_of
from model_adapters.geometry.joint import JointSweep
from model_adapters.geometry.originals import Originals
from model_adapters.geometry.pixel_dye import canvas_places, evaluating
from model_adapters.geometry.prompt import Prompt
from model_adapters.geometry.records import Key
from model_adapters.geometry.tiles import laid_out
from model_adapters.inputs import Inputs
from model_adapters.labels import Labels
from model_adapters.layout import Layout, Rows
from model_adapters.model import Model
from model_adapters.roles import prefix_names


def layouts(model: Model, inputs: Inputs) -> dict[Key, Layout]:
    """The layout of every site that the model runs on these inputs; of a batch, those of its first item.

    Args:
        model: any model.
        inputs: what `model.prepare` made. Without its images, boxes are in pixels of the processed image.

    Returns:
        Layouts by (module name, call number in one forward pass), from the disk if they were measured before.
    """
    key = cache.key_of(model, Originals(model, inputs))
    found = cache.read(key)
    if found is None:
        found = measured(model, inputs)
        cache.write(key, found)
    return found


def decoder_rows(model: Model, inputs: Inputs) -> Rows:
    """The rows of an LVLM's prompt: the role of every token, and the place of the image tokens."""
    ids = inputs.tensors.get("input_ids")
    if model.kind != "lvlm" or ids is None:
        raise AdapterError(f"{model.name} reads no prompt (kind {model.kind!r}), so it has no decoder rows.")
    labels = Labels(model.module, model.kind)
    for (name, _), layout in layouts(model, inputs).items():
        if labels.tower(name) in ("decoder", "text") and len(layout.queries) >= ids.shape[-1] and layout.windows == 1:
            return layout.queries
    raise AdapterError(f"No attention of {model.name} runs over the {ids.shape[-1]} tokens of the prompt.")


def measured(model: Model, inputs: Inputs) -> dict[Key, Layout]:
    """Measure the layouts, whatever is on the disk."""
    originals = Originals(model, inputs)
    with model.lock, evaluating(model.module), torch.no_grad():
        return _tower_layouts(model, originals) if model.kind == "vit" else _joint_layouts(model, originals)


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


def _joint_layouts(model: Model, originals: Originals) -> dict[Key, Layout]:
    """The layouts of a model with towers and something behind them that reads text."""
    given = originals.first()
    names = originals.pixel_names(given)
    doors = doors_of(model.module, given, names)
    laid = [laid_out(d.pixels, t, stacks=False) for d, t in zip(doors, originals.traced(names, doors), strict=True)]
    canvas = Canvases(tuple(part for part, _ in laid))
    labels = Labels(model.module, model.kind)
    sweep = JointSweep(model.module, lambda _: model.module(**given), canvas, doors=doors, labels=labels)
    places = sweep.places()
    towers = {door.name: prefix_names(model.module.get_submodule(door.name)) for door in doors}
    assembler = Assembler([m for _, maps in laid for m in maps], originals, next(iter(towers.values())))
    prompt = Prompt.of(assembler, originals, canvas.extent)
    return {
        key: assembler.tower(place) if sweep.inside(key)
        else prompt.layout(place, connector=labels.tower(key[0]) == "connector")
        for key, place in places.items()
    }  # fmt: skip
