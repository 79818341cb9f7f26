"""Attention that no dye can follow: it says why, in a layout without places, and the other sites keep theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import model_adapters as ma
from model_adapters.load import wrap
from tests.geometry.expected import grid

SIZE = 32
GRID = grid(4, 4, 8)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        return self.mix(q, k, v)

    def mix(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (q @ k.transpose(-1, -2)).softmax(-1) @ v


class ChunkedAttention(Attention):
    """Looks from as many tokens at a time as there are pictures: the more pictures, the fewer calls."""

    def mix(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return torch.cat([super(ChunkedAttention, self).mix(part, k, v) for part in q.split(8 * len(q), 1)], 1)


class ShyAttention(Attention):
    def mix(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        if q.isnan().any():
            raise ValueError("no such numbers, please")
        return super().mix(q, k, v)


class PickyAttention(Attention):
    """Goes on with the tokens of the first picture that have a large first number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x[:, x[0, :, 0].nan_to_num() > 0])


class Net(nn.Module):
    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.patch, self.blocks = nn.Conv2d(3, 8, 8, 8), nn.ModuleList(blocks)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.patch(pixels).flatten(2).transpose(1, 2)
        for block in self.blocks:
            mixed = block(x)
            x = x + mixed if mixed.shape == x.shape else mixed
        return x.mean(1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADLIGHT_CACHE", str(tmp_path))


def captured(*blocks: nn.Module) -> ma.Capture:
    torch.manual_seed(0)
    model = wrap(Net(*blocks).eval(), verify=False)
    return ma.capture(model, ma.Inputs({"pixels": torch.randn(1, 3, SIZE, SIZE)}))


def fits(capture: ma.Capture) -> None:
    """Every site has a layout with as many rows as its weights."""
    for site in capture.sites:
        _, queries, keys = capture.weights[site].shape
        layout = capture.layouts[site]
        assert (len(layout.queries), len(layout.keys), len(layout.values)) == (queries, keys, keys)
        assert layout.quality != "none" or (layout.reason and not layout.queries.placed.any())


def test_calls_that_larger_batches_do_without_have_no_place_and_say_so() -> None:
    capture = captured(Attention(), ChunkedAttention())
    assert [(site.name, site.call) for site in capture.sites] == [("blocks.0", 0), ("blocks.1", 0), ("blocks.1", 1)]
    fits(capture)
    np.testing.assert_array_equal(capture.layouts[0].keys.boxes, GRID)
    assert [capture.layouts[n].quality for n in (1, 2)] == ["none", "none"]
    assert "did not meet this attention" in capture.layouts[2].reason


def test_a_model_that_refuses_dye_says_what_it_said() -> None:
    capture = captured(Attention(), ShyAttention())
    fits(capture)
    for layout in capture.layouts.values():
        assert layout.quality == "none"
        assert "Net does not run on them (ValueError: no such numbers, please)" in layout.reason


def test_where_the_picture_decides_how_many_tokens_go_on_only_those_sites_have_no_place() -> None:
    capture = captured(Attention(), PickyAttention())
    assert capture.weights[1].shape[-1] < 16
    fits(capture)
    np.testing.assert_array_equal(capture.layouts[0].queries.boxes, GRID)
    assert capture.layouts[1].quality == "none"
    assert "depends on" in capture.layouts[1].reason


def test_a_site_that_is_none_of_the_capture_is_an_error() -> None:
    with pytest.raises(KeyError, match="has no layout"):
        captured(Attention()).layouts["blocks.7"]
