"""The check that every model passes when it is loaded: does looking change nothing, and does changing change something?"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch

from model_adapters.edits import Identity, Uniform
from model_adapters.errors import AdapterError
from model_adapters.events import says_attention
from model_adapters.examples import example
from model_adapters.inputs import Inputs
from model_adapters.model import Model
from model_adapters.roles import Roles
from model_adapters.site import NOTHING, Keep, Reduction, Site
from model_adapters.tap import AttentionTap
from model_adapters.where import Where

EXCEPTIONS: dict[str, str] = {
    r"LiteMLA|LinearAtt|GatedDelta|Mamba(?!Out)|Mixer2": "linear attention has no weights",
    r"ChannelAtt|SqueezeExc|EcaModule|CbamModule|SpatialAtt": "a gate over channels or positions, not attention between tokens",
    r"^ConvAttention$": "a convolution, in spite of its name",
    r"Deformable": "deformable attention weighs sampling points, which are no tokens",
    r"PosEnc|PositionEmb|RotaryEmb|RelPos|AttentionMask": "position encoding",
    r"Norm|Dropout|Output$|Intermediate": "a part of an attention module",
}
"""Modules that say attention and compute no weights, by class name, with the reason."""

_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}


@dataclass(frozen=True)
class Report:
    """What the check found. `passed` says whether the model may be used."""

    passed: bool
    sentence: str
    sites: int = 0
    """Attention computations in one pass."""
    seen: tuple[Site, ...] = ()
    unchanged: bool = False
    """With the tap that only looks, the answer was bit-identical."""
    row_sums: float = float("nan")
    """Largest distance of a row of weights from a sum of 1."""
    identity: float = float("nan")
    """Largest change of the answer by the identity edit, relative to its size."""
    uniform: float = float("nan")
    """Largest change of the answer by uniform attention, relative to its size."""
    hidden_effect: bool = False
    """Uniform attention changed head outputs but not the answer: later weights are zero, as in untrained models."""
    unseen: tuple[str, ...] = ()
    """Modules that say attention, ran, and were not seen; each with the reason."""
    seconds: float = 0.0
    notes: tuple[str, ...] = field(default=())


def verify(model: Model, inputs: Inputs | None = None) -> Report:
    """Check a model on a tiny input, keep the report on it, and return it.

    Four passes: the plain one; one that looks at every row; the identity edit; uniform attention.
    """
    start = time.perf_counter()
    inputs = inputs or example(model)
    with model.lock, torch.no_grad():
        plain = _plain_answer(model, inputs)
        looking = _tap(model, inputs, keep=Keep(reduce=_ROW_SUM))
        looked = _through(model, inputs, looking)
        sites = tuple(site for _, site in looking.recorder.records)
        unseen = _unseen(model, looking, sites)
        if not sites:
            report = Report(False, _no_sites(model, unseen), unseen=unseen)
        else:
            report = _compare(model, inputs, plain, looked, looking, sites, unseen)
    report = replace(report, seconds=time.perf_counter() - start)
    model.report = report
    return report


def require(report: Report) -> None:
    """Raise the report's sentence if the model did not pass."""
    if not report.passed:
        raise AdapterError(report.sentence)


def _compare(
    model: Model,
    inputs: Inputs,
    plain: torch.Tensor,
    looked: torch.Tensor,
    looking: AttentionTap,
    sites: tuple[Site, ...],
    unseen: tuple[str, ...],
) -> Report:
    editable = [s for s in sites if s.kind in ("sdpa", "softmax")]
    identity = uniform = float("nan")
    hidden_effect, notes = False, []
    if editable:
        where = Where(sites=tuple(dict.fromkeys(s.name for s in editable)))
        identity = _distance(_edited(model, inputs, Identity(where)), plain)
        uniform = _distance(_edited(model, inputs, Uniform(where)), plain)
        hidden_effect = not uniform > _EFFECT and _moves_inside(model, inputs, editable)
    if len(editable) < len(sites):
        notes.append(f"{len(sites) - len(editable)} of {len(sites)} sites can be captured but not edited")
    sums = _row_sum_error(looking)
    unchanged = bool(torch.equal(_plain(looked), _plain(plain)))
    faults = []
    tolerance = _TOLERANCE.get(plain.dtype, 1e-5)
    if not unchanged and _distance(looked, plain) > tolerance:
        faults.append(f"looking changed the answer by {_distance(looked, plain):.1e}")
    if not sums <= max(1e-4, tolerance):
        faults.append(f"rows of weights miss the sum of 1 by up to {sums:.1e}")
    if editable and not identity <= 30 * tolerance:
        faults.append(f"the identity edit changed the answer by {identity:.1e}")
    if editable and not uniform > _EFFECT and not hidden_effect:
        faults.append("uniform attention changed nothing, so what was seen is not what the model uses")
    real = tuple(u for u in unseen if u.endswith(_NOT_SEEN))
    if real:
        faults.append(f"attention was not seen in {', '.join(u.split(':')[0] for u in real[:3])}")
    sentence = f"{model.name}: " + ("; ".join(faults) if faults else _praise(sites, unchanged, hidden_effect))
    return Report(
        not faults, sentence, len(sites), sites, unchanged, sums, identity, uniform, hidden_effect, unseen, 0.0, tuple(notes)
    )


_EFFECT = 1e-7
_SAYS = re.compile(r"att(n|ention)", re.IGNORECASE)
_LINEAR = re.compile(next(iter(EXCEPTIONS)))
_NOT_SEEN = "ran, but its weights were not seen"


def _praise(sites: tuple[Site, ...], unchanged: bool, hidden_effect: bool) -> str:
    same = "the answer with and without looking is the same to the bit" if unchanged else "the answer is the same within rounding"
    moved = "uniform attention changes it only inside (untrained weights)" if hidden_effect else "changing attention changes it"
    return f"{len(sites)} attention computations seen; {same}; {moved}."


def _plain_answer(model: Model, inputs: Inputs) -> torch.Tensor:
    try:
        with _same_draws(model):
            return model.logits(model.forward(inputs))
    except (RuntimeError, ValueError, TypeError, AssertionError, IndexError, KeyError, AttributeError) as error:
        shapes = {name: tuple(value.shape) for name, value in inputs.tensors.items() if isinstance(value, torch.Tensor)}
        told = str(error).rstrip(".")
        if not isinstance(error, AdapterError):
            told = f"{type(error).__name__}: {told}. It was given {shapes}"
        raise AdapterError(
            f"{model.name} does not run on the test picture: {told}. Check that the processor belongs to the model, or verify it "
            "with inputs of your own: verify(model, inputs)."
        ) from error


def _tap(model: Model, inputs: Inputs, **options: object) -> AttentionTap:
    return AttentionTap(
        model.module,
        batch=inputs.batch,
        labels=model.tap_labels,
        roles=Roles(model, inputs),
        **options,  # type: ignore[arg-type]
    )


def _through(model: Model, inputs: Inputs, tap: AttentionTap) -> torch.Tensor:
    with _same_draws(model), tap:
        return model.logits(model.forward(inputs))


@contextmanager
def _same_draws(model: Model) -> Iterator[None]:
    """Some models draw at random even in evaluation (masked autoencoders): let every pass draw the same."""
    device = model.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        yield


def _edited(model: Model, inputs: Inputs, edit: Identity | Uniform) -> torch.Tensor:
    return _through(model, inputs, _tap(model, inputs, keep=NOTHING, edits=(edit,)))


def _moves_inside(model: Model, inputs: Inputs, editable: list[Site]) -> bool:
    """Whether uniform attention changes head outputs, when later weights of zero hide it from the answer."""
    first = editable[0]
    heads = []
    for edits in ((), (Uniform(Where(sites=(first.name,))),)):
        tap = _tap(model, inputs, keep=Keep(sites=(first,), queries=(0,)), want=("heads",), edits=edits)
        _through(model, inputs, tap)
        heads.append(next(r.heads for (_, site), r in tap.recorder.records.items() if site == first))
    return heads[0] is not None and heads[1] is not None and _distance(heads[1], heads[0]) > _EFFECT


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """Without the entries that a model rules out (infinite, or the lowest number there is)."""
    tensor = torch.nan_to_num(tensor.float())
    return torch.where(tensor.abs() < 1e30, tensor, 0.0)


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference, relative to the largest entry."""
    size = float(_plain(other).abs().max().clamp_min(1e-12))
    return float((_plain(one) - _plain(other)).abs().max()) / size


_ROW_SUM = Reduction("row sum", lambda rows: rows.sum(-1))


def _row_sum_error(tap: AttentionTap) -> float:
    errors = [0.0]
    for record in tap.recorder.records.values():
        if record.weights is not None:
            sums = record.weights.float()
            filled = sums[sums != 0]  # rows whose keys are all masked are empty
            errors.append(float((filled - 1).abs().max()) if len(filled) else 0.0)
    return max(errors)


def _unseen(model: Model, tap: AttentionTap, sites: tuple[Site, ...]) -> tuple[str, ...]:
    """Modules whose class says attention, that ran, hold no site and lie in none: each with the reason."""
    places = {s.name for s in sites}
    found = []
    for name, module in model.module.named_modules():
        kind = type(module).__name__
        if name not in tap.ran or not (_LINEAR.search(kind) or _SAYS.search(kind) and says_attention(name, module)):
            continue
        if any(p == name or p.startswith(f"{name}.") or name.startswith(f"{p}.") for p in places):
            continue
        reason = next((r for pattern, r in EXCEPTIONS.items() if re.search(pattern, kind)), _NOT_SEEN)
        found.append(f"{name} ({kind}): {reason}")
    return tuple(found)


def _no_sites(model: Model, unseen: tuple[str, ...]) -> str:
    if unseen:
        return (
            f"{model.name} computes no attention weights that can be seen: {unseen[0]}"
            f"{f' and {len(unseen) - 1} more' if len(unseen) > 1 else ''}. A model with softmax attention would work."
        )
    kind = type(model.module).__name__
    return f"{model.name} has no attention ({kind}): there is nothing to look at. A vision transformer would work."
