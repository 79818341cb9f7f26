"""Ways to choose the next token, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Greedy:
    """The likeliest token, always."""

    @property
    def options(self) -> dict[str, Any]:
        """What transformers' `generate` is told."""
        return {"do_sample": False, "num_beams": 1, "temperature": None, "top_p": None, "top_k": None}


@dataclass(frozen=True)
class Sample:
    """Draw from the distribution; the seed makes it repeatable."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0. Got {self.temperature} instead; Greedy() is its limit at 0.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1. Got {self.top_p} instead.")

    @property
    def options(self) -> dict[str, Any]:
        """What transformers' `generate` is told."""
        return {
            "do_sample": True, "num_beams": 1, "temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k,
        }  # fmt: skip


@dataclass(frozen=True)
class Beam:
    """The best of several continuations kept side by side; the rows shown are those of the winning beam."""

    beams: int = 4
    length_penalty: float = 1.0

    def __post_init__(self) -> None:
        if self.beams < 2:
            raise ValueError(f"beams must be at least 2. Got {self.beams} instead; Greedy() is one beam.")

    @property
    def options(self) -> dict[str, Any]:
        """What transformers' `generate` is told."""
        return {
            "do_sample": False, "num_beams": self.beams, "length_penalty": self.length_penalty,
            "temperature": None, "top_p": None, "top_k": None,
        }  # fmt: skip


Decoding = Greedy | Sample | Beam
