"""What a forward pass or an answer really costs: operations counted by torch, parameters, and the time on the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from model_adapters.edits import Edit, check_edits
from model_adapters.errors import AdapterError
from model_adapters.inputs import Inputs
from model_adapters.model import Model
from model_adapters.roles import Roles
from model_adapters.site import NOTHING
from model_adapters.tap import AttentionTap


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


@dataclass(frozen=True)
class AnsweringCost:
    """The cost of one prompt and of the tokens written after it, under edits."""

    flops: int
    """Operations of the prompt's pass."""
    prefill_seconds: float
    """Median of the prompt's passes."""
    token_seconds: float
    """Median time of one more token."""
    cache_bytes: int
    """Keys and values that are held after the prompt's pass."""


def answering_cost(
    model: Model, inputs: Inputs, edits: Iterable[Edit] | Edit = (), *, tokens: int = 4, repeats: int = 3
) -> AnsweringCost:
    """Measure what answering costs with edits that drop tokens: nothing is kept, and no attention is recomputed.

    Args:
        model: an LVLM.
        inputs: one prompt.
        edits: those of `where.phase="prompt"` act on the prompt's pass.
        tokens: over how many new tokens the time of one is averaged.
        repeats: how many passes are timed; 0 leaves the clock out.
    """
    edits = check_edits(edits)

    def tapped(run: Callable[[], Any]) -> Any:
        tap = AttentionTap(
            model.module, keep=NOTHING, edits=edits, labels=model.tap_labels, scopes=model.tap_scopes, roles=Roles(model, inputs)
        )
        with model.lock, torch.no_grad(), tap:
            return run()

    def prefill() -> Any:
        return model.module(**inputs.tensors, use_cache=True)

    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        held = _cache_bytes(tapped(prefill), model.name)
    length = {"max_new_tokens": tokens + 1, "min_new_tokens": tokens + 1, "do_sample": False}
    generator: Any = model.module.generate
    whole = [_timed(lambda: tapped(lambda: generator(**inputs.tensors, **length)), model.device) for _ in range(repeats)]
    first = [_timed(lambda: tapped(prefill), model.device) for _ in range(repeats)]
    one = float(np.median(first)) if repeats else float("nan")
    each = max(float(np.median(whole)) - one, 0.0) / tokens if repeats else float("nan")
    return AnsweringCost(int(counter.get_total_flops()), one, each, held)


def _timed(run: Callable[[], Any], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - start


def _cache_bytes(output: Any, name: str) -> int:
    """Bytes of the cache in what the model returns, or in what it returns of its language model."""
    caches: list[Any] = [getattr(part, "past_key_values", None) for part in (output, *dict(output).values())]
    layers = next((cache.layers for cache in caches if hasattr(cache, "layers")), None)
    if layers is None:
        raise AdapterError(f"{name} returned no cache of keys and values by layer among {sorted(dict(output))}.")
    held = [t for layer in layers for t in (getattr(layer, "keys", None), getattr(layer, "values", None))]
    return sum(t.numel() * t.element_size() for t in held if isinstance(t, torch.Tensor))
