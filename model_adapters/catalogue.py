"""Which models can be loaded by name: bundled ones, timm's with attention, and well-known ones of the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from model_adapters.checkpoint import read_json
from model_adapters.hf_models import WELL_KNOWN
from model_adapters.inputs import Kind
from model_adapters.timm_models import ATTENTION_FAMILIES

BUNDLED = Path(__file__).resolve().parents[1] / "assets" / "models"


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue."""

    name: str
    """What `load` takes."""
    library: str
    kind: Kind
    family: str
    """The module of timm, or the organisation on the hub."""
    pretrained: bool = True
    """Whether trained weights are published for it."""


def catalogue() -> tuple[Entry, ...]:
    """All models that are known by name."""
    return (*_bundled(), *_timm(), *_hub())


def search(text: str, entries: Sequence[Entry] | None = None) -> tuple[Entry, ...]:
    """The entries whose name, family or kind holds every word of the text."""
    words = text.lower().split()
    found = catalogue() if entries is None else entries
    return tuple(one for one in found if all(w in f"{one.name} {one.family} {one.kind}".lower() for w in words))


def bundled_names() -> tuple[str, ...]:
    """The folders of bundled models (adapters among them)."""
    if not BUNDLED.is_dir():
        return ()
    marks = ("config.json", "adapter_config.json")
    return tuple(sorted(f.name for f in BUNDLED.iterdir() if any((f / mark).is_file() for mark in marks)))


def _bundled() -> list[Entry]:
    return [Entry(f"bundled:{name}", "bundled", _kind(BUNDLED / name), "world") for name in bundled_names()]


def _kind(folder: Path) -> Kind:
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {"model_type": "adapter"}
    return "vit" if config.get("library") == "timm" else "lvlm"


@cache
def _timm() -> tuple[Entry, ...]:
    import timm

    return tuple(
        Entry(f"timm:{name}", "timm", "vit", family, timm.models.is_model_pretrained(name))
        for family in sorted(ATTENTION_FAMILIES)
        for name in timm.list_models(module=family)
    )


def _hub() -> list[Entry]:
    return [Entry(f"hf:{name}", "transformers", kind, name.split("/")[0]) for name, kind in WELL_KNOWN.items()]
