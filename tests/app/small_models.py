"""Small shaken models of timm that stand in for any model a person names."""

from __future__ import annotations

from typing import Any

import timm

import model_adapters as ma
from tests.zoo.shake import shaken


def small_vit(classes: int = 5, **changes: Any) -> ma.Model:
    """Two layers of two heads over 4 x 4 patches."""
    size = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
    return ma.wrap(shaken(timm.create_model("vit_tiny_patch16_224", num_classes=classes, **size | changes)), name="timm:small")


def small_vit_without_class_token(classes: int = 5) -> ma.Model:
    """The same, whose patches are averaged."""
    return small_vit(classes, class_token=False, global_pool="avg")
