"""The rows of a decoder: what the token ids say of their roles, and the probe of their places."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from model_adapters.errors import AdapterError
from model_adapters.geometry.assemble import Assembler
from model_adapters.geometry.originals import Originals
from model_adapters.geometry.places import Places, SitePlaces
from model_adapters.layout import Layout, Rows
from model_adapters.roles import decoder_roles

_MIXED = "The image tokens are learned queries that read the whole image; they have no place of their own."
_NO_IMAGE = "These rows hold no part of an image."


@dataclass(frozen=True)
class Prompt:
    """Puts the rows of sites behind the towers together."""

    assembler: Assembler
    roles: np.ndarray
    """[T] the roles of the prompt's tokens."""
    answer: int = 0
    """How many tokens an encoder-decoder's decoder begins with."""

    @staticmethod
    def of(assembler: Assembler, originals: Originals) -> Prompt:
        """Read the roles from the token ids; without ids all rows are told by their place alone."""
        given = originals.first()
        start = given.get("decoder_input_ids")
        try:
            roles = decoder_roles(originals.model, replace(originals.inputs, tensors=given, batch=1))[0]
        except AdapterError:
            roles = np.array([], dtype=object)
        if originals.model.kind == "dual":
            roles = np.where(roles == "question", "text", roles)
        return Prompt(assembler, roles, 0 if start is None else start.shape[1])

    def layout(self, place: SitePlaces, *, connector: bool) -> Layout:
        """The layout of one site behind a tower."""
        queries, keys, values = (self._rows(side, place, connector=connector) for side in place.sides)
        placed = [side for side in place.sides if side.placed.any()]
        if not placed:
            mixed = any(side.whole for side in place.sides)
            return Layout(queries, keys, values, place.windows, "none", _MIXED if mixed else _NO_IMAGE, self.assembler.size)
        worst = next((side for side in placed if side.quality == "box"), None)
        return Layout(
            queries, keys, values, place.windows, "box" if worst else "tile", worst.reason if worst else "", self.assembler.size
        )

    def _rows(self, places: Places, site: SitePlaces, *, connector: bool) -> Rows:
        count = len(places)
        if connector:
            roles = self.assembler.tower_roles(site, places) if places.placed.any() else np.full(count, "query", dtype=object)
            roles[roles == "unknown"] = "query"
        elif not places.placed.any() and count == self.answer:
            roles = np.full(count, "answer", dtype=object)
        elif site.windows == 1 and holds_prompt(count, len(site.queries), len(site.keys), len(self.roles)):
            roles = self._prompt_roles(places)
        else:
            roles = self.assembler.tower_roles(site, places)
        return self.assembler.rows(places, roles)

    def _prompt_roles(self, places: Places) -> np.ndarray:
        """The prompt's roles at the end (some models put the image before the ids), with what the probe found."""
        before = len(places) - len(self.roles)
        roles = np.concatenate([np.full(before, "unknown", dtype=object), self.roles])
        if before:
            front = np.flatnonzero(~places.placed[:before])
            prefix = list(self.assembler.prefix)
            roles[front] = prefix[: len(front)] if len(front) <= len(prefix) else "unknown"
        claimed = roles == "image"
        roles[claimed & ~places.placed] = "separator"
        if places.spread is not None:
            roles[places.spread] = "query"
        roles[places.placed] = "image"
        return roles


def holds_prompt(rows: int, queries: int, keys: int, length: int) -> bool:
    """Whether so many rows of a site are the tokens of a prompt of this length.

    They are alone, or behind an image that the ids do not show, or behind an answer that attends to both.
    """
    return length > 0 and (rows == length or rows > length and (queries == keys or rows == length + queries))
