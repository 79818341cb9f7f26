"""A function mode under which dye (NaN) put on the image shows where every query, key and value row comes from.

Attention is muted, because one dyed key would dye every row (0 x NaN is NaN); neighbours are not mixed; statistics over the
whole image drop the dye. Everything else runs as it is, so no token layout has to be known. An unknown mixer spreads the
dye: its boxes come out too large, never wrongly small.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from model_adapters.attention import unpacked
from model_adapters.events import MHA, SDPA, SOFTMAX, Softmax, attention_softmax, mha_arguments, sdpa_arguments
from model_adapters.fold import declared_heads
from model_adapters.geometry import mixers
from model_adapters.geometry.likeness import Form
from model_adapters.geometry.marks import Scores, Weights, dyed, enliven, hand_on, is_mixed, live, mark_of, tensors
from model_adapters.geometry.products import einsum_rows, operands, value_rows
from model_adapters.geometry.records import Key, Sightings
from model_adapters.geometry.repeats import CHOOSING, Repeats
from model_adapters.trail import Observer, follow

_PRODUCTS = frozenset({"matmul", "rmatmul", "bmm", "einsum", "baddbmm"})
_LOCAL = {
    "linear": mixers.linear, "gelu": mixers.activation, "conv1d": mixers.conv, "conv2d": mixers.conv, "conv3d": mixers.conv,
    "conv_transpose1d": mixers.transposed_conv, "conv_transpose2d": mixers.transposed_conv,
    "interpolate": mixers.interpolate, "group_norm": mixers.normalised, "instance_norm": mixers.normalised,
}  # fmt: skip
_POOLS = frozenset({"max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d"})
_STATISTICS = frozenset({"mean", "norm", "vector_norm", "std", "var", "sum", "amax"})
_ELEMENTS = 4_000_000
"""Untagged weights are followed element by element up to this size."""


class Enough(Exception):
    """Ends a pass behind the last site of interest; the dye that raised it swallows it."""


class Dye(TorchFunctionMode, Observer):
    """Follows the dye through one pass: `with Dye(root, batch) as dye: run(pixels)`, then read `dye.seen.sites`."""

    def __init__(
        self, root: nn.Module, batch: int, *, inherit: bool = False, pad: bool = False, look: bool = False,
        until: Key | None = None, alike: Mapping[str, Form] | None = None,
    ) -> None:  # fmt: skip
        """Prepare a pass.

        Args:
            root: the module whose dotted names tell the sites.
            batch: how many dyed images lie on the batch axis.
            inherit: muted attention hands the dye of its queries on to its output rows.
            pad: padding is dyed too, until the module that padded is left.
            look: look for rows that are dyed only in a part of their features (costs a second reading).
            until: the last site of interest; the pass ends behind it.
            alike: the modules that have others alike; each kind is traced once for every dye it meets.
        """
        TorchFunctionMode.__init__(self)
        Observer.__init__(self, root)
        self.seen = Sightings(batch)
        self.inherit, self.pad, self.look = inherit, pad, look
        self.until = until
        self.padders: set[str] = set()
        # The dye of a padded module goes away behind it, which another module alike would not repeat.
        self.repeats = Repeats(root, {} if pad else alike or {}, self.seen)
        self.repeats.behind = self._copied
        self._open = ExitStack()

    def __enter__(self) -> Dye:
        self._open.enter_context(self.repeats.standing_in())
        self._open.enter_context(follow(self))
        self._open.enter_context(torch.no_grad())
        TorchFunctionMode.__enter__(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> bool:
        TorchFunctionMode.__exit__(self, kind, *error)
        self._open.close()
        return kind is Enough

    def _copied(self, keys: list[Key]) -> None:
        if self.until in keys:
            raise Enough

    def left(self, name: str, module: nn.Module, output: Any) -> Any:
        """Behind the last site the pass ends; behind the module that padded, its padding is no longer dyed."""
        if self.until is not None and name == self.until[0] and self.seen.calls.get(name, 0) > self.until[1]:
            raise Enough
        if self.pad and name in self.padders:
            for made in tensors(output):
                if live(made) and made.is_floating_point():
                    made.masked_fill_(made.isnan(), 0)
        return None

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func is SDPA:
            return self._sdpa(func, args, kwargs)
        if func is MHA:
            return self._mha(func, args, kwargs)
        if func in SOFTMAX:
            return self._softmax(func, args, kwargs)
        if not any(live(t) for t in tensors((args, kwargs))):
            return func(*args, **kwargs)
        full = getattr(func, "__name__", "")
        name = full.strip("_")
        self.repeats.choices += name in CHOOSING
        if name in _PRODUCTS:
            return self._product(name, func, args, kwargs)
        if name in ("mul", "multiply") and self._weighted(args):
            return self._muted_multiply(func, args, kwargs)
        if full == "view" and not args[0].is_contiguous():
            func = torch.Tensor.reshape  # stand-ins may lay tensors out otherwise than the model's own calls
        result = self._mixed(name, func, args, kwargs)
        if result is NotImplemented:
            result = func(*args, **kwargs)
        hand_on(full, args, kwargs, result)
        return result

    # ---- operations that move the dye

    def _mixed(self, name: str, func: Any, args: tuple, kwargs: dict) -> Any:
        if name in _LOCAL:
            return _LOCAL[name](func, args, kwargs)
        if name in _POOLS:
            return mixers.pool(func, args, kwargs) if mixers.overlaps(func, args, kwargs) else NotImplemented
        if name.startswith("adaptive") or name in _STATISTICS:
            return mixers.without_dye(func, args, kwargs) if mixers.is_global(name, func, args, kwargs) else NotImplemented
        if name == "layer_norm" and mixers.norm_axes(args, kwargs) > 1:
            return mixers.normalised(func, args, kwargs)
        if name in ("pad", "unfold"):
            return self._padding(func, args, kwargs)
        return NotImplemented

    def _padding(self, func: Any, args: tuple, kwargs: dict) -> Any:
        padded = mixers.dyed_padding(func, args, kwargs)
        if padded is None:
            return NotImplemented
        around = [name for name, module in self.stack if next(module.children(), None) is not None]
        self.padders.add(around[-1] if around else self.here)
        return padded() if self.pad else NotImplemented

    def _product(self, name: str, func: Any, args: tuple, kwargs: dict) -> Any:
        left, right = operands(name, args, kwargs)
        if isinstance(mark_of(left), Weights) or isinstance(mark_of(right), Weights):
            return self._values(name, func, args, kwargs, left, right)
        if not (live(left) and live(right)) or min(left.dim(), right.dim()) < 2:
            self.repeats.choices += not live(left)  # its ones and zeros choose rows
            result = func(*args, **kwargs) if name in ("einsum", "baddbmm") else mixers.product(func, left, right)
            hand_on(name, args, kwargs, result)
            return result
        if name == "einsum":
            rows = einsum_rows(args[0], left, right)
            result = func(*args, **kwargs)
            return enliven(result, Scores(*rows) if rows else None)
        mixed = (self.look or self.inherit) and is_mixed(left, -1)
        result = mixers.product(func, left, right)
        return enliven(result, Scores(dyed(left, -1), dyed(right, -2), mixed))

    # ---- attention

    def _heads(self) -> int | None:
        return declared_heads([m for _, m in self.stack])

    def _sdpa(self, func: Any, args: tuple, kwargs: dict) -> torch.Tensor:
        heads = self._heads()
        raw = sdpa_arguments(args, kwargs)
        call = unpacked(raw, [m for _, m in self.stack], heads)
        if call.query.dim() < 3:
            return func(*args, **kwargs)
        key = self.seen.meet(self.here, "sdpa")
        sides = {"queries": call.query, "keys": call.key, "values": call.value}
        rows = {name: dyed(side, -1) for name, side in sides.items()}
        for name, hit in rows.items():
            self.seen.put(key, name, hit, heads)
        seen = self.seen.sites[key]
        seen.shape = (call.query.shape[-2], call.key.shape[-2])
        if self.look or self.inherit:
            seen.mixed = is_mixed(call.query, -1) or is_mixed(call.value, -1)
        if not any(live(side) for side in sides.values()):
            return func(*args, **kwargs)
        muted = call.query.new_zeros(*call.query.shape[:-1], call.value.shape[-1])
        same = rows["queries"].shape != rows["values"].shape or bool((rows["queries"] == rows["values"]).all())
        if self.inherit and same and not seen.mixed:
            muted = enliven(muted.masked_fill(rows["queries"].unsqueeze(-1), torch.nan))
        return muted.reshape(*raw.query.shape[:-1], raw.value.shape[-1]) if call is not raw else muted

    def _mha(self, func: Any, args: tuple, kwargs: dict) -> Any:
        given = mha_arguments(args, kwargs)
        key = self.seen.meet(self.here, "mha")
        sides = {"queries": given["query"], "keys": given["key"], "values": given["value"]}
        for name, side in sides.items():
            by_item = dyed(side, -1).T if side.dim() == 3 else dyed(side, -1)[None]
            self.seen.put(key, name, by_item[:, None], 1)
        self.seen.sites[key].shape = (given["query"].shape[0], given["key"].shape[0])
        if not any(live(side) for side in sides.values()):
            return func(*args, **kwargs)
        return torch.zeros_like(given["query"]), None

    def _softmax(self, func: Any, args: tuple, kwargs: dict) -> torch.Tensor:
        event = attention_softmax(func, args, kwargs, self.stack[-1] if self.stack else None)
        scores = args[0] if args else kwargs["input"]
        key = None
        if event is not None:
            flipped = event.dim == -2
            key = self.seen.meet(self.here, "factorised" if flipped else "softmax")
            shape = event.opened(event.scores).shape[-2:]
            self.seen.sites[key].shape = (shape[0], shape[1])
        if not live(scores) or (key is None and not isinstance(mark_of(scores), Scores)):
            result = func(*args, **kwargs)
            hand_on("softmax", args, kwargs, result)
            return result
        rows = self._score_rows(key, event) if key is not None and event is not None else None
        uniform = torch.full_like(scores, 1 / max(1, scores.shape[-1]))
        return enliven(uniform, Weights(key, rows))

    def _score_rows(self, key: tuple[str, int], event: Softmax) -> torch.Tensor | None:
        """Note the dyed query and key rows of explicit scores; returns what the output may inherit."""
        heads, seen = self._heads(), self.seen.sites[key]
        scores, mark = event.scores, mark_of(event.scores)
        scores = scores if event.factorised else event.opened(scores)
        if event.dim == -2:
            self.seen.put(key, "keys", dyed(scores, -1), heads)
            self.seen.put(key, "queries", dyed(scores, -2) & False, heads)
            return None
        fitted = _fitted(mark, scores) if isinstance(mark, Scores) and event.straight else None
        if fitted is None:
            self.seen.put(key, "queries", dyed(scores, -1), heads)
            if scores.numel() // self.seen.batch <= _ELEMENTS:
                self.seen.put(key, "elements", scores.isnan().flatten(-2), heads)
            return None
        self.seen.put(key, "queries", fitted[0], heads)
        self.seen.put(key, "keys", fitted[1], heads)
        seen.mixed = mark.mixed if isinstance(mark, Scores) else False
        return fitted[0] if self.inherit and not seen.mixed else None

    def _weighted(self, args: tuple) -> bool:
        marked = [isinstance(mark_of(a), Weights) for a in args[:2]]
        return marked.count(True) == 1 and live(args[marked.index(False)])

    def _muted_multiply(self, func: Any, args: tuple, kwargs: dict) -> torch.Tensor:
        return torch.zeros(mixers.output_shape(func, args, kwargs), dtype=args[0].dtype, device=args[0].device)

    def _values(self, name: str, func: Any, args: tuple, kwargs: dict, left: torch.Tensor, right: torch.Tensor) -> Any:
        """Weights times values: note the dyed rows of the values, and return nothing but, perhaps, the queries' dye."""
        on_left = isinstance(mark_of(left), Weights)
        mark, value = mark_of(left if on_left else right), right if on_left else left
        if not live(value):
            result = func(*args, **kwargs)
            hand_on(name, args, kwargs, result)
            return result
        assert isinstance(mark, Weights)
        rows = value_rows(args[0] if name == "einsum" else None, left, right, on_left)
        if mark.site is not None and rows is not None and self.seen.sites[mark.site].values is None:
            self.seen.put(mark.site, "values", rows, self._heads())
        muted = torch.zeros(mixers.output_shape(func, args, kwargs), dtype=value.dtype, device=value.device)
        if self.inherit and mark.rows is not None and name != "einsum":
            across = mark.rows.unsqueeze(-1 if on_left else -2)
            if across.numel() * value.shape[-1 if on_left else -2] == muted.numel():
                muted = enliven(muted.masked_fill(across.reshape(*muted.shape[:-1], 1) if on_left else across, torch.nan))
        return muted


def _fitted(mark: Scores, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The dyed rows in the shape that the scores have now; None where they no longer belong together."""
    queries = _fit(mark.left, scores.shape[:-1])
    keys = mark.right
    extra = scores.shape[-1] - keys.shape[-1]
    if extra > 0:  # a learned sink column beside the keys
        keys = F.pad(keys, (0, extra))
    fitted = _fit(keys, (*scores.shape[:-2], scores.shape[-1]))
    return None if queries is None or fitted is None else (queries, fitted)


def _fit(rows: torch.Tensor, shape: tuple[int, ...] | torch.Size) -> torch.Tensor | None:
    if rows.shape[-1] != shape[-1]:
        return None
    if rows.numel() == torch.Size(shape).numel():
        return rows.reshape(shape)
    try:
        return rows.expand(shape)
    except RuntimeError:
        return None
