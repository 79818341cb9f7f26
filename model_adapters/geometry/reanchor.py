"""The same layouts under another text: image tokens keep their places, wherever the new prompt puts them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from model_adapters.errors import AdapterError
from model_adapters.geometry.originals import Originals
from model_adapters.geometry.prompt import holds_prompt
from model_adapters.geometry.records import Key
from model_adapters.layout import Layout, Rows
from model_adapters.roles import decoder_roles, image_ids


@dataclass(frozen=True)
class Anchors:
    """Where a prompt holds image tokens."""

    length: int = 0
    positions: tuple[int, ...] = ()
    """The positions of the image tokens' ids; empty where the ids do not tell."""

    @staticmethod
    def of(originals: Originals) -> Anchors:
        """Read them from the token ids."""
        ids = originals.inputs.tensors.get("input_ids")
        if ids is None:
            return Anchors()
        first = ids.reshape(-1, ids.shape[-1])[0].cpu().numpy()
        return Anchors(len(first), tuple(np.flatnonzero(np.isin(first, image_ids(originals.model))).tolist()))

    def fits(self, other: Anchors) -> bool:
        """Whether layouts under one prompt can be moved to the other."""
        return bool(self.positions) and len(self.positions) == len(other.positions)


def reanchored(found: dict[Key, Layout], before: Anchors, originals: Originals) -> dict[Key, Layout]:
    """Layouts measured under one prompt, for the prompt of these inputs."""
    now = Anchors.of(originals)
    if not before.fits(now):
        return found
    try:
        roles = decoder_roles(originals.model, originals.inputs)[0]
    except AdapterError:
        return found
    labels = originals.model.tap_labels
    return {
        key: _moved(layout, before, now, roles) if labels.tower(key[0]) in ("decoder", "text", "cross") else layout
        for key, layout in found.items()
    }


def _moved(layout: Layout, before: Anchors, now: Anchors, roles: np.ndarray) -> Layout:
    counts = len(layout.queries), len(layout.keys)

    def moved(rows: Rows) -> Rows:
        prompt = layout.windows == 1 and holds_prompt(len(rows), *counts, before.length)
        return _rows(rows, before, now, roles) if prompt else rows

    return replace(layout, queries=moved(layout.queries), keys=moved(layout.keys), values=moved(layout.values))


def _rows(rows: Rows, before: Anchors, now: Anchors, roles: np.ndarray) -> Rows:
    front = len(rows) - before.length
    made = Rows.plain(np.concatenate([rows.roles[:front], roles]))
    old = np.concatenate([np.arange(front), front + np.array(before.positions)]).astype(int)
    new = np.concatenate([np.arange(front), front + np.array(now.positions)]).astype(int)
    for name in ("roles", "boxes", "image", "tile", "frame"):
        getattr(made, name)[new] = getattr(rows, name)[old]
    return made
