"""Importing this registers every drawing."""

from ui.figures import (
    bars,
    compare,
    curves,
    fewer,
    fixes,
    heads,
    maps,
    matrices,
    points,
    tokens,
    visual_tokens,
    word_heads,
    words,
)

__all__ = [
    "bars", "compare", "curves", "fewer", "fixes", "heads", "maps", "matrices", "points", "tokens", "visual_tokens",
    "word_heads", "words",
]  # fmt: skip
