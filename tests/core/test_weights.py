"""Captured weights are those that timm and transformers compute themselves, within 1e-5."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import timm.layers
import torch
from timm.utils import AttentionExtract

import model_adapters as ma
from tests.core.comparing import as_rows, wrapped, wrapped_timm
from tests.core.eager import eager_weights
from tests.zoo import hf
from tests.zoo.timm_models import build_timm, timm_image

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
WITHIN, ROUNDING = 1e-5, 3e-5
"""Absolute, and relative: where scores are large, the last bits of an exponential differ between processors."""


# ---- timm

OFFERED = (
    "vit_tiny_patch16_224", "vit_tiny_r_s16_p8_224", "vit_relpos_small_patch16_224", "flexivit_small",
    "deit_tiny_distilled_patch16_224", "deit3_small_patch16_224", "beit_base_patch16_224", "beit3_base_patch16_224",
    "eva02_tiny_patch14_224", "vit_small_patch14_reg4_dinov2", "vit_small_patch16_dinov3", "vit_pe_core_tiny_patch16_384",
    "vit_base_patch16_siglip_224", "samvit_base_patch16", "naflexvit_base_patch16_gap", "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256", "swinv2_cr_tiny_224", "crossvit_tiny_240", "maxvit_pico_rw_256", "coatnet_pico_rw_224",
    "maxxvit_rmlp_nano_rw_256", "caformer_s18", "pvt_v2_b0", "twins_svt_small", "twins_pcpvt_small",
    "xcit_nano_12_p16_224", "nextvit_small", "vitamin_small_224", "tnt_s_patch16_224", "volo_d1_224", "nest_tiny",
    "pit_ti_224", "visformer_tiny", "gcvit_xxtiny", "mobilevit_xxs", "mobilevitv2_050", "mobilenetv5_base",
    "edgenext_xx_small", "fastvit_sa12",
)  # fmt: skip
"""Families of whose every map timm's own AttentionExtract gives the weights (CaiT and ConViT mix them first: below)."""


@contextmanager
def slow_attention() -> Iterator[None]:
    """Models built inside compute their weights explicitly."""
    was = timm.layers.use_fused_attn()
    timm.layers.set_fused_attn(False)
    try:
        yield
    finally:
        timm.layers.set_fused_attn(was)


def extracted(name: str) -> dict[str, torch.Tensor]:
    """timm's own maps by the name of their attention module."""
    with slow_attention():
        reference = build_timm(name)
    with torch.no_grad():
        maps = AttentionExtract(reference, method="hook")(timm_image(name))
    return {path.rsplit(".", 1)[0]: weights for path, weights in maps.items()}


@pytest.mark.parametrize("name", OFFERED)
def test_equal_to_timm(name):
    maps = extracted(name)
    capture = ma.capture(*wrapped_timm(name))
    assert maps and set(maps) <= {site.name for site in capture.sites}
    for module, weights in maps.items():
        site = next(site for site in capture.sites if site.name == module)
        np.testing.assert_allclose(capture.weights[site], as_rows(weights, site.heads), atol=WITHIN, rtol=ROUNDING)


def test_talking_heads_are_captured_before_they_talk():
    """CaiT mixes the heads of its weights by a linear map; timm gives the mixture."""
    model, inputs = wrapped_timm("cait_xxs24_224")
    capture, maps = ma.capture(model, inputs), extracted("cait_xxs24_224")
    talking = [name for name in maps if hasattr(model.module.get_submodule(name), "proj_w")]
    assert len(talking) == 2
    for name in talking:
        mixing = model.module.get_submodule(name).proj_w
        mixed = torch.einsum("oh,hqk->oqk", mixing.weight, torch.from_numpy(capture.weights[name]))
        mixed = mixed + mixing.bias[:, None, None]
        np.testing.assert_allclose(mixed.detach().numpy(), maps[name][0].numpy(), atol=WITHIN, rtol=ROUNDING)
    for name in set(maps) - set(talking):
        np.testing.assert_allclose(capture.weights[name], maps[name][0].numpy(), atol=WITHIN, rtol=ROUNDING)


def test_content_and_position_of_convit_are_two_sites():
    """ConViT mixes two softmaxes by a gate per head; timm gives the mixture."""
    model, inputs = wrapped_timm("convit_tiny")
    capture, maps = ma.capture(model, inputs), extracted("convit_tiny")
    gated = [name for name in maps if hasattr(model.module.get_submodule(name), "gating_param")]
    assert len(gated) == 2
    for name in gated:
        content, position = (capture.weights[site] for site in capture.sites if site.name == name)
        gate = model.module.get_submodule(name).gating_param.detach().sigmoid().numpy()[:, None, None]
        mixed = (1 - gate) * content + gate * position
        mixed = mixed / mixed.sum(-1, keepdims=True)
        np.testing.assert_allclose(mixed, maps[name][0].numpy(), atol=WITHIN, rtol=ROUNDING)


def test_fused_attention_is_back_on():
    was = timm.layers.use_fused_attn()
    extracted("vit_tiny_patch16_224")
    assert timm.layers.use_fused_attn() == was


# ---- transformers

NOT_EAGER = {
    "fast_vlm": "its tower is timm's",
    "gemma3n": "its tower is timm's",
    "perception_lm": "its tower is timm's",
    "deepseek_ocr2": "its SAM tower is written apart",
    "chameleon": "its image tokenizer returns no weights",
    "cvt": "returns no weights",
    "inkling2": "returns its weights without the column of the sink, and mixes layers by attention of its own",
    "mask2former": "its deformable attention samples points: 4 x 12 weights per query, no map from tokens to tokens",
    "flava": "its layers of both return no weights",
    "bridgetower": "its vision tower asks torch's MultiheadAttention for none",
}
"""Families some of whose sites have no weights of transformers' own to compare with, and why."""
NOT_COMPARED = {
    "grounding-dino": "its eager text encoder weighs otherwise than the fused one",
    "sam2": "its layers compute a softmax between heads, which they do not use, beside their attention",
    "timesformer": "what its modules return is cut otherwise than what they weigh",
}
"""Families whose eager form says nothing of what the fused one does, and why."""
LARGE_SCORES = {"clipseg": 1e-4, "gemma4": 5e-5, "gemma4_unified": 5e-5, "diffusion_gemma": 5e-5}
"""Scores are not scaled down there, so float32 itself rounds the weights of two kernels apart."""
USUAL = (
    "llava", "llava_next", "llava_onevision", "video_llava", "internvl", "paligemma", "qwen2_vl", "qwen2_5_vl",
    "qwen3_vl", "glm4v", "gemma3", "mllama", "smolvlm", "idefics3", "blip-2", "instructblip", "t5gemma2", "florence2",
    "kosmos-2", "chameleon", "got_ocr2", "clip", "siglip", "bridgetower", "vit", "deit", "beit", "dinov2",
    "dinov2_with_registers", "swin", "cvt", "pvt", "segformer", "vit_mae", "videomae", "vivit", "mask2former", "detr",
)  # fmt: skip
"""Families that every run compares; the others belong to the sweep."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in USUAL else pytest.mark.sweep) for name in hf.families() if name not in NOT_COMPARED],
)
def test_equal_to_eager(name):
    torch.manual_seed(0)
    capture = ma.capture(*wrapped(name))
    torch.manual_seed(0)
    reference = eager_weights(*wrapped(name, "eager"), capture.sites)
    compared = 0
    for site in capture.sites:
        if site.name not in reference:
            continue
        expected = reference[site.name][site.call]
        own = capture.weights[site]
        if name in NOT_EAGER and expected.shape[-2:] != own.shape[-2:]:
            continue
        if site.kind == "mha":  # torch returns the mean over its heads
            expected, own = expected[:, None], own.mean(0, keepdims=True)
        np.testing.assert_allclose(own, as_rows(expected, len(own)), atol=LARGE_SCORES.get(name, WITHIN), rtol=ROUNDING)
        compared += 1
    if name not in NOT_EAGER:
        assert compared == len(capture.sites), [site.name for site in capture.sites if site.name not in reference]
    assert compared > 0 or name == "cvt"
