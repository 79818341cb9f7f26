"""The fixed rules of CHAIR's release: pairs of words that are one word in descriptions of COCO's images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

RuleSet = Literal["release", "none"]


@dataclass(frozen=True)
class NameRules:
    """What a text that holds a name may mean instead."""

    pairs: Mapping[str, str] = field(default_factory=dict)
    """Two words -> the one word that they count as. A word that names nothing keeps its parts from naming anything."""
    silent: Mapping[str, str] = field(default_factory=dict)
    """A word that names nothing -> the word that silences it, wherever in the text that stands."""


JOINED = (
    "motor bike", "motor cycle", "air plane", "traffic light", "street light", "traffic signal", "stop light", "fire hydrant",
    "stop sign", "parking meter", "suit case", "sports ball", "baseball bat", "baseball glove", "tennis racket", "wine glass",
    "hot dog", "cell phone", "mobile phone", "teddy bear", "hair drier", "potted plant", "laptop computer", "home plate",
    "train track",
)  # fmt: skip
"""Pairs that are a word of their own, known or not: a train track is no train, a street light no light."""
YOUNG_AND_OLD = (
    "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "animal", "cub",
)  # fmt: skip
"""A baby or an adult of these is no person."""

RELEASE = NameRules(
    pairs={
        **{pair: pair for pair in JOINED},
        **{f"{age} {animal}": animal for age in ("baby", "adult") for animal in YOUNG_AND_OLD},
        "passenger jet": "jet", "passenger train": "train", "bow tie": "tie", "toilet seat": "toilet",
    },
    silent={"seat": "toilet"},
)  # fmt: skip

RULES: Mapping[RuleSet, NameRules] = {"release": RELEASE, "none": NameRules()}
