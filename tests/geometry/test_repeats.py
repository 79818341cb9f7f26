"""Tracing one of several blocks alike gives what tracing all of them gives; what only looks alike is traced."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

import numpy as np
import pytest
import torch
from torch import nn

from model_adapters.geometry import pixel_places
from model_adapters.geometry.likeness import repeated
from model_adapters.geometry.places import SitePlaces
from tests.geometry.expected import grid
from tests.zoo.timm_models import TIMM_FAMILIES, build_timm

SIZE, TOKENS = 32, 16
GRID = grid(4, 4, 8)
DEEP = {
    "vit_tiny_patch16_224": {}, "swin_tiny_patch4_window7_224": {}, "twins_svt_small": {}, "cait_xxs24_224": {}, "pit_ti_224": {},
    "xcit_nano_12_p16_224": {}, "volo_d1_224": {}, "convit_tiny": {}, "samvit_base_patch16": {}, "coatnet_pico_rw_224": {},
}  # fmt: skip


def same(one: dict[tuple[str, int], SitePlaces], other: dict[tuple[str, int], SitePlaces]) -> None:
    assert list(one) == list(other)
    for key, place in one.items():
        assert (place.windows, place.kind, place.channels) == (other[key].windows, other[key].kind, other[key].channels)
        for mine, its in zip(place.sides, other[key].sides, strict=True):
            assert (mine.quality, mine.reason) == (its.quality, its.reason)
            for name in ("boxes", "tile", "padding"):
                np.testing.assert_array_equal(getattr(mine, name), getattr(its, name))


@pytest.mark.parametrize("name", DEEP)
def test_places_are_those_of_tracing_every_block(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, size = build_timm(name), TIMM_FAMILIES[name].img_size
    quick = pixel_places(module, module, (size, size))
    monkeypatch.setattr("model_adapters.geometry.pixel_dye.repeated", lambda root: {})
    same(quick, pixel_places(module, module, (size, size)))


RAN: list[nn.Module] = []
"""The blocks that really ran, in their order."""


class Block(nn.Module):
    """Residual attention over its tokens rolled, or put in the order of a table."""

    def __init__(self, shift: int = 0, table: list[int] | None = None) -> None:
        super().__init__()
        self.attn, self.shift = nn.Linear(8, 24), shift
        self.register_buffer("table", torch.tensor(range(TOKENS) if table is None else table))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        RAN.append(self)
        q, k, v = self.attn(x.roll(self.shift, 1)[:, self.table])[:, None].chunk(3, -1)
        return x + nn.functional.scaled_dot_product_attention(q, k, v)[:, 0]


class Chosen(Block):
    """Attends among the tokens in the order of their own values."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + 0 * x[:, x.nan_to_num().sum(-1).argsort(1)[0]].nan_to_num()


class Net(nn.Module):
    """Blocks one after the other, and something done to the tokens before each."""

    def __init__(self, *blocks: nn.Module, before: Callable[[int, torch.Tensor], torch.Tensor] = lambda _, x: x) -> None:
        super().__init__()
        self.patch, self.blocks, self.before = nn.Conv2d(3, 8, 8, 8), nn.ModuleList(blocks), before

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.patch(pixels).flatten(2).transpose(1, 2)
        for number, block in enumerate(self.blocks):
            x = block(self.before(number, x))
        return x


def measured(net: Net, run: Callable[[torch.Tensor], object] | None = None) -> list[np.ndarray]:
    """The boxes of the keys of every block; `RAN` holds what ran for them."""
    RAN.clear()
    return [place.keys.boxes for place in pixel_places(net.eval(), run or net, (SIZE, SIZE)).values()]


def test_of_blocks_alike_the_first_runs_for_all() -> None:
    net = Net(Block(), Block(), Block())
    for boxes in measured(net):
        np.testing.assert_array_equal(boxes, GRID)
    assert set(RAN) == {net.blocks[0]}
    assert all("forward" not in vars(module) for module in net.modules())


def test_a_block_that_is_given_other_dye_is_traced() -> None:
    net = Net(Block(), Block(), Block(), before=lambda number, x: x.roll(1, 1) if number == 1 else x)
    first, second, third = measured(net)
    np.testing.assert_array_equal(first, GRID)
    np.testing.assert_array_equal(second, np.roll(GRID, 1, axis=0))
    np.testing.assert_array_equal(third, np.roll(GRID, 1, axis=0))
    assert set(RAN) == set(net.blocks[:2])


@pytest.mark.parametrize("other", [Block(shift=3), Block(table=[*range(3, TOKENS), 0, 1, 2])], ids=["setting", "table"])
def test_other_settings_or_tables_are_not_alike(other: Block) -> None:
    net = Net(Block(), other, Block())
    first, second, third = measured(net)
    np.testing.assert_array_equal(second, np.roll(GRID, other.shift or -3, axis=0))
    np.testing.assert_array_equal(first, GRID)
    np.testing.assert_array_equal(third, GRID)
    assert sorted(repeated(net)) == ["blocks.0", "blocks.2"]


def test_where_values_choose_rows_every_block_is_traced() -> None:
    net = Net(Chosen(), Chosen())
    measured(net)
    assert set(RAN) == set(net.blocks)


def test_another_thread_runs_the_model_as_it_is() -> None:
    net, clean = Net(Block(), Block(), Block()), torch.randn(1, 3, SIZE, SIZE)
    expected, seen = net(clean), []

    def run(pixels: torch.Tensor) -> object:
        thread = Thread(target=lambda: seen.append(net(clean)))
        thread.start()
        thread.join()
        return net(pixels)

    measured(net, run)
    assert seen and all(torch.equal(expected, found) for found in seen)


def test_rates_of_dropout_do_not_make_a_difference_and_widths_do() -> None:
    def block(rate: float, width: int = 8) -> nn.Module:
        return nn.Sequential(nn.Linear(8, width), nn.Dropout(rate), nn.Linear(width, 8))

    assert sorted(repeated(nn.ModuleList([block(0.1), block(0.2), block(0.2, 16)]))) == ["0", "1"]
