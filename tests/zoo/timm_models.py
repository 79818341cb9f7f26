"""The attention families of timm: one small random member of each, and the ones without attention weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import timm
import torch
from torch import nn

from .shake import settled, shaken

NARROW = {"embed_dim": 64, "depth": 2, "num_heads": 4}
PYRAMID = {"depths": (1, 1, 2, 1), "embed_dims": (16, 32, 64, 64), "num_heads": (1, 2, 4, 4)}
STAGES = {"embed_dim": 16, "depths": (2, 2), "num_heads": (2, 4)}


@dataclass(frozen=True)
class TimmModel:
    """One member of a family of timm models."""

    name: str
    img_size: int = 224
    options: Mapping[str, Any] = field(default_factory=dict)
    """Given to `timm.create_model`: fewer layers and narrower ones, where the family allows it."""
    sized: bool = True
    """Whether `create_model` takes `img_size`; convolutional stems take any size without being told."""
    refused: str = ""
    """Why this model has no attention weights to look at."""


_TABLE = (
    TimmModel("vit_tiny_patch16_224", 64, NARROW),
    TimmModel("vit_tiny_r_s16_p8_224", 64, NARROW),
    TimmModel("vit_relpos_small_patch16_224", 64, NARROW),
    TimmModel("flexivit_small", 64, NARROW),
    TimmModel("deit_tiny_patch16_224", 64, NARROW),
    TimmModel("deit_tiny_distilled_patch16_224", 64, NARROW),
    TimmModel("deit3_small_patch16_224", 64, NARROW),
    TimmModel("beit_base_patch16_224", 64, NARROW),
    TimmModel("eva02_tiny_patch14_224", 70, NARROW),
    TimmModel("vit_small_patch14_dinov2", 70, NARROW),
    TimmModel("vit_small_patch14_reg4_dinov2", 70, NARROW),
    TimmModel("vit_small_patch16_dinov3", 64, NARROW),
    TimmModel("vit_pe_core_tiny_patch16_384", 64, NARROW),
    TimmModel("vit_base_patch16_siglip_224", 64, NARROW),
    TimmModel("samvit_base_patch16", 128, {**NARROW, "global_attn_indexes": (1,), "window_size": 3}),
    TimmModel("naflexvit_base_patch16_gap", 64, NARROW, sized=False),
    TimmModel("swin_tiny_patch4_window7_224", 112, STAGES),
    TimmModel("swinv2_tiny_window8_256", 128, STAGES),
    TimmModel("swinv2_cr_tiny_224", 112, STAGES),
    TimmModel("cait_xxs24_224", 64, NARROW),
    TimmModel("crossvit_tiny_240", 240, {"depth": ((1, 2, 0), (1, 2, 0), (1, 2, 0))}),
    TimmModel("davit_tiny", 112, {"depths": (1, 1), "embed_dims": (16, 32), "num_heads": (2, 4)}, sized=False),
    TimmModel("maxvit_pico_rw_256", 128),
    TimmModel("coatnet_pico_rw_224", 64),
    TimmModel("maxxvit_rmlp_nano_rw_256", 128),
    TimmModel("caformer_s18", 64, sized=False),
    TimmModel("pvt_v2_b0", 64, sized=False),
    TimmModel("twins_svt_small", 128, PYRAMID),
    TimmModel("twins_pcpvt_small", 64, PYRAMID),
    TimmModel("xcit_nano_12_p16_224", 64, {"depth": 2, "cls_attn_layers": 1}),
    TimmModel("levit_128s", 224),
    TimmModel("efficientvit_m0", 224),
    TimmModel("shvit_s1", 128, sized=False),
    TimmModel("tiny_vit_5m_224", 224, sized=False),
    TimmModel("nextvit_small", 64, sized=False),
    TimmModel("vitamin_small_224", 64, {"depth": 2}),
    TimmModel("mvitv2_tiny", 64),
    TimmModel("hiera_tiny_224", 224, {"embed_dim": 16, "stages": (1, 1, 2, 1)}),
    TimmModel("hieradet_small", 256, {"stages": (1, 1, 3, 1), "global_att_blocks": (3,)}, sized=False),
    TimmModel("convit_tiny", 64, {"depth": 3, "local_up_to_layer": 2}),
    TimmModel("tnt_s_patch16_224", 64, {"depth": 2}),
    TimmModel("volo_d1_224", 64),
    TimmModel("nest_tiny", 64),
    TimmModel("pit_ti_224", 64),
    TimmModel("visformer_tiny", 64),
    TimmModel("gcvit_xxtiny", 224),
    TimmModel("mobilevit_xxs", 128, sized=False),
    TimmModel("mobilevitv2_050", 128, sized=False),
    TimmModel("mobilenetv5_base", 128, {"channel_multiplier": 0.25}, sized=False),
    TimmModel("efficientformer_l1", 224, sized=False),
    TimmModel("efficientformerv2_s0", 224),
    TimmModel("edgenext_xx_small", 64, sized=False),
    TimmModel("coat_tiny", 64),
    TimmModel("coat_lite_tiny", 64),
    TimmModel("beit3_base_patch16_224", 64, NARROW),
    TimmModel("fastvit_sa12", 64, sized=False),
    TimmModel("convnext_atto", 64, sized=False, refused="convolutions only"),
    TimmModel("focalnet_tiny_srf", 64, sized=False, refused="focal modulation, no attention"),
    TimmModel("mambaout_femto", 64, sized=False, refused="gated convolutions only"),
    TimmModel("efficientvit_b0", 64, sized=False, refused="linear attention has no weights"),
)
TIMM_FAMILIES: dict[str, TimmModel] = {model.name: model for model in _TABLE}


def build_timm(name: str, seed: int = 0) -> nn.Module:
    """Return a small random model of timm with shaken weights in evaluation mode."""
    record = TIMM_FAMILIES[name]
    options = {**record.options, **({"img_size": record.img_size} if record.sized else {})}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = timm.create_model(name, pretrained=False, **options)
    # As in a checkpoint of this size: timm itself goes on naming the size of the published weights.
    model.pretrained_cfg = {**model.pretrained_cfg, "input_size": (3, record.img_size, record.img_size)}
    pictures = timm_image(name, seed, count=4)
    return settled(shaken(model, seed), lambda: model(pictures))


def timm_image(name: str, seed: int = 0, count: int = 1) -> torch.Tensor:
    """Return random pictures of the size that this model takes, as a batch."""
    size = TIMM_FAMILIES[name].img_size
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))
