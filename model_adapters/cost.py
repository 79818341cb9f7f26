"""What a capture would cost: bytes, passes and seconds, known before it runs."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, replace

import psutil
import torch

from model_adapters.errors import AdapterError
from model_adapters.inputs import Inputs
from model_adapters.model import Model
from model_adapters.site import NOTHING, Keep, Site
from model_adapters.tap import AttentionTap
from model_adapters.where import chosen_rows

_SEEN: weakref.WeakKeyDictionary[Model, dict[tuple, Seen]] = weakref.WeakKeyDictionary()
_USUAL_WIDTH = 64
"""Of a head, where its values were not met (a site that calls softmax itself, with nothing kept)."""
WANTS = ("hidden", "norms", "values", "queries", "heads", "gradients")
_SHARE = 0.8
"""How much of the free memory a capture may take."""


@dataclass(frozen=True)
class Seen:
    """What a pass over inputs of one signature showed."""

    shapes: dict[Site, tuple[int, int, int]]
    """(heads, query rows, keys) per site, for one item of the batch."""
    widths: dict[Site, int]
    hidden_bytes: int
    seconds: float
    """Of a plain pass; 0 until one was timed."""


@dataclass(frozen=True)
class Cost:
    """The estimate of one capture."""

    bytes: int
    """What is kept, in the machine's memory."""
    passes: float
    """In plain forward passes; a backward pass counts as two."""
    seconds: float
    """Passes times the time of one plain pass measured just now."""
    sites: int
    free: int
    """Bytes that may be used."""

    @property
    def fits(self) -> bool:
        """Whether the run would be accepted."""
        return self.bytes <= self.free

    def __str__(self) -> str:
        return f"{readable(self.bytes)} of {readable(self.free)} free, {self.passes:g} passes, about {self.seconds:.1f} s"


def estimate(model: Model, inputs: Inputs, keep: Keep | None = None, want: Iterable[str] = ()) -> Cost:
    """What `capture` with these arguments would keep and take, from one timed plain pass."""
    keep, want = keep or Keep(), check_want(want)
    seen = measured(model, inputs)
    passes = 3.0 if "gradients" in want else 1.0
    sites = sum(keep.takes(site) for site in seen.shapes)
    return Cost(_bytes(seen, model, inputs, keep, want), passes, passes * seen.seconds, sites, free_bytes())


def free_bytes() -> int:
    """Bytes that a capture may take now."""
    return int(psutil.virtual_memory().available * _SHARE)


def measured(model: Model, inputs: Inputs) -> Seen:
    """The shape of every site for inputs like these and the seconds of a plain pass; remembered per model."""
    known = _SEEN.setdefault(model, {})
    if inputs.signature not in known or not known[inputs.signature].seconds:
        tap = AttentionTap(model.module, keep=NOTHING, batch=inputs.batch, labels=model.tap_labels)
        with model.lock, torch.no_grad():
            start = time.perf_counter()
            with tap:
                model.forward(inputs)
            seconds = time.perf_counter() - start
        remember(model, inputs, tap, seconds)
    return known[inputs.signature]


def remember(model: Model, inputs: Inputs, tap: AttentionTap, seconds: float = 0.0) -> None:
    """Note the shapes that a run met, for later estimates."""
    known = _SEEN.setdefault(model, {})
    records = {site: record for (_, site), record in tap.recorder.records.items()}
    old = known.get(inputs.signature)
    known[inputs.signature] = Seen(
        {site: record.shape for site, record in records.items()},
        {site: record.width for site, record in records.items()},
        sum(tap.recorder.states.sizes.values()),
        seconds or (old.seconds if old else 0.0),
    )


def refuse_too_much(model: Model, inputs: Inputs, keep: Keep, want: frozenset[str], limit: int) -> None:
    """Raise, before the run, for a capture that is known not to fit; the message names what would."""
    seen = _SEEN.get(model, {}).get(inputs.signature)
    if seen is None:
        return
    needed = _bytes(seen, model, inputs, keep, want)
    if needed > limit:
        raise AdapterError(
            f"This capture would keep {readable(needed)}, but {readable(limit)} may be used. "
            f"{alternatives(seen, model, inputs, keep, want, limit)}"
        )


def alternatives(seen: Seen, model: Model, inputs: Inputs, keep: Keep, want: frozenset[str], limit: int) -> str:
    """A sentence that names smaller captures that would fit."""
    tried = {
        "dtype='float16'": replace(keep, dtype="float16"),
        "heads='mean'": replace(keep, heads="mean"),
        "queries='last'": replace(keep, queries="last"),
        "reduce='received'": replace(keep, reduce="received"),
    }
    sizes = {name: _bytes(seen, model, inputs, smaller, want) for name, smaller in tried.items()}
    fitting = [f"{name} ({readable(size)})" for name, size in sizes.items() if size <= limit]
    first = next(iter(seen.shapes)).name if seen.shapes else ""
    return f"What would fit: {', '.join(fitting)}." if fitting else f"Ask for single sites, such as sites=({first!r},)."


def check_want(want: Iterable[str]) -> frozenset[str]:
    """The extra things asked for, each known."""
    asked = frozenset([want] if isinstance(want, str) else want)
    if asked - set(WANTS):
        raise ValueError(f"want must be among {list(WANTS)}. Got {sorted(asked - set(WANTS))} instead.")
    return asked


def check_batch(model: Model, inputs: Inputs) -> None:
    """Inputs made by hand must say how many items they hold, or the batch would be read as windows."""
    tensor = inputs.tensors.get("input_ids") if model.kind == "lvlm" else next(iter(inputs.tensors.values()), None)
    told_by_shape = model.kind == "lvlm" or (model.kind == "vit" and getattr(tensor, "ndim", 0) == 4)
    if isinstance(tensor, torch.Tensor) and told_by_shape and tensor.shape[0] != inputs.batch:
        raise ValueError(
            f"Inputs say batch={inputs.batch}, but their tensors hold {tensor.shape[0]} items (shape {tuple(tensor.shape)}). "
            f"Make them with batch={tensor.shape[0]}."
        )


def readable(size: float) -> str:
    """Bytes for people: 3.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if size >= 100 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return ""


def _bytes(seen: Seen, model: Model, inputs: Inputs, keep: Keep, want: frozenset[str]) -> int:
    total = seen.hidden_bytes * len(want & {"hidden"}) * (2 if "gradients" in want else 1)
    for site, (heads, queries, keys) in seen.shapes.items():
        if keep.takes(site):
            rows = _row_count(site, queries, keep, inputs, model)
            extras = len(want & {"values", "heads"}) + 2 * len(want & {"queries"}) + len(want & {"gradients"})
            width = seen.widths.get(site) or _USUAL_WIDTH
            total += inputs.batch * (
                _weight_bytes(heads, rows, keys, keep, want) + extras * heads * max(queries, keys) * width * 4
            )
    return total


def _weight_bytes(heads: int, rows: int, keys: int, keep: Keep, want: frozenset[str]) -> int:
    kept = 1 if keep.heads == "mean" else heads if keep.heads == "all" else len(keep.heads)
    item = 4 if keep.dtype == "float32" else 2
    if keep.reduction is not None:
        return kept * item * (rows if keep.reduction.merge == "cat" else keys)
    return kept * rows * keys * (item + (4 if "gradients" in want else 0))


def _row_count(site: Site, queries: int, keep: Keep, inputs: Inputs, model: Model) -> int:
    if keep.queries == "all":
        return queries
    if isinstance(keep.queries, tuple):
        return len(keep.queries)
    if keep.queries in ("last", "class"):
        return 1
    from model_adapters.roles import Roles

    chosen = chosen_rows(keep.queries, site, "queries", 1, queries, Roles(model, inputs), torch.device("cpu"))
    return math.ceil(int(chosen.sum()) / chosen.shape[0])
