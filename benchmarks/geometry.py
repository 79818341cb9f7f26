"""Measuring where tokens lie, the first time a model sees a size of picture, in plain forwards of one picture."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import timm
import torch

import model_adapters as ma
from benchmarks.timing import against
from model_adapters.examples import test_picture
from model_adapters.geometry.measure import measured

if TYPE_CHECKING:
    from benchmarks.cases import Row

FORWARDS, SECONDS = 60, 20
TOWERS = (
    ("vit_tiny_patch16_224", None), ("vit_tiny_patch16_224", 1024), ("vit_small_patch14_reg4_dinov2", None),
    ("swin_tiny_patch4_window7_224", None), ("twins_svt_small", None), ("mvitv2_tiny", None), ("hiera_tiny_224", None),
    ("gcvit_xtiny", None), ("maxvit_tiny_rw_224", None), ("nextvit_small", None), ("qwen3_vit_88m_merge", None),
    ("sam2_hiera_tiny", None),
)  # fmt: skip
"""Models of timm, and the side of the picture where it is not their own."""


def geometry() -> Iterator[Row]:
    """A tower of each kind that costs the most, with random weights, at the size it is made for."""
    from benchmarks.cases import Row

    for name, side in TOWERS:
        model = _model(name, side)
        inputs = model.prepare(image=test_picture(384))
        (ratio,) = against(partial(_plain, model, inputs), [partial(measured, model, inputs)], rounds=1)
        seconds = ratio.wall * ratio.plain
        what = f"Geometry of {name}{f' at {side} px' if side else ''}"
        told = f"{seconds:.1f} s, {ratio.wall:.1f} plain forwards (processor time {ratio.cpu:.1f}; plain {ratio.plain:.2f} s)"
        met = min(ratio.wall, ratio.cpu) <= FORWARDS or seconds <= SECONDS
        yield Row(what, told, f"<= {FORWARDS} plain forwards or {SECONDS} s", met)


def _model(name: str, side: int | None) -> ma.Model:
    torch.manual_seed(0)
    module = timm.create_model(name, **({} if side is None else {"img_size": side}))
    if side is not None:  # timm itself goes on naming the size of the published weights
        module.pretrained_cfg = {**module.pretrained_cfg, "input_size": (3, side, side)}
    return ma.wrap(module, name=name, verify=False)


def _plain(model: ma.Model, inputs: ma.Inputs) -> None:
    with torch.no_grad():
        model.forward(inputs)
