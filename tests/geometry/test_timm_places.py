"""The pixel dye on timm's families, against tile arithmetic written by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from model_adapters.geometry import pixel_places
from model_adapters.geometry.places import Places, SitePlaces
from tests.geometry.expected import blocks, grid, grid_attention, shifted_windows
from tests.zoo.timm_models import build_timm


def places_of(name: str, size: int | tuple[int, int]) -> dict[tuple[str, int], SitePlaces]:
    module = build_timm(name)
    return pixel_places(module, module, (size, size) if isinstance(size, int) else size)


def first(places: dict[tuple[str, int], SitePlaces], part: str = "") -> SitePlaces:
    return next(place for (name, _), place in places.items() if part in name)


def same(places: Places, boxes: np.ndarray, empty: int = 0) -> None:
    """All rows have these boxes, after `empty` rows without a place."""
    assert not places.placed[:empty].any()
    np.testing.assert_array_equal(places.boxes[empty:], boxes)


@pytest.mark.parametrize(
    ("name", "size", "patch", "prefix"),
    [
        ("vit_tiny_patch16_224", 64, 16, 1),
        ("deit_tiny_distilled_patch16_224", 64, 16, 2),
        ("beit_base_patch16_224", 64, 16, 1),
        ("vit_small_patch14_reg4_dinov2", 70, 14, 5),
        ("eva02_tiny_patch14_224", 70, 14, 1),
        ("naflexvit_base_patch16_gap", 64, 16, 4),
    ],
)
def test_a_plain_vit_has_a_raster_grid_behind_its_prefix(name: str, size: int, patch: int, prefix: int) -> None:
    for place in places_of(name, size).values():
        for side in place.sides:
            assert side.quality == "tile"
            same(side, grid(size // patch, size // patch, patch), empty=prefix)
            assert not side.padding.any()


@pytest.mark.parametrize("size", [(112, 112), (96, 128)])
def test_swin_equals_roll_and_partition(size: tuple[int, int]) -> None:
    import timm

    torch.manual_seed(0)
    module = timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=size, embed_dim=16, depths=(2, 2), num_heads=(2, 4), num_classes=3
    ).eval()
    places = pixel_places(module, module, size)
    assert len(places) == 4
    padded = 0
    for (name, _), place in places.items():
        block: nn.Module = module.get_submodule(name.removesuffix(".attn"))
        stage = int(name.split(".")[1])
        tile = 4 * 2**stage
        boxes = shifted_windows(size[0] // tile, size[1] // tile, block.window_size, block.shift_size, tile)
        for side in place.sides:
            same(side, boxes)
            np.testing.assert_array_equal(side.padding, np.isnan(boxes[:, 0]))
        padded += int(np.isnan(boxes[:, 0]).sum())
    assert (padded > 0) == (size == (96, 128))


def test_maxvit_partitions_blocks_then_grids() -> None:
    places = places_of("maxvit_pico_rw_256", 128)
    module = build_timm("maxvit_pico_rw_256")
    stage = module.stages[0].blocks[0].attn_block.partition_size[0]
    same(first(places, "stages.0.blocks.0.attn_block").queries, blocks(32, 32, stage, 4))
    same(first(places, "stages.0.blocks.0.attn_grid").queries, grid_attention(32, 32, stage, 4))


def test_pvt_attends_from_fine_queries_to_coarse_keys() -> None:
    place = first(places_of("pvt_v2_b0", 64))
    same(place.queries, grid(16, 16, 4))
    same(place.keys, grid(2, 2, 32))
    same(place.values, grid(2, 2, 32))


def test_davit_alternates_windows_and_channels() -> None:
    places = places_of("davit_tiny", 112)
    spatial, channel = first(places, "stages.0.blocks.0.0"), first(places, "stages.0.blocks.0.1")
    same(spatial.queries, blocks(28, 28, 7, 4))
    assert channel.channels
    for side in channel.sides:
        assert side.quality == "none"
        assert not side.placed.any()
        assert "channels" in side.reason


def test_xcit_attends_over_channels_until_its_class_attention() -> None:
    places = places_of("xcit_nano_12_p16_224", 64)
    assert first(places, "blocks.0").queries.quality == "none"
    last = first(places, "cls_attn")
    assert not last.queries.placed.any()
    same(last.keys, grid(4, 4, 16), empty=1)


def test_gcvit_queries_are_global_where_keys_are_windows() -> None:
    places = places_of("gcvit_xxtiny", 224)
    local, wide = first(places, "stages.0.blocks.0"), first(places, "stages.0.blocks.1")
    same(local.queries, blocks(56, 56, 7, 4))
    same(wide.queries, np.tile(grid(7, 7, 32), (64, 1)))
    same(wide.keys, blocks(56, 56, 7, 4))


def test_hiera_pools_its_queries() -> None:
    places = places_of("hiera_tiny_224", 224)
    wide = [place for place in places.values() if len(place.queries) * 4 == len(place.keys)]
    assert wide
    place = wide[0]
    assert place.queries.quality == place.keys.quality == "tile"
    per = len(place.keys) // place.windows
    for window in range(place.windows):  # each query of a window lies over four keys of the same window
        keys = place.keys.boxes[window * per : (window + 1) * per]
        for x0, y0, x1, y1 in place.queries.boxes[window * per // 4 : (window + 1) * per // 4]:
            inside = (keys[:, 0] >= x0) & (keys[:, 1] >= y0) & (keys[:, 2] <= x1) & (keys[:, 3] <= y1)
            assert inside.sum() == 4


def test_levit_reads_single_tokens_where_it_strides() -> None:
    places = places_of("levit_128s", 224)
    same(first(places, "stages.0").queries, grid(14, 14, 16))
    down = first(places, "stages.1.downsample")
    same(down.queries, grid(14, 14, 16).reshape(14, 14, 4)[::2, ::2].reshape(-1, 4))
    same(down.keys, grid(14, 14, 16))
    assert down.queries.quality == "box"


def test_volo_outlook_takes_its_keys_from_a_padded_unfold() -> None:
    place = first(places_of("volo_d1_224", 64), "network.0.0")
    assert place.windows == 16
    for window, box in enumerate(grid(4, 4, 16)):
        np.testing.assert_array_equal(place.queries.boxes[window * 9 : window * 9 + 9], np.tile(box, (9, 1)))
    values, inside = np.full((16, 9, 4), np.nan, np.float32), grid(8, 8, 8).reshape(8, 8, 4)
    for window in range(16):
        for tap in range(9):
            y, x = window // 4 * 2 + tap // 3 - 1, window % 4 * 2 + tap % 3 - 1
            if 0 <= y < 8 and 0 <= x < 8:
                values[window, tap] = inside[y, x]
    same(place.keys, values.reshape(-1, 4))
    np.testing.assert_array_equal(place.values.padding, np.isnan(values[..., 0].ravel()))


def test_a_factorised_softmax_is_no_map_between_tokens() -> None:
    place = first(places_of("coat_lite_tiny", 64))
    assert place.kind == "factorised"
    assert place.queries.quality == "none"
    same(place.keys, grid(16, 16, 4), empty=1)


def test_weights_of_single_elements_have_keys_but_no_queries() -> None:
    place = first(places_of("mobilevitv2_050", 64))
    assert place.queries.quality == "element"
    np.testing.assert_array_equal(np.unique(place.keys.boxes, axis=0), np.unique(grid(8, 8, 8), axis=0))


def test_the_module_is_left_as_it_was() -> None:
    module = build_timm("vit_tiny_patch16_224").train()
    module.blocks[0].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(ZeroDivisionError):
        pixel_places(module, lambda pixels: (module(pixels), 1 / 0), (64, 64))
    assert module.training and module.blocks[1].attn.training and not module.blocks[0].attn.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    for tensor in (*module.parameters(), *module.buffers()):
        assert not [name for name in vars(tensor) if name.startswith("_headlight")]


def test_tokens_smaller_than_any_dye_share_boxes_whose_edges_are_edges_of_tokens() -> None:
    class Attention(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = x.flatten(2).transpose(1, 2)[:, None]
            return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)

    side, token = 132, 3
    module = nn.Sequential(nn.Conv2d(3, 8, token, token), Attention())
    (place,) = pixel_places(module, module, (side, side)).values()
    boxes = grid(side // token, side // token, token)
    same(place.keys, np.concatenate([boxes[:, :2] // 6 * 6, boxes[:, :2] // 6 * 6 + 6], axis=1))
    assert place.keys.quality == "box"
    assert "share a box" in place.keys.reason
