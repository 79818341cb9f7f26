"""What one forward pass really costs: operations counted by torch, parameters, and the time on the clock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class RunningCost:
    """The cost of a module on one input."""

    flops: int
    """Floating point operations of products and convolutions; a multiplication with an addition counts as 2."""
    parameters: int
    seconds: float
    """Median of the timed passes."""
    spread: tuple[float, float]
    """First and third quartile of the timed passes."""
    peak_bytes: int | None
    """Highest memory on the accelerator during a pass; None on a CPU, where torch does not tell."""


def running_cost(module: nn.Module, tensors: Mapping[str, Any], *, repeats: int = 10, warmup: int = 2) -> RunningCost:
    """Measure a module as it would run: without a tap, without gradients.

    Args:
        module: whole or slimmed.
        tensors: the keyword arguments it is called with.
        repeats: how many passes are timed; 0 leaves the clock out.
        warmup: how many passes go before.
    """
    device = next(module.parameters()).device
    with torch.no_grad():
        seconds = _seconds(module, tensors, repeats, warmup, device)
        peak = _peak(module, tensors, device) if repeats else None
    low, middle, high = np.percentile(seconds, [25, 50, 75]) if repeats else (np.nan,) * 3
    return RunningCost(
        flops(module, tensors), sum(p.numel() for p in module.parameters()), float(middle), (float(low), float(high)), peak
    )


def flops(module: nn.Module, tensors: Mapping[str, Any]) -> int:
    """Operations of one pass; attention runs as plain products meanwhile, because fused kernels hide theirs on a CPU."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        module(**tensors)
    return int(counter.get_total_flops())


def _seconds(module: nn.Module, tensors: Mapping[str, Any], repeats: int, warmup: int, device: torch.device) -> list[float]:
    found = []
    for turn in range(warmup + repeats if repeats else 0):
        _wait(device)
        start = time.perf_counter()
        module(**tensors)
        _wait(device)
        if turn >= warmup:
            found.append(time.perf_counter() - start)
    return found


def _peak(module: nn.Module, tensors: Mapping[str, Any], device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    module(**tensors)
    _wait(device)
    return int(torch.cuda.max_memory_allocated(device))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
