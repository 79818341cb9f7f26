"""Layouts that say that nothing has a place, and why: for models whose pixels cannot be followed."""

from __future__ import annotations

import numpy as np

from model_adapters.geometry.assemble import Assembler
from model_adapters.geometry.dye import Dye
from model_adapters.geometry.originals import Originals
from model_adapters.geometry.places import Places, SitePlaces
from model_adapters.geometry.prompt import Prompt
from model_adapters.geometry.records import Key
from model_adapters.geometry.tiles import TileMap
from model_adapters.layout import Layout
from model_adapters.model import Model


def nowhere(model: Model, originals: Originals, reason: str) -> dict[Key, Layout]:
    """Layouts without boxes for every site of one plain run; a decoder's rows keep the roles that the token ids tell."""
    with Dye(model.module, 1) as census:  # nothing is dyed, so every call runs as it is
        model.module(**originals.first())
    size = originals.size if originals.known else (0, 0)
    whole = np.array([0, 0, *size], np.float32)
    prompt = Prompt.of(Assembler([TileMap(np.eye(2, 3), 0, whole)], originals), originals)
    labels = model.tap_labels
    made = {}
    for key, seen in census.seen.sites.items():
        queries, keys = (Places.nowhere(seen.windows * count, reason) for count in seen.shape)
        place = SitePlaces(queries, keys, keys, seen.windows, seen.kind)
        made[key] = prompt.layout(place, connector=labels.tower(key[0]) == "connector").with_reason("none", reason)
    return made
