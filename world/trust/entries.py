"""The participants: importing this module registers all of them."""

from world.trust import (
    entries_heads,
    entries_maps,
    entries_tokens,
    entries_words,
    fix_entries,
    visual_token_entries,
    word_entries,
)

__all__ = [
    "entries_heads",
    "entries_maps",
    "entries_tokens",
    "entries_words",
    "fix_entries",
    "visual_token_entries",
    "word_entries",
]
