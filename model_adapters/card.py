"""What a model is, where it comes from and under which licence: read from the libraries' own records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True)
class Card:
    """The record of one model. Fields that nobody wrote down stay empty: nothing is guessed."""

    title: str
    library: str = ""
    """"timm", "transformers" or "own"."""
    architecture: str = ""
    """The class of the module."""
    parameters: int = 0
    weights: str = ""
    """"pretrained", "random (seed 0)", or the path they were read from."""
    licence: str = ""
    papers: tuple[str, ...] = ()
    """Identifiers as the library writes them, such as "arXiv:2012.12877"."""
    source: str = ""
    """Where the weights were first published."""
    input: str = ""
    """What the processor makes of an image, in words."""
    notes: tuple[str, ...] = ()
    """What a reader must know: what it was trained on, what was changed at load."""

    def with_notes(self, *notes: str) -> Card:
        """The same card with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def with_record(self, record: Mapping[str, Any]) -> Card:
        """The same card with what a `card.json` says; other texts and figures become notes."""
        known = {field.name for field in fields(self)}
        taken: dict[str, Any] = {k: v for k, v in record.items() if k in known and k != "notes"}
        taken = {k: tuple(v) if isinstance(v, list) else v for k, v in taken.items()}
        notes = record.get("notes", ())
        more = [f"{key}: {value}" for key, value in record.items() if key not in known and isinstance(value, str)]
        measured = [_figure(key, value) for key, value in record.get("figures", {}).items()]
        return replace(self, **taken).with_notes(*([notes] if isinstance(notes, str) else notes), *more, *measured)


def _figure(name: str, figure: Mapping[str, Any]) -> str:
    """One measured figure in words, with its range and how many images it rests on."""
    words = f"{name.replace('_', ' ')}: {figure['value']:.3g}"
    if {"low", "high"} <= set(figure):
        words += f" ({figure['low']:.3g} to {figure['high']:.3g})"
    return words + (f", {figure['images']:,} images" if "images" in figure else "")
