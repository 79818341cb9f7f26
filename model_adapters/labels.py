"""What a module path means: its tower, its block, and the block's number. Read from names alone, no path tables."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import nn

from model_adapters.events import says_attention

_TOWERS = (
    ("connector", re.compile(r"q_?former|resampler|projector|projection|connector|perceiver|pooling_2d|abstractor|x_attn")),
    ("vision", re.compile(r"vision|visual|image|video_tower|(^|\.)vit(\.|$)|(^|_)sam_|vqmodel|patch_embed|pixel|(^|\.)V(\.|$)")),
)


@dataclass(frozen=True)
class Label:
    """Where a module stands: tower, name of its block, number of the block in the tower."""

    tower: str
    block: str
    layer: int


class Labels:
    """The labels of all modules of one model."""

    def __init__(self, root: nn.Module, kind: str = "vit", attended: frozenset[str] = frozenset()) -> None:
        """Read the names of a model's modules; `attended` are those in which attention was seen, whatever they are called."""
        self.kind = kind
        self._encoder_decoder = any(".encoder." in f".{n}" for n, _ in root.named_modules()) and any(
            ".decoder." in f".{n}" for n, _ in root.named_modules()
        )
        names = [n for n, m in root.named_modules() if says_attention(n, m) or n in attended]
        self._numbers = self._number(dict.fromkeys(b for n in names if (b := block_of(n))))
        self.blocks = frozenset(self._numbers)

    def __getitem__(self, name: str) -> Label:
        block = block_of(name)
        tower = self.tower(name)
        number = self._numbers.get(block)
        if number is None:
            number = int(block.rsplit(".", 1)[-1]) if block else 0
        return Label(tower, block, number)

    def last(self, tower: str) -> str:
        """The name of a tower's last block; empty where it has none."""
        numbers = {block: number for block, number in self._numbers.items() if self.tower(block) == tower}
        return max(numbers, key=lambda block: numbers[block], default="")

    def tower(self, name: str) -> str:
        """vision, text, connector, decoder or cross."""
        if self.kind == "vit":
            return "decoder" if self._encoder_decoder and ".decoder" in f".{name}" else "vision"
        for tower, pattern in _TOWERS:
            if pattern.search(name.lower() if tower == "connector" else name):
                return tower
        if self.kind == "dual":
            return "cross" if "cross" in name else "text"
        return "text" if self._encoder_decoder and ".encoder" in f".{name}" and ".decoder" not in f".{name}" else "decoder"

    def _number(self, blocks: dict[str, None]) -> dict[str, int]:
        towers: dict[str, list[str]] = {}
        for block in blocks:
            towers.setdefault(self.tower(block), []).append(block)
        numbers = {}
        for members in towers.values():
            single = len({b.rsplit(".", 1)[0] for b in members}) == 1
            for order, block in enumerate(members):
                numbers[block] = int(block.rsplit(".", 1)[-1]) if single else order
        return numbers


def block_of(name: str) -> str:
    """The path up to its last number: the block that holds the module; empty where there is none."""
    parts = name.split(".")
    for index in range(len(parts) - 1, -1, -1):
        if parts[index].isdigit():
            return ".".join(parts[: index + 1])
    return ""
