"""Blocks that are alike and meet the same dye are traced once in a pass; the next ones get what the first one showed.

What a block shows of dye depends on its form, on what it is given, and on nothing else. Wherever that is not certain (values
choose rows, arguments are changed in place, attention weights go in or out), the block is traced as always.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from model_adapters.geometry.likeness import Form, plain
from model_adapters.geometry.marks import enliven, live, mark_of, tensors
from model_adapters.geometry.records import Key, Seen, Sightings

CHOOSING = frozenset(
    {
        "topk", "sort", "argsort", "msort", "argmax", "argmin", "nonzero", "multinomial", "kthvalue", "unique", "bool", "item",
        "tolist", "max", "min", "long", "int", "gt", "lt", "ge", "le", "eq", "ne", "isnan", "searchsorted", "bucketize", "sign",
    }
)  # fmt: skip
"""Calls through which the values of an image may choose rows."""
Run = Callable[..., Any]


@dataclass(frozen=True)
class Given:
    """What a module is given, in a form that can be compared with what the next one is given."""

    form: Form
    tensors: tuple[torch.Tensor, ...]
    dye: tuple[torch.Tensor | None, ...]
    """Where those made of the image are NaN; None for the others."""
    versions: tuple[int, ...]

    @staticmethod
    def of(args: tuple, kwargs: dict) -> Given | None:
        """Read the arguments of a call; None where they cannot be compared."""
        found = tuple(tensors((args, kwargs)))
        if not _is_simple((args, kwargs)) or any(mark_of(t) for t in found):
            return None
        dye = tuple(t.isnan() if live(t) and t.is_floating_point() else None for t in found)
        return Given(_outline((args, kwargs)), found, dye, tuple(t._version for t in found))

    def equals(self, other: Given) -> bool:
        """Whether a module that is given the other shows the same dye."""
        if self.form != other.form:
            return False
        for mine, dye, its, its_dye in zip(self.tensors, self.dye, other.tensors, other.dye, strict=True):
            if dye is None or its_dye is None:
                if (dye is None) != (its_dye is None) or live(mine) != live(its):
                    return False
                if mine is not its and not torch.equal(mine, its):
                    return False
            elif not torch.equal(dye, its_dye):
                return False
        return True

    @property
    def untouched(self) -> bool:
        """Whether none of the tensors was changed in place since."""
        return all(t._version == version for t, version in zip(self.tensors, self.versions, strict=True))


@dataclass(frozen=True)
class Shown:
    """What one module showed."""

    given: Given
    output: Any
    """Its output; a tensor dyed like one that was given is replaced by the number of that one."""
    sites: tuple[tuple[str, Seen], ...]
    """The sites inside, by their names within the module, in the order of execution."""


@dataclass(frozen=True)
class _Same:
    """A tensor that is dyed like the tensor of this number among those given."""

    number: int


class Repeats:
    """The modules of one pass that are alike."""

    def __init__(self, root: nn.Module, forms: Mapping[str, Form], seen: Sightings) -> None:
        self.root, self.forms, self.seen = root, forms, seen
        self.open: Callable[[], bool] = lambda: True
        """Whether the dye is on now."""
        self.behind: Callable[[list[Key]], None] = lambda keys: None
        """Told of the sites that were copied."""
        self.choices = 0
        """How many calls there were through which values choose rows."""
        self._known: dict[Form, Shown] = {}
        self._thread = threading.get_ident()

    @contextmanager
    def standing_in(self) -> Iterator[None]:
        """While open, these modules are asked here first, in this thread only."""
        before: list[tuple[nn.Module, Run | None]] = []
        try:
            for name, form in self.forms.items():
                module = self.root.get_submodule(name)
                before.append((module, vars(module).get("forward")))
                vars(module)["forward"] = self._asked(name, form, module.forward)
            yield
        finally:
            for module, forward in before:
                if forward is None:
                    del vars(module)["forward"]
                else:
                    vars(module)["forward"] = forward

    def _asked(self, name: str, form: Form, forward: Run) -> Run:
        def asked(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != self._thread or not self.open():
                return forward(*args, **kwargs)
            with torch._C.DisableTorchFunction():
                given = Given.of(args, kwargs)
                known = self._known.get(form)
                if given is not None and known is not None and known.given.equals(given):
                    return self._again(name, known, given)
            return self._traced(name, form, forward, args, kwargs, given)

        return asked

    def _traced(self, name: str, form: Form, forward: Run, args: tuple, kwargs: dict, given: Given | None) -> Any:
        first, choices = len(self.seen.sites), self.choices
        output = forward(*args, **kwargs)
        if given is None or self.choices > choices or not given.untouched or not _is_simple(output):
            return output
        if any(mark_of(t) for t in tensors(output)):
            return output
        inner = list(self.seen.sites.items())[first:]
        if all(key[0] == name or key[0].startswith(f"{name}.") for key, _ in inner):
            sites = tuple((key[0][len(name) :], seen) for key, seen in inner)
            with torch._C.DisableTorchFunction():
                self._known[form] = Shown(given, _kept(output, given), sites)
        return output

    def _again(self, name: str, known: Shown, given: Given) -> Any:
        met = []
        for inner, seen in known.sites:
            met.append(self.seen.meet(name + inner, seen.kind))
            self.seen.sites[met[-1]] = replace(seen)
        self.behind(met)
        return _renewed(known.output, given)


def _is_simple(value: Any) -> bool:
    """Whether a value holds nothing but tensors and plain settings."""
    if isinstance(value, (tuple, list)):
        return all(map(_is_simple, value))
    if type(value) is dict:
        return all(map(_is_simple, value.values()))
    return value is None or isinstance(value, (torch.Tensor, bool, int, float, str, torch.dtype, torch.device))


def _outline(value: Any) -> Form:
    """Nested arguments, with shapes in place of tensors."""
    if isinstance(value, torch.Tensor):
        return ("tensor", tuple(value.shape), value.dtype, value.device, live(value))
    if isinstance(value, (tuple, list)):
        return (type(value), *map(_outline, value))
    if isinstance(value, dict):
        return (type(value), *((name, _outline(each)) for name, each in value.items()))
    return plain(value)


def _kept(output: Any, given: Given) -> Any:
    if isinstance(output, torch.Tensor):
        if live(output) and output.is_floating_point():
            dye = output.isnan()
            for number, (tensor, its) in enumerate(zip(given.tensors, given.dye, strict=True)):
                if its is not None and tensor.dtype == output.dtype and its.shape == dye.shape and torch.equal(its, dye):
                    return _Same(number)
        return _copied(output)
    return _nested(output, lambda each: _kept(each, given))


def _renewed(output: Any, given: Given) -> Any:
    if isinstance(output, _Same):
        return enliven(given.tensors[output.number].clone())
    if isinstance(output, torch.Tensor):
        return _copied(output)
    return _nested(output, lambda each: _renewed(each, given))


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    made = tensor.clone()
    return enliven(made) if live(tensor) else made


def _nested(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {name: change(each) for name, each in value.items()}
    if isinstance(value, (tuple, list)):
        parts = [change(each) for each in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value
