"""The layout of every attention site of a model for one input: pixels traced, dyed, and put together."""

from __future__ import annotations

import torch

from model_adapters.errors import AdapterError
from model_adapters.geometry import cache
from model_adapters.geometry.assemble import Assembler
from model_adapters.geometry.doors import Door, doors_of
from model_adapters.geometry.joint import JointSweep
from model_adapters.geometry.nowhere import nowhere
from model_adapters.geometry.originals import Originals, first_item
from model_adapters.geometry.pixel_dye import canvas_places, evaluating
from model_adapters.geometry.places import SitePlaces, moved, united
from model_adapters.geometry.prompt import Prompt
from model_adapters.geometry.reanchor import Anchors, reanchored
from model_adapters.geometry.records import Key
from model_adapters.geometry.tiles import TileMap, laid_out
from model_adapters.inputs import Inputs
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
    originals = Originals(model, first_item(model, inputs))
    key = cache.key_of(model, originals)
    stored = cache.read(key)
    if stored is None:
        with model.lock:  # whoever waited here finds what the other one measured
            stored = cache.read(key)
            if stored is None:
                stored = measured(model, originals.inputs), Anchors.of(originals)
                cache.write(key, *stored)
    return reanchored(*stored, Originals(model, inputs))


def remembered(model: Model, inputs: Inputs) -> bool:
    """Whether the layouts of these inputs are on the disk."""
    return cache.read(cache.key_of(model, Originals(model, first_item(model, inputs)))) is not None


def decoder_rows(model: Model, inputs: Inputs) -> Rows:
    """The rows of an LVLM's prompt: the role of every token, and the place of the image tokens."""
    ids = inputs.tensors.get("input_ids")
    if model.kind != "lvlm" or ids is None:
        raise AdapterError(f"{model.name} reads no prompt (kind {model.kind!r}), so it has no decoder rows.")
    labels = model.tap_labels
    for (name, _), layout in layouts(model, inputs).items():
        if labels.tower(name) in ("decoder", "text") and len(layout.queries) >= ids.shape[-1] and layout.windows == 1:
            return layout.queries
    raise AdapterError(f"No attention of {model.name} runs over the {ids.shape[-1]} tokens of the prompt.")


def measured(model: Model, inputs: Inputs) -> dict[Key, Layout]:
    """Measure the layouts of the first item, whatever is on the disk."""
    originals = Originals(model, inputs)
    with model.lock, evaluating(model.module), torch.no_grad():
        try:
            return _tower_layouts(model, originals) if model.kind == "vit" else _joint_layouts(model, originals)
        except AdapterError as error:
            return nowhere(model, originals, str(error))


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
    labels = model.tap_labels
    places: dict[Key, SitePlaces] = {}
    maps: list[TileMap] = []
    inside: dict[Key, Door] = {}
    for door, traced in zip(doors, originals.traced(names, doors), strict=True):
        canvas, shown = laid_out(door.pixels, traced, stacks=False)
        sweep = JointSweep(model.module, lambda _: model.module(**given), canvas, door=door, labels=labels)
        for key, place in sweep.places().items():
            here = moved(place, len(maps))
            places[key] = here if sweep.inside(key) or key not in places else united(places[key], here)
            if sweep.inside(key):
                inside[key] = door
        maps += shown
    return _put_together(model, originals, places, maps, inside)


def _put_together(
    model: Model, originals: Originals, places: dict[Key, SitePlaces], maps: list[TileMap], inside: dict[Key, Door]
) -> dict[Key, Layout]:
    prefixes = {door.name: prefix_names(model.module.get_submodule(door.name)) for door in inside.values()}
    towers = {name: Assembler(maps, originals, prefix) for name, prefix in prefixes.items()}
    first = next(iter(towers.values()), Assembler(maps, originals))
    prompt, labels = Prompt.of(first, originals), model.tap_labels
    return {
        key: towers[inside[key].name].tower(place) if key in inside
        else prompt.layout(place, connector=labels.tower(key[0]) == "connector")
        for key, place in places.items()
    }  # fmt: skip
