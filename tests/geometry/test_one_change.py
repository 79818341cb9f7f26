"""The dye against a finite change: no NaN, no stand-ins, no codes, only the model itself and one pixel.

At the first site nothing has been mixed by attention yet, so changing a pixel must change exactly the rows whose box
holds it. At deeper sites attention outputs are set to zero; where only attention moves tokens, the same holds for all sites.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from model_adapters.geometry import pixel_places
from model_adapters.geometry.places import SitePlaces
from tests.zoo.timm_models import TIMM_FAMILIES, build_timm

SDPA = torch.nn.functional.scaled_dot_product_attention
HEADS = 4
PRODUCTS = {"matmul", "__matmul__", "bmm"}


class Rows(TorchFunctionMode):
    """Keeps queries and keys of every site and returns zeros in place of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.sites: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._products: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._weights: list[torch.Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func is SDPA:
            self.sites.append((args[0], args[1]))
            return torch.zeros_like(func(*args, **kwargs))
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name in PRODUCTS and args[0].dim() >= 3 and args[1].dim() >= 3:
            if self._weights and args[0].shape == self._weights[-1].shape:
                self._weights.pop()
                return torch.zeros_like(result)
            self._products.append((args[0], args[1].transpose(-1, -2)))
        if name == "softmax" and self._products and result.dim() >= 3:
            self.sites.append(self._products.pop())
            self._weights.append(result)
        return result


def changed_rows(module: nn.Module, pixels: torch.Tensor, y: int, x: int) -> list[tuple[np.ndarray, np.ndarray]]:
    other = pixels.clone()
    other[..., y, x] += 3.0
    seen = []
    for given in (pixels, other):
        with torch.no_grad(), Rows() as rows:
            module(given)
        seen.append(rows.sites)
    return [tuple(_differs(a, b) for a, b in zip(before, after, strict=True)) for before, after in zip(*seen, strict=True)]


def _differs(before: torch.Tensor, after: torch.Tensor) -> np.ndarray:
    """Rows of [windows, heads, rows, features], of [1, heads, windows, rows, features], or of [windows * heads, ...]."""
    moved = (before - after).abs().amax(-1) > 1e-6
    if moved.dim() == 2:
        moved = moved.unflatten(0, (-1, HEADS))
    return moved.any(1).flatten().numpy()


def held(place: SitePlaces, side: str, y: int, x: int) -> np.ndarray:
    x0, y0, x1, y1 = getattr(place, side).boxes.T
    return (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)


EXACT = [
    "deit_tiny_patch16_224", "eva02_tiny_patch14_224", "cait_xxs24_224", "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256", "convit_tiny", "samvit_base_patch16", "naflexvit_base_patch16_gap",
]  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_a_changed_pixel_changes_the_rows_that_claim_it_and_no_others(name: str) -> None:
    module, size = build_timm(name), TIMM_FAMILIES[name].img_size
    places = [p for p in pixel_places(module, module, (size, size)).values() if p.keys.placed.any()]
    pixels = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))
    for y, x in ((3, 5), (size // 2, size // 2 + 1), (size - 1, size - 2)):
        changes = changed_rows(module, pixels, y, x)
        assert len(changes) == len(places) or name == "convit_tiny"
        for place, (queries, keys) in zip(places, changes, strict=False):
            assert keys.any()
            np.testing.assert_array_equal(queries, held(place, "queries", y, x))
            np.testing.assert_array_equal(keys, held(place, "keys", y, x))


@pytest.mark.parametrize("name", ["hiera_tiny_224", "pvt_v2_b0", "levit_128s", "coatnet_pico_rw_224", "visformer_tiny"])
def test_where_convolutions_blur_the_claimed_row_is_among_the_changed_and_near_their_middle(name: str) -> None:
    module, size = build_timm(name), TIMM_FAMILIES[name].img_size
    place = next(iter(pixel_places(module, module, (size, size)).values()))
    pixels = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))
    y, x = size // 2 + 1, size // 2 + 2
    queries, _ = changed_rows(module, pixels, y, x)[0]
    claimed = held(place, "queries", y, x)
    assert claimed.sum() == 1
    assert (claimed <= queries).all()
    boxes = place.queries.boxes[queries]
    tile = place.queries.boxes[0, 2] - place.queries.boxes[0, 0]
    middle = (boxes[:, :2] + boxes[:, 2:]).mean(0) / 2
    assert np.abs(middle - (x, y)).max() <= 1.5 * tile


def test_a_bright_square_on_a_blank_image_is_the_box_of_the_tokens_that_changed() -> None:
    module, size = build_timm("vit_tiny_patch16_224"), 64
    place = next(iter(pixel_places(module, module, (size, size)).values()))
    blank = torch.zeros(1, 3, size, size)
    for left, top in ((0, 0), (16, 32), (48, 48)):
        square = blank.clone()
        square[..., top : top + 16, left : left + 16] = 5.0
        with torch.no_grad(), Rows() as plain:
            module(blank)
        with torch.no_grad(), Rows() as planted:
            module(square)
        changed = np.flatnonzero(_differs(plain.sites[0][0], planted.sites[0][0]))
        assert len(changed) == 1
        np.testing.assert_array_equal(place.queries.boxes[changed[0]], [left, top, left + 16, top + 16])
