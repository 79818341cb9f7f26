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
    study_groups,
    tokens,
    visual_tokens,
    whatif,
    word_heads,
    words,
)

__all__ = [
    "bars", "compare", "curves", "fewer", "fixes", "heads", "maps", "matrices", "points", "study_groups", "tokens",
    "visual_tokens", "whatif", "word_heads", "words",
]  # fmt: skip
