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
    """The kind of a bundled model, from its configuration; an adapter is of the kind of its base."""
    if not (folder / "config.json").is_file():
        base = str(read_json(folder / "adapter_config.json").get("base_model_name_or_path"))
        folder = folder.parent / base.removeprefix("bundled:")
    config = read_json(folder / "config.json")
    if "model_type" not in config:
        return "vit"
    sees_and_reads = "vision_config" in config and "text_config" in config
    writes = any("ForConditionalGeneration" in name for name in config.get("architectures") or ())
    return "lvlm" if writes else "dual" if sees_and_reads else "vit"


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
