"""The inks of still pictures, and texts without mark-up."""

from __future__ import annotations

import re
from typing import Any

INK, GREY = "#16242b", "#7c888d"
PLAIN: dict[str, Any] = {"parse_math": False}
"""For texts that people wrote: a dollar is a dollar."""


def words(text: str) -> str:
    """Text without Plotly's mark-up."""
    return re.sub(r"<[^>]+>", " ", text)


def rgba(text: str) -> tuple[float, float, float, float]:
    """A colour, in hex or as numbers, as four numbers from 0 to 1."""
    if text.startswith("#"):
        red, green, blue = (int(text[n : n + 2], 16) / 255 for n in (1, 3, 5))
        return red, green, blue, 1.0
    numbers = [float(n) for n in re.findall(r"[\d.]+", text)]
    return numbers[0] / 255, numbers[1] / 255, numbers[2] / 255, numbers[3] if len(numbers) > 3 else 1.0
