"""What all tests share: one thread, no network, a cache of their own, and a tiny model."""

from __future__ import annotations

import os
import shutil
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HEADLIGHT_CACHE"] = tempfile.mkdtemp(prefix="headlight-tests-")
os.environ.pop("HEADLIGHT_MODEL_ROOTS", None)

import numpy as np
import pytest
import torch
from PIL import Image

from tests.zoo.shake import shaken

torch.set_num_threads(1)


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["HEADLIGHT_CACHE"], ignore_errors=True)


@pytest.fixture(scope="session")
def tiny_vit() -> torch.nn.Module:
    """timm's VisionTransformer: 2 blocks of 4 heads on 4 x 4 patches, 5 classes."""
    from timm.models import VisionTransformer

    torch.manual_seed(0)
    module = VisionTransformer(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4, num_classes=5)
    module.pretrained_cfg = {"input_size": (3, 32, 32), "crop_pct": 1.0, "num_classes": 5}
    return shaken(module).requires_grad_(False)


@pytest.fixture
def picture() -> Image.Image:
    """60 x 40 pixels; every pixel differs from its neighbours."""
    y, x = np.mgrid[0:40, 0:60]
    return Image.fromarray(np.stack([x * 4, y * 6, (x * 7 + y * 11) % 256], -1).astype(np.uint8))
