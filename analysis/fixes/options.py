"""What a fix is: plain keywords for `model_adapters.generate`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypedDict

from model_adapters.decoding import Decoding
from model_adapters.edits import Edit


class FixOptions(TypedDict, total=False):
    """Keywords for `model_adapters.generate`; what is not there stays as it is."""

    edits: tuple[Any, ...]
    """Edits, or plans that decide their edits by a first look at the prompt."""
    decoding: Decoding


@dataclass(frozen=True)
class FromLayer:
    """One edit in all layers of the decoder from a number on, to the last or to a few before it."""

    edit: Edit
    first: int = 2
    spared: int = 0
    """How many of the last layers are left alone."""

    def plan(self, glance: Any) -> tuple[Edit, ...]:
        """The edit with its layers."""
        layers = tuple(range(self.first, glance.depth - self.spared))
        return (replace(self.edit, where=replace(self.edit.where, layers=layers)),) if layers else ()


def options(*, edits: tuple[Any, ...] = (), decoding: Decoding | None = None) -> FixOptions:
    """Keywords of what is changed, and of nothing else."""
    found = FixOptions()
    if edits:
        found["edits"] = edits
    if decoding is not None:
        found["decoding"] = decoding
    return found
