"""The check that every model passes when it is loaded: does looking change nothing, and does changing change something?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch

from model_adapters.edits import Identity, Uniform
from model_adapters.errors import AdapterError
from model_adapters.examples import example
from model_adapters.findings import Findings, survey
from model_adapters.inputs import Inputs
from model_adapters.model import Model
from model_adapters.roles import Roles
from model_adapters.site import NOTHING, Keep, Reduction, Site
from model_adapters.tap import AttentionTap
from model_adapters.where import Where

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
    """Modules whose attention ran and could not be seen; each with the reason."""
    seconds: float = 0.0
    notes: tuple[str, ...] = field(default=())
    """What everybody should know who looks at a picture of this model's attention."""


def verify(model: Model, inputs: Inputs | None = None) -> Report:
    """Check a model on a tiny input, keep the report on it, and return it.

    Five passes: the plain one; one that learns where attention happens (and one over two inputs, where one does not tell);
    one that looks at every row; the identity edit; uniform attention.
    """
    start = time.perf_counter()
    inputs = inputs or example(model)
    with model.lock, torch.no_grad():
        plain = _plain_answer(model, inputs)
        with _same_draws(model):
            model.learn(survey(model.module, inputs, model.forward))
        looking = _tap(model, inputs, keep=Keep(reduce=_ROW_SUM, stage="softmax"))
        looked = _through(model, inputs, looking)
        sites = tuple(site for _, site in looking.recorder.records)
        if not sites:
            report = Report(False, _no_sites(model), unseen=model.findings.unseen)
        else:
            report = _compare(model, inputs, plain, looked, looking, sites)
    report = replace(report, seconds=time.perf_counter() - start)
    model.report = report
    return report


def require(report: Report) -> None:
    """Raise the report's sentence if the model did not pass."""
    if not report.passed:
        raise AdapterError(report.sentence)


def _compare(
    model: Model, inputs: Inputs, plain: torch.Tensor, looked: torch.Tensor, looking: AttentionTap, sites: tuple[Site, ...]
) -> Report:
    editable = [s for s in sites if s.kind != "factorised"]
    identity = uniform = float("nan")
    hidden_effect = False
    if editable:
        where = Where(sites=tuple(dict.fromkeys(s.name for s in editable)))
        identity = _distance(_edited(model, inputs, Identity(where)), plain)
        uniform = _distance(_edited(model, inputs, Uniform(where)), plain)
        hidden_effect = not uniform > _EFFECT and _moves_inside(model, inputs, editable)
    found = Report(
        True, "", len(sites), sites, bool(torch.equal(_plain(looked), _plain(plain))), _row_sum_error(looking), identity,
        uniform, hidden_effect, model.findings.unseen, notes=_notes(model.findings, sites, len(editable)),
    )  # fmt: skip
    tolerance = _TOLERANCE.get(plain.dtype, 1e-5)
    moved = _distance(looked, plain)
    if max(moved, _number(identity) / 30) > tolerance and (noise := _own_noise(model, inputs, plain)) > tolerance:
        tolerance = noise
        found = replace(found, notes=(*found.notes, _NOISY.format(noise)))
    faults = _faults(found, moved, tolerance, max(1e-4, _TOLERANCE.get(plain.dtype, 1e-5)))
    sentence = f"{model.name}: " + ("; ".join(faults) if faults else _praise(found))
    return replace(found, passed=not faults, sentence=sentence)


_NOISY = (
    "The model rounds as it computes (it is quantised, or as coarse): its own answer moves by {:.0e} when its input moves by a "
    "millionth, and edits are no finer than that."
)


def _number(value: float) -> float:
    return 0.0 if value != value else value


def _faults(found: Report, moved: float, tolerance: float, of_rows: float) -> list[str]:
    """Why a model may not be used, if it may not."""
    faults = []
    if not found.unchanged and moved > tolerance:
        faults.append(f"looking changed the answer by {moved:.1e}")
    if not found.row_sums <= of_rows:
        faults.append(f"rows of weights miss the sum of 1 by up to {found.row_sums:.1e}")
    if _number(found.identity) > 30 * tolerance:
        faults.append(f"the identity edit changed the answer by {found.identity:.1e}")
    if found.uniform == found.uniform and not found.uniform > _EFFECT and not found.hidden_effect:
        faults.append("uniform attention changed nothing, so what was seen is not what the model uses")
    return faults


def _own_noise(model: Model, inputs: Inputs, plain: torch.Tensor) -> float:
    """How far the model's own answer moves when its input changes by a millionth: quantised models round so."""
    tensors = {
        name: value * (1 + 1e-6) if isinstance(value, torch.Tensor) and value.is_floating_point() else value
        for name, value in inputs.tensors.items()
    }
    with _same_draws(model):
        return _distance(model.logits(model.forward(replace(inputs, tensors=tensors))), plain)


def _notes(findings: Findings, sites: tuple[Site, ...], editable: int) -> tuple[str, ...]:
    notes = []
    if findings.unseen:
        whole, some = len(sites) + len(findings.unseen), "; ".join(findings.unseen[:3])
        more = f"; and {len(findings.unseen) - 3} more" if len(findings.unseen) > 3 else ""
        notes.append(f"{len(sites)} of {whole} attention computations are seen; not seen: {some}{more}.")
    if findings.changed:
        notes.append(
            f"The model changes its weights after the softmax (in {_few(findings.changed)}); "
            "shown are those that meet the values."
        )
    if findings.shared:
        notes.append(
            f"The model puts several attention maps over the same values together (in {_few(findings.shared)}); "
            "each is shown by itself."
        )
    if editable < len(sites):
        notes.append(f"{len(sites) - editable} of {len(sites)} sites can be captured but not edited.")
    return tuple(notes)


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(name or "the model itself" for name in names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


_EFFECT = 1e-7


def _praise(found: Report) -> str:
    same = "the answer is the same within rounding"
    if found.unchanged:
        same = "the answer with and without looking is the same to the bit"
    moved = "changing attention changes it"
    if found.hidden_effect:
        moved = "uniform attention changes it only inside (untrained weights)"
    if found.uniform != found.uniform:
        moved = "it can be looked at, not edited"
    seen = f"{found.sites} attention computations seen" if not found.unseen else (
        f"{found.sites} of {found.sites + len(found.unseen)} attention computations are seen (not in {found.unseen[0]})"
    )
    return f"{seen}; {same}; {moved}."


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


def _no_sites(model: Model) -> str:
    told = model.findings.unseen or model.findings.linear
    if told:
        more = f" and {len(told) - 1} more" if len(told) > 1 else ""
        return f"{model.name} computes no attention weights that can be seen: {told[0]}{more}."
    kind = type(model.module).__name__
    return f"{model.name} has no attention ({kind}): there is nothing to look at. A vision transformer would work."
