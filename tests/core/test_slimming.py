"""Slimmed models answer as gated ones, are really smaller, and come back from a file."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

import model_adapters as ma
from model_adapters import Where
from model_adapters.edits import Boost, Gate, Skip
from model_adapters.running_cost import flops, running_cost
from model_adapters.slimming import Cut, cut_of, load_slim, loader_snippet, save_slim, slimmed
from tests.zoo.shake import shaken

DEPTH, HEADS, WIDTH, SIZE = 3, 4, 32, 32
EDITS = (
    Gate(Where(layers=(0,), heads=(1, -1))),
    Gate(Where(layers=(1,))),
    Skip(Where(layers=(1,)), part="mlp"),
    Skip(Where(layers=(2,)), part="attention"),
)


def vit(name="vit_tiny_patch16_224", **options):
    torch.manual_seed(0)
    options = {
        "img_size": SIZE,
        "patch_size": 8,
        "embed_dim": WIDTH,
        "depth": DEPTH,
        "num_heads": HEADS,
        "num_classes": 5,
        **options,
    }
    return shaken(timm.create_model(name, pretrained=False, **options)).requires_grad_(False)


def pixels(count=2):
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def gated(module, edits):
    model = ma.wrap(module, name="whole", verify=False)
    return ma.run(model, ma.Inputs(tensors={"x": pixels()}, batch=2), edits)


MODELS = {
    "vit": {},
    "distilled": {"name": "deit_tiny_distilled_patch16_224"},
    "layer scale and registers": {"name": "vit_small_patch14_reg4_dinov2"},
    "norms per head": {"qk_norm": True},
    "no bias": {"qkv_bias": False, "proj_bias": False},
}


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("edits", [EDITS[:1], EDITS[1:2], EDITS[2:3], EDITS[3:], EDITS, (Skip(Where(layers=(1,))),)])
def test_slimmed_answers_as_gated(options, edits):
    whole = vit(**options)
    small = slimmed(whole, cut_of(edits, DEPTH, HEADS))
    found, expected = small(pixels()), gated(whole, edits)
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found, whole(pixels()), atol=1e-3)


def test_shapes_and_parameters_shrink_by_what_is_cut():
    whole = vit()
    small = slimmed(whole, Cut(heads=((0, 1), (0, 3))))
    assert small.blocks[0].attn.qkv.weight.shape == (3 * 16, WIDTH) and small.blocks[0].attn.proj.weight.shape == (WIDTH, 16)
    less = sum(p.numel() for p in whole.parameters()) - sum(p.numel() for p in small.parameters())
    assert less == 3 * 16 * WIDTH + 3 * 16 + 16 * WIDTH
    assert whole.blocks[0].attn.num_heads == HEADS  # the given one stays whole
    assert len(slimmed(whole, Cut(blocks=(1,))).blocks) == 2


def test_the_same_head_twice_is_once_and_a_whole_layer_is_its_bias():
    whole = vit()
    once, twice = (cut_of((Gate(Where(layers=(0,), heads=(1,))),) * n, DEPTH, HEADS) for n in (1, 2))
    assert once == twice == Cut(heads=((0, 1),))
    none_left = slimmed(whole, cut_of((Gate(Where(layers=(1,))),), DEPTH, HEADS)).blocks[1].attn
    out = none_left(torch.randn(1, 4, WIDTH))
    assert torch.allclose(out, whole.blocks[1].attn.proj.bias.expand(1, 4, -1))


def test_skips_of_both_branches_take_the_block():
    both = (
        Skip(Where(layers=(1,)), part="mlp"),
        Skip(Where(layers=(1,)), part="attention"),
        Gate(Where(layers=(1,), heads=(2,))),
    )
    assert cut_of(both, DEPTH, HEADS) == Cut(blocks=(1,))


def by_hand(depth, tokens, width, inner, hidden, classes, patch):
    per_block = 3 * width * inner + inner * width + 2 * width * hidden
    return (
        2 * (tokens - 1) * 3 * patch**2 * width + depth * (2 * tokens * per_block + 4 * tokens**2 * inner) + 2 * width * classes
    )


def test_operations_are_those_of_the_formula():
    whole = vit()
    one = {"x": pixels(1)}
    assert flops(whole, one) == by_hand(DEPTH, 17, WIDTH, WIDTH, 4 * WIDTH, 5, 8)
    half = slimmed(whole, Cut(heads=tuple((b, h) for b in range(DEPTH) for h in (0, 2))))
    assert flops(half, one) == by_hand(DEPTH, 17, WIDTH, WIDTH // 2, 4 * WIDTH, 5, 8)
    cost = running_cost(half, one, repeats=3, warmup=1)
    assert 0 < cost.spread[0] <= cost.seconds <= cost.spread[1] and cost.peak_bytes is None
    assert cost.parameters == sum(p.numel() for p in half.parameters())


def test_saved_and_loaded_is_the_same(tmp_path):
    options = {"img_size": SIZE, "patch_size": 8, "embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS, "num_classes": 5}
    cut = cut_of(EDITS, DEPTH, HEADS)
    small = slimmed(vit(), cut)
    folder = save_slim(small, cut, tmp_path / "slim", architecture="vit_tiny_patch16_224", **options)
    assert torch.equal(load_slim(folder)(pixels()), small(pixels()))
    assert torch.equal(load_slim(folder, build=vit)(pixels()), small(pixels()))
    namespace = {}
    exec(loader_snippet(folder), namespace)
    assert torch.equal(namespace["module"](pixels()), small(pixels()))
    nameless = save_slim(small, cut, tmp_path / "nameless")
    with pytest.raises(ma.AdapterError, match="Give build="):
        load_slim(nameless)


def test_what_cannot_be_cut_is_refused_with_the_reason():
    with pytest.raises(ma.AdapterError, match="Gates of 0"):
        cut_of((Boost(),), DEPTH, HEADS)
    with pytest.raises(ma.AdapterError, match="cannot be slimmed"):
        slimmed(nn.Linear(2, 2), Cut())
    with pytest.raises(ma.AdapterError, match="Blocks \\[7\\]"):
        slimmed(vit(), Cut(blocks=(7,)))
    with pytest.raises(ma.AdapterError, match="Heads \\[9\\]"):
        slimmed(vit(), Cut(heads=((0, 9),)))
    with pytest.raises(ma.AdapterError, match="no norm over heads"):
        slimmed(vit(scale_attn_norm=True), Cut(heads=((0, 1),)))
