"""Small random LVLMs of real architectures, as `save_pretrained` leaves them."""

from __future__ import annotations

from pathlib import Path

from tests.zoo import hf

NAMES = ("llava_next", "qwen2_5_vl", "instructblip", "mllama")
"""Tiles, merged patches and films, learned queries, cross attention."""


def saved(root: Path, *names: str) -> dict[str, str]:
    """Name -> what the app calls the folder."""
    for name in names or NAMES:
        module, processor = hf.build(name)
        module.save_pretrained(root / name)
        processor.save_pretrained(root / name)
    return {name: f"path:{root / name}" for name in names or NAMES}
