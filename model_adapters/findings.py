"""What surveying a model has found: the role of each call, where the items of a batch lie, and what cannot be seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from model_adapters.calls import Event, is_attention
from model_adapters.following import tensors
from model_adapters.inputs import Inputs
from model_adapters.role import FIRST, BatchPlace, Place, Role, assign
from model_adapters.survey import Survey
from model_adapters.trail import PLAIN, unobserved

_CLOSE = 1e-3
"""How far, as a share, the numbers of an item may move when it runs beside another one."""
_FAILS = (RuntimeError, ValueError, TypeError, IndexError, AssertionError, KeyError)


@dataclass(frozen=True)
class Findings:
    """What a survey says about a model."""

    unseen: tuple[str, ...] = ()
    """Attention that ran and cannot be seen: module, class and reason."""
    linear: tuple[str, ...] = ()
    """Linear attention: module, class and reason."""
    changed: tuple[str, ...] = ()
    """Modules that change their weights between the softmax and the values."""
    shared: tuple[str, ...] = ()
    """Modules whose kernels attend to the same values more than once and put the outputs together."""
    attended: frozenset[str] = frozenset()
    """The modules in which attention was seen."""


NOTHING_FOUND = Findings()


def survey(module: nn.Module, inputs: Inputs, forward: Callable[[Inputs], object]) -> Findings:
    """Watch a pass, and a second one over two items where one alone does not tell; what was found is kept at the modules.

    Args:
        module: the model.
        inputs: what it is run on.
        forward: runs it.
    """
    seen = _watched(module, inputs, forward)
    pair = None
    if inputs.batch == 1 and (any(_leads(e) for e in seen.events) or seen.opaque):
        pair = _of_two(module, inputs, forward)
    roles: dict[nn.Module, dict[Place, Role]] = {}
    twins = pair.events if pair is not None and len(pair.events) == len(seen.events) else [None] * len(seen.events)
    for event, twin in zip(seen.events, twins, strict=True):
        role = _role(event, twin)
        if event.kind != "softmax" and role == Role():
            continue  # an ordinary kernel needs no looking up, least of all for every new token
        known = roles.setdefault(event.module, {}).get(event.place)
        if known is None or (known.kind == "other" and role.kind != "other"):
            roles[event.module][event.place] = role
    assign(module, roles)
    attended = {e.name for e in seen.events if e.kind != "softmax" or is_attention(e)}
    hidden = {name: why for name, why in seen.hidden.items() if name not in attended}
    around = {name for name in seen.opaque if any(a == name or a.startswith(f"{name}.") for a in attended if name)}
    opaque = _mixing(module, inputs, forward, _opaque(seen, pair) - around - hidden.keys())
    hidden |= dict.fromkeys(opaque, "it runs in a kernel of its own, which cannot be looked into")
    named = dict(module.named_modules())
    unseen = tuple(f"{_called(name, named)}: {why}" for name, why in hidden.items())
    linear = tuple(f"{_called(name, named)}: linear attention has no weights" for name in seen.linear if name not in attended)
    changed = tuple(dict.fromkeys(e.name for e in seen.events if e.changed and is_attention(e)))
    return Findings(unseen, linear, changed, tuple(seen.shared), frozenset(attended))


def _watched(module: nn.Module, inputs: Inputs, forward: Callable[[Inputs], object]) -> Survey:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        with Survey(module, tensors(dict(inputs.tensors))) as seen:
            forward(inputs)
    return seen


def _of_two(module: nn.Module, inputs: Inputs, forward: Callable[[Inputs], object]) -> Survey | None:
    """A pass over the same item and another one; None where the model cannot take two."""
    doubled = {name: _doubled(value) for name, value in inputs.tensors.items()}
    try:
        return _watched(module, replace(inputs, tensors=doubled, batch=2, many=True), forward)
    except _FAILS:
        return None


def _doubled(value: object) -> object:
    if not isinstance(value, torch.Tensor) or value.dim() == 0:
        return value
    other = value.flip(-1) if value.is_floating_point() and value.dim() > 1 else value
    return torch.cat([value, other])


def _called(name: str, named: dict[str, nn.Module]) -> str:
    return f"{name or 'the model itself'} ({type(named[name]).__name__})"


# ---- roles


def _role(event: Event, twin: Event | None) -> Role:
    if event.kind != "softmax":
        place = _place(event.lead, None if twin is None else twin.lead)
        return Role("attention", None, False, place, _heads(event, event.shape[:-1]))
    if not is_attention(event):
        return Role("other")
    order = event.orders[0] if event.orders else tuple(range(len(event.shape)))
    straight = order == tuple(range(len(order)))
    factorised = not event.of_products and order[-1] != len(order) - 1
    lead, other = _lead(event, order), None if twin is None else _lead(twin, order)
    heads = _heads(event, tuple(event.shape[axis] for axis in order[:-2]))
    kind: Literal["attention", "factorised"] = "factorised" if factorised else "attention"
    return Role(kind, None if straight else order, event.changed, _place(lead, other), heads)


def _leads(event: Event) -> bool:
    """Whether one item spreads over more than one entry of the first axis, so that a second one may lie anywhere in it."""
    order = event.orders[0] if event.orders else range(len(event.shape))
    return (event.kind != "softmax" or is_attention(event)) and len(event.shape) > 1 and event.shape[order[0]] != 1


def _lead(event: Event, order: tuple[int, ...]) -> torch.Tensor | None:
    """One number for each entry of the leading axes."""
    if event.sketch is None or len(order) < 3:
        return None
    key = len(order) + event.dim
    kept = [axis for axis in range(len(order)) if axis != key]
    moved = event.sketch.permute(*(kept.index(axis) for axis in order[:-2]), *(kept.index(a) for a in order[-2:] if a != key))
    return moved.square().flatten(len(order) - 2).sum(-1)


def _place(one: torch.Tensor | None, two: torch.Tensor | None) -> BatchPlace:
    """Where the first of two items lies, by the numbers of it alone and of both."""
    if one is None or one.shape[0] == 1 and (two is None or two.shape[0] == 2):
        return FIRST
    if two is None or two.dim() != one.dim():
        return BatchPlace(known=False)
    axes = [i for i, (a, b) in enumerate(zip(one.shape, two.shape, strict=True)) if b == 2 * a]
    if len(axes) != 1:
        return BatchPlace(known=False)
    size, best = one.shape[axes[0]], (math.inf, FIRST)
    for inner in sorted((n for n in range(1, size + 1) if size % n == 0), reverse=True):
        split = two.unflatten(axes[0], (size // inner, 2, inner)).select(axes[0] + 1, 0).flatten(axes[0], axes[0] + 1)
        error = float((split - one).abs().max() / one.abs().max().clamp_min(1e-20))
        if error < best[0] / 10:
            best = error, BatchPlace(axes[0], None if inner == size else inner)
    return BatchPlace(known=False) if best[0] > _CLOSE else FIRST if best[1] == BatchPlace(0, None) else best[1]


def _heads(event: Event, lead: tuple[int, ...]) -> int | None:
    """How many heads there are where a module does not declare it: as many as the width of its input has of its values.

    Heads and windows can be mistaken for each other only where they share an axis, or both have one of their own.
    """
    if len(lead) not in (1, 3) or not event.values:
        return None
    wide = {shape[-1] // event.values for shape in event.inputs if len(shape) == 3 and shape[-1] % event.values == 0}
    return next((count for count in lead if count in wide and (count > 1 or len(lead) == 3)), None)


# ---- what cannot be seen


def _opaque(seen: Survey, pair: Survey | None) -> set[str]:
    """Modules where something came from out of sight that depends on the input: it doubles with the input."""
    twice = {name: 2 * sum(sizes) for name, sizes in seen.opaque.items()}
    named = {name for name, size in twice.items() if pair is None or sum(pair.opaque.get(name, ())) >= size}
    modules = dict(seen.root.named_modules())
    return {name for name in named if not isinstance(modules[name], PLAIN)}


def _mixing(module: nn.Module, inputs: Inputs, forward: Callable[[Inputs], object], names: set[str]) -> list[str]:
    """Those of the modules in which a change of one token changes others."""
    found: list[str] = []
    named = dict(module.named_modules())

    def probe(name: str) -> Callable:
        def left(part: nn.Module, args: tuple, kwargs: dict, output: object) -> None:
            first = next((t for t in args if isinstance(t, torch.Tensor) and t.is_floating_point() and t.dim() > 2), None)
            if first is None or name in found:
                return
            other = first.clone()
            other[..., 0, :] += torch.linspace(-1, 2, other.shape[-1], device=other.device).cos().to(other.dtype)
            with unobserved(), torch.no_grad():
                again = part.forward(*(other if a is first else a for a in args), **kwargs)
            if _others_moved(next(tensors(output), None), next(tensors(again), None)):
                found.append(name)

        return left

    handles = [named[name].register_forward_hook(probe(name), with_kwargs=True) for name in names if name]
    try:
        if handles:
            with torch.no_grad():
                forward(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _others_moved(before: torch.Tensor | None, after: torch.Tensor | None) -> bool:
    """Whether rows behind the first one differ."""
    if before is None or after is None or before.shape != after.shape or before.dim() < 2 or before.shape[-2] < 2:
        return False
    return float((before - after)[..., 1:, :].abs().max()) > 1e-6 * float(before.abs().max())
