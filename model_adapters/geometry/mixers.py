"""Stand-ins for the operations that mix neighbours: each output keeps the dye of its nominal tile, no more.

A 3x3 convolution is one tap, a 7x7 convolution of stride 4 one 4x4 tile, a resize the nearest pixel, and a statistic over
the whole image has no dye. The values themselves do not matter, so products are replaced by means, which cost little.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F

from model_adapters.geometry.marks import dyed, live

_CONV = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_MAX_POOL = ("input", "kernel_size", "stride", "padding", "dilation")
_AVG_POOL = ("input", "kernel_size", "stride", "padding")


def named(names: tuple[str, ...], args: tuple, kwargs: dict) -> dict[str, Any]:
    """The arguments of a call by name."""
    return dict(zip(names, args, strict=False)) | kwargs


def output_shape(func: Callable, args: tuple, kwargs: dict) -> torch.Size:
    """The shape a call would give, without computing it."""

    def meta(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return torch.empty_like(value, device="meta", requires_grad=False)
        return type(value)(map(meta, value)) if type(value) in (tuple, list) else value

    try:
        made = func(*map(meta, args), **{key: meta(value) for key, value in kwargs.items()})
    except (RuntimeError, NotImplementedError):  # shapes that depend on values have to be computed
        made = func(*args, **kwargs)
    return (made[0] if isinstance(made, tuple) else made).shape


def linear(func: Callable, args: tuple, kwargs: dict) -> torch.Tensor:
    """Every output feature is the mean of the inputs, plus a fixed ramp so that norms of rows are never zero."""
    given = named(("input", "weight", "bias"), args, kwargs)
    x, width = given["input"], given["weight"].shape[0]
    return x.mean(-1, keepdim=True) + _ramp(width, x.dtype, x.device)


def activation(func: Callable, args: tuple, kwargs: dict) -> torch.Tensor:
    """An activation whose exact values cost much: NaN stays NaN."""
    return (args[0] if args else kwargs["input"]) * 0.5


def product(func: Callable, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """A matrix product whose entry (i, j) is the mean of row i plus the mean of column j.

    A factor that does not depend on the image may choose rows by ones and zeros; its zeros let no dye through.
    """
    if left.dim() < 2 or right.dim() < 2:
        return func(left, right)
    if not live(left):
        through = (left != 0).to(right.dtype) @ dyed(right, -1).to(right.dtype).unsqueeze(-1) > 0
        clean = left.mean(-1, keepdim=True) + right.nan_to_num().mean(-2, keepdim=True)
        return clean.masked_fill(through, torch.nan)
    return left.mean(-1, keepdim=True) + right.mean(-2, keepdim=True)


def conv(func: Callable, args: tuple, kwargs: dict) -> torch.Tensor:
    """A convolution that reads only the nominal tile of each output."""
    given = named(_CONV, args, kwargs)
    x, weight = given["input"], given["weight"]
    shape, spatial = output_shape(func, args, kwargs), weight.dim() - 2
    depthwise = given.get("groups", 1) == x.shape[-spatial - 1] == weight.shape[0]
    pooled = x if depthwise else x.mean(-spatial - 1, keepdim=True)
    padding = given.get("padding", 0)
    dilation = _per_axis(given.get("dilation", 1), spatial)
    if isinstance(padding, str):
        padding = [(k - 1) * d // 2 if padding == "same" else 0 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    pooled = _tiles(pooled, shape, tuple(weight.shape[2:]), given.get("stride", 1), padding, dilation)
    return pooled + _ramp(weight.shape[0], x.dtype, x.device).view(-1, *[1] * spatial)


def transposed_conv(func: Callable, args: tuple, kwargs: dict) -> torch.Tensor:
    """A transposed convolution that copies each input to the outputs it lies under."""
    shape = output_shape(func, args, kwargs)
    spatial = args[1].dim() - 2
    out = nearest(args[0].mean(-spatial - 1, keepdim=True), tuple(shape[-spatial:]))
    return out + _ramp(shape[-spatial - 1], out.dtype, out.device).view(-1, *[1] * spatial)


def pool(func: Callable, args: tuple, kwargs: dict) -> torch.Tensor:
    """An average or maximum pool that reads only the nominal tile of each output."""
    given = named(_MAX_POOL if "max" in func.__name__ else _AVG_POOL, args, kwargs)
    x = given["input"]
    shape = output_shape(func, args, kwargs)
    spatial = int(func.__name__.rstrip("_")[-2])
    kernel = _per_axis(given["kernel_size"], spatial)
    stride = given.get("stride")
    stride = kernel if stride is None or stride == [] else stride
    return _tiles(x, shape, kernel, stride, given.get("padding", 0), given.get("dilation", 1)) + 0


def overlaps(func: Callable, args: tuple, kwargs: dict) -> bool:
    """Whether the windows of a pool share pixels, or reach into a border."""
    given = named(_MAX_POOL if "max" in func.__name__ else _AVG_POOL, args, kwargs)
    kernel, stride, padding = given["kernel_size"], given.get("stride"), given.get("padding", 0)
    kernel = _per_axis(kernel, 3)
    stride = kernel if stride is None or stride == [] else _per_axis(stride, 3)
    shares = any(k > s for k, s in zip(kernel, stride, strict=False))
    return shares or any(_per_axis(padding, 3))


def is_global(name: str, func: Callable, args: tuple, kwargs: dict) -> bool:
    """Whether a pool or a statistic runs over both axes of a 4-dimensional map."""
    x = args[0] if args else kwargs.get("input")
    if x is None or x.dim() != 4:
        return False
    if name.startswith("adaptive"):
        return output_shape(func, args, kwargs)[-2:].numel() == 1
    axes = kwargs.get("dim", args[2] if "norm" in name and len(args) > 2 else args[1] if len(args) > 1 else None)
    return isinstance(axes, (tuple, list)) and len(axes) == 2 and {a % 4 for a in axes} in ({1, 2}, {2, 3})


def norm_axes(args: tuple, kwargs: dict) -> int:
    """Over how many axes a layer norm runs."""
    return len(args[1] if len(args) > 1 else kwargs["normalized_shape"])


def dyed_padding(func: Callable, args: tuple, kwargs: dict) -> Callable[[], torch.Tensor] | None:
    """The same padding filled with dye; None where a call pads nothing (or by copies of the image)."""
    if func is F.unfold:
        given = named(("input", "kernel_size", "dilation", "padding", "stride"), args, kwargs)
        border = _per_axis(given.get("padding", 0), 2)
        if not any(border):
            return None
        wide = (border[1], border[1], border[0], border[0])
        rest = {k: v for k, v in given.items() if k not in ("input", "padding")}
        return lambda: F.unfold(F.pad(given["input"], wide, value=torch.nan), padding=0, **rest)
    if func is not F.pad:
        return None
    given = named(("input", "pad", "mode", "value"), args, kwargs)
    if given.get("mode", "constant") != "constant" or not any(n > 0 for n in given["pad"]):
        return None
    return lambda: F.pad(given["input"], given["pad"], value=torch.nan)


def nearest(x: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """Resize the last axes by taking the nearest pixel."""
    for axis, (old, new) in enumerate(zip(x.shape[-len(size) :], size, strict=True), start=-len(size)):
        if old != new:
            index = ((torch.arange(new, device=x.device) + 0.5) * old / new).long().clamp(max=old - 1)
            x = x.index_select(axis, index)
    return x


def interpolate(func: Callable, args: tuple, kwargs: dict) -> torch.Tensor:
    """A resize of any mode, as nearest."""
    shape = output_shape(func, args, kwargs)
    return nearest(args[0] if args else kwargs["input"], tuple(shape[2:])) + 0


def without_dye(func: Callable, args: tuple, kwargs: dict) -> torch.Tensor:
    """A statistic over the whole image: no place, so no dye."""
    key = "input" if "input" in kwargs else "self"
    if args:
        return func(args[0].nan_to_num(), *args[1:], **kwargs)
    return func(**{**kwargs, key: kwargs[key].nan_to_num()})


def normalised(func: Callable, args: tuple, kwargs: dict) -> torch.Tensor:
    """A norm whose statistics run over the image: the dye stays where it was."""
    x = args[0] if args else kwargs["input"]
    return without_dye(func, args, kwargs) + x * 0


def _tiles(x: torch.Tensor, shape: torch.Size, kernel: tuple, stride: Any, padding: Any, dilation: Any) -> torch.Tensor:
    spatial = len(kernel)
    steps, pads, gaps = (_per_axis(value, spatial) for value in (stride, padding, dilation))
    for number, axis in enumerate(range(-spatial, 0)):
        x = _reduce(x, axis, shape[axis], kernel[number], steps[number], pads[number], gaps[number])
    return x


def _reduce(x: torch.Tensor, axis: int, new: int, k: int, s: int, p: int, d: int) -> torch.Tensor:
    old = x.shape[axis]
    index, inside = _taps(old, new, k, s, p, d)
    if index.shape[1] == 1 and old == new and bool((index[:, 0] == torch.arange(new)).all()):
        return x
    if inside.all():  # views, which cost less than gathering
        reach = (new - 1) * s + 1
        taps = [x.narrow(axis, int(first), reach).unfold(axis, 1, s)[..., 0] for first in index[0]]
        return sum(taps[1:], taps[0])
    taken = x.index_select(axis, index.flatten().to(x.device)).unflatten(axis, index.shape)
    tail = [1] * (-axis - 1)
    return torch.where(inside.to(x.device).view(*index.shape, *tail), taken, 0).sum(axis)


@lru_cache(maxsize=512)
def _taps(old: int, new: int, k: int, s: int, p: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The inputs [new, taps] that each output reads on its nominal tile, and which of them are inside the image."""
    reach = (k - 1) * d + 1
    start = 0 if new == -(-old // s) else (reach - s) // 2 - p
    taps = [j * d - p for j in range(k) if reach <= s or start <= j * d - p < start + s] or [(k // 2) * d - p]
    index = torch.arange(new)[:, None] * s + torch.tensor(taps)
    inside = (index >= 0) & (index < old)
    return index.clamp(0, old - 1), inside


@lru_cache(maxsize=512)
def _ramp(width: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.linspace(-1, 1, width, dtype=dtype, device=device) + 0.01


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * axes
    return tuple(value) * axes if len(value) == 1 else tuple(value)
