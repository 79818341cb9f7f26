"""Silencing every head in turn, against masking each head and running the model again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import timm
import torch

import model_adapters as ma
from model_adapters.ablation import Ablation, ablate

if TYPE_CHECKING:
    from benchmarks.cases import Row

IMAGES = 32


def ablation() -> Iterator[Row]:
    """ViT-S/16, 12 layers of 6 heads: 73 passes over the batch, and the quick way once before and once after them."""
    from benchmarks.cases import Row

    torch.manual_seed(0)
    module = timm.create_model("vit_small_patch16_224").requires_grad_(False)
    for parameter in module.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    model = ma.wrap(module, name="vit_small_patch16_224")
    ablate(model, _images(1))
    inputs = _images(IMAGES)
    quick, wall_before, cpu_before = _timed(lambda: ablate(model, inputs, moved=False))
    slow, slow_wall, slow_cpu = _timed(lambda: _masked(model, inputs))
    _, wall_after, cpu_after = _timed(lambda: ablate(model, inputs, moved=False))
    wall, cpu = (wall_before + wall_after) / 2 / slow_wall, (cpu_before + cpu_after) / 2 / slow_cpu
    what = f"ViT-S/16, {IMAGES} images: every head silenced, against one masked pass per head"
    measured = f"{wall:.2f}x (processor time {cpu:.2f}x; masked {slow_wall:.0f} s)"
    yield Row(what, measured, "<= 0.55x", quick.fast and min(wall, cpu) <= 0.55)
    apart = float(np.abs(quick.logits - slow).max() / max(1.0, np.abs(slow).max()))
    yield Row("The same: largest difference of a logit", f"{apart:.1e}", "<= 1e-05", apart <= 1e-5)


def _masked(model: ma.Model, inputs: ma.Inputs) -> np.ndarray:
    """[L, H, B, C] by one pass per head, keeping nothing else."""
    sites = model.report.seen
    answers = [[ma.run(model, inputs, _gate(site.name, head)).numpy() for head in range(site.heads)] for site in sites]
    return np.array(answers)


def _gate(site: str, head: int) -> ma.edits.Gate:
    return ma.edits.Gate(ma.Where(sites=(site,), heads=(head,)), 0.0)


def _images(count: int) -> ma.Inputs:
    pixels = torch.randn(count, 3, 224, 224, generator=torch.Generator().manual_seed(count))
    return ma.Inputs({"x": pixels}, batch=count, many=True)


def _timed(work: Callable[[], Ablation | np.ndarray]) -> tuple:
    clock, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - clock, time.process_time() - processor
