"""One number per token on a picture, ready for the browser."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ui.archive import pack
from ui.recording import Picture, Tokens


@dataclass(frozen=True, eq=False)
class MapView:
    """A map over one picture: its values, where their tokens lie, and how to read them."""

    title: str
    picture: Picture
    tokens: Tokens
    values: np.ndarray
    """[N] float; NaN where there is nothing to show."""
    signed: bool = False
    unit: str = ""

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.tokens),):
            raise ValueError(f"a map needs one value per token. Got {self.values.shape} for {len(self.tokens)} tokens.")

    def payload(self) -> bytes:
        """Header and arrays in one answer."""
        header = {"kind": "map", "title": self.title, "signed": self.signed, "unit": self.unit, "roles": list(self.tokens.roles)}
        arrays = {"boxes": self.tokens.boxes.astype(np.float32), "values": self.values.astype(np.float32)}
        return pack(header, arrays)
