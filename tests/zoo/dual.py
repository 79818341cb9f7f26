"""Dual encoders: one tower for images, one for text, compared (or bridged) at the end."""

from __future__ import annotations

from .records import Family

VIT = {"vision_config.image_size": 64, "vision_config.patch_size": 8}

FAMILIES = (
    Family(
        "clip",
        architecture="CLIPModel",
        kind="dual",
        generates=False,
        config=VIT,
        tokens={},
        prompt="{text}",
        image={"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}},
    ),
    Family(
        "siglip",
        architecture="SiglipModel",
        kind="dual",
        generates=False,
        config=VIT,
        tokens={},
        prompt="{text}",
        image={"size": {"height": 64, "width": 64}},
        call={"padding": "max_length", "max_length": 32},
    ),
    Family(
        "bridgetower",
        architecture="BridgeTowerForImageAndTextRetrieval",
        kind="dual",
        generates=False,
        config={"vision_config.image_size": 96, "vision_config.patch_size": 16},
        tokens={},
        prompt="{text}",
        image={"size": {"shortest_edge": 96}, "size_divisor": 32, "crop_size": {"shortest_edge": 96}},
    ),
)
