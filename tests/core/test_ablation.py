"""Silencing heads by hand-run blocks against masking them one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import model_adapters as ma
from model_adapters import ablation
from model_adapters.ablation import ablate
from tests import zoo
from tests.core.by_hand import BLOCKS, HEADS, WAYS, WHOLE, WIDTH, net, slow, tokens
from tests.zoo.timm_models import build_timm, timm_image

BY_HAND = {
    "vit_tiny_patch16_224": 1,
    "deit_tiny_distilled_patch16_224": 2,
    "vit_small_patch14_reg4_dinov2": 1,
    "vit_relpos_small_patch16_224": 16,
    "eva02_tiny_patch14_224": 25,
    "beit_base_patch16_224": 16,
}
"""Families whose blocks can be run by hand, and how many rows their classifiers read."""
HF_BY_HAND = {"vit": 1, "dinov2": 65, "clip_vision_model": 1}
"""The same of transformers."""
IN_FULL = {
    "swin_tiny_patch4_window7_224": "same tokens",
    "vit_base_patch16_siglip_224": "one attention each",
    "cait_xxs24_224": "Sizes of tensors",
}
"""Families that fall back to masked passes, and a part of the reason they give."""


def model_and_images(name, count=2):
    return ma.wrap(build_timm(name), name=name, verify=False), ma.Inputs({"x": timm_image(name, count=count)}, count, True)


def close(one, other):
    assert np.array_equal(np.isnan(one), np.isnan(other))
    assert np.nanmax(np.abs(one - other)) <= 1e-5 * max(1.0, float(np.nanmax(np.abs(other))))


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_calling_the_kernel_can_be_run_by_hand(way):
    model, inputs = net(way), tokens(2)
    quick = ablate(model, inputs)
    assert quick.fast, quick.note
    close(quick.logits, ablate(model, inputs, fast=False).logits)


@pytest.mark.parametrize("way", WHOLE)
def test_silenced_heads_equal_their_slow_computation(way):
    model, inputs = net(way), tokens(3)
    found = ablate(model, inputs)
    for layer in range(BLOCKS):
        for head in range(HEADS):
            gone = slow(model, inputs.tensors["x"], output=lambda o, at, h, p=(layer, head): 0 * o if (at, h) == p else o)
            close(found.logits[layer, head], gone.numpy())


@pytest.mark.parametrize("name", BY_HAND)
def test_blocks_run_by_hand_give_the_numbers_of_masking(name):
    model, inputs = model_and_images(name)
    quick, full = ablate(model, inputs), ablate(model, inputs, fast=False)
    assert quick.fast and not full.fast, quick.note
    assert f"reads {BY_HAND[name]} of" in quick.note
    close(quick.logits, full.logits)
    for one, other in zip(quick.moved, full.moved, strict=True):
        close(one, other)
    assert np.nanmin(np.abs(full.logits - full.base).max(-1)) > 1e-4, "a head that does nothing would hide a fault"


@pytest.mark.parametrize("name", HF_BY_HAND)
def test_blocks_of_transformers_are_run_by_hand_too(name):
    module, processor = zoo.build(name)
    model = ma.wrap(module, processor=processor, name=name)
    inputs = model.prepare(image=[zoo.scene(), zoo.scene().rotate(90)])
    quick, full = ablate(model, inputs), ablate(model, inputs, fast=False)
    assert quick.fast and f"reads {HF_BY_HAND[name]} of" in quick.note
    close(quick.logits, full.logits)


def test_both_towers_of_a_dual_encoder_can_be_silenced():
    module, processor = zoo.build("clip")
    model = ma.wrap(module, processor=processor, name="clip")
    found = ablate(model, model.prepare(image=zoo.scene(), text=["a", "b"]))
    assert not found.fast and {site.tower for site in found.sites} == {"vision", "text"}
    assert found.logits.shape[:2] == (4, 4) and (np.abs(found.logits - found.base).max(-1) > 0).all()


@pytest.mark.parametrize("name", IN_FULL)
def test_other_towers_are_masked_in_full_and_say_so(name):
    model, inputs = model_and_images(name)
    found = ablate(model, inputs)
    assert not found.fast and IN_FULL[name] in found.note
    site = found.sites[-1]
    gone = ma.run(model, inputs, ma.edits.Gate(ma.Where(sites=(site.name,), heads=(0,)), 0.0))
    close(found.logits[-1, 0], gone.numpy())


class Meddling(torch.nn.Module):
    """Something that happens to the projected heads."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x).square()


def test_a_block_that_cannot_be_taken_apart_is_found_out():
    model, inputs = net("sdpa"), tokens(2)
    for block in model.module.blocks:
        block.attn.proj = Meddling(block.attn.proj)
    quick, full = ablate(model, inputs), ablate(model, inputs, fast=False)
    assert quick.fast
    close(quick.logits, full.logits)
    for block in model.module.blocks:
        block.attn.proj = torch.nn.Sequential(torch.nn.LayerNorm(WIDTH), block.attn.proj)
    found = ablate(model, inputs)
    assert not found.fast and "misses the model's own answer" in found.note
    close(found.logits, ablate(model, inputs, fast=False).logits)


def test_one_image_gives_the_same_as_in_a_batch():
    model, inputs = model_and_images("vit_tiny_patch16_224", 3)
    one = ma.Inputs({"x": inputs.tensors["x"][1:2]})
    close(ablate(model, one).logits[:, :, 0], ablate(model, inputs).logits[:, :, 1])


@pytest.mark.parametrize(("items", "waiting"), [(1, 0), (6, 10**9), (100, 0)])
def test_any_number_of_heads_may_go_through_at_once(items, waiting, monkeypatch):
    model, inputs = model_and_images("vit_tiny_patch16_224", 3)
    expected = ablate(model, inputs, fast=False)
    monkeypatch.setattr(ablation, "_ITEMS", {"cpu": items})
    monkeypatch.setattr(ablation, "_WAITING_BYTES", waiting)
    found = ablate(model, inputs)
    assert found.fast
    close(found.logits, expected.logits)
    close(found.moved[0], expected.moved[0])


def test_heads_of_a_language_model_change_its_next_token():
    module, processor = zoo.build("llava")
    model = ma.wrap(module, processor=processor, name="llava", kind="lvlm")
    found = ablate(model, model.prepare(image=zoo.scene(), text="What is this?"), moved=False)
    assert not found.fast and {"vision", "decoder"} <= {site.tower for site in found.sites}
    assert found.logits.shape[2:] == found.base.shape and found.base.ndim == 2
    assert np.nanmax(np.abs(found.logits - found.base)) > 1e-4


def test_no_gradient_is_left_and_answers_stay():
    model, inputs = model_and_images("vit_tiny_patch16_224")
    model.module.requires_grad_(True)
    before = model.forward(inputs).detach()
    ablate(model, inputs)
    assert all(p.grad is None for p in model.module.parameters())
    assert torch.equal(before, model.forward(inputs).detach())
