"""Run a model once and keep what was asked for; the model's answer is the one it gives without looking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from inspect import signature

import numpy as np
import torch

from model_adapters.added import lengthened, only_what_fits
from model_adapters.capturing import BySite, Capture, LazyLayouts
from model_adapters.cost import check_batch, check_want, free_bytes, refuse_too_much, remember
from model_adapters.edits import AddTokens, Edit, check_edits
from model_adapters.errors import AdapterError
from model_adapters.fold import rows
from model_adapters.inputs import Inputs
from model_adapters.layout import Layout
from model_adapters.model import Model
from model_adapters.recorder import Record
from model_adapters.roles import Roles
from model_adapters.site import NOTHING, Keep, Site
from model_adapters.tap import AttentionTap
from model_adapters.target import Target, scalar


def capture(
    model: Model,
    inputs: Inputs,
    *,
    keep: Keep | None = None,
    edits: Iterable[Edit] | Edit = (),
    want: Iterable[str] = (),
    target: Target = None,
    scores: int | None = None,
) -> Capture:
    """Run the model once and keep rows of attention, and more.

    Args:
        model: the model, from `load` or `wrap`.
        inputs: from `model.prepare`.
        keep: which rows of which sites; all by default.
        edits: what to change during the run.
        want: more to keep, of "hidden", "norms" (of hidden states), "values", "queries", "heads", "gradients".
        target: what gradients are taken of: a class (number or name), a token of an LVLM, or a function of the logits;
            the predicted class or likeliest token by default.
        scores: of an LVLM, how many of the last tokens get scores; all by default. An unembedding of a whole prompt costs
            as much as a layer.
    """
    keep, want, edits = keep or Keep(), check_want(want), check_edits(edits)
    limit = free_bytes()
    _check(model, keep, want, target, scores)
    check_batch(model, inputs)
    refuse_too_much(model, inputs, keep, want, limit)
    tap = AttentionTap(
        model.module, keep=keep, edits=edits, want=want, batch=inputs.batch, labels=model.tap_labels, scopes=model.tap_scopes,
        roles=Roles(model, inputs), limit=limit,
    )  # fmt: skip
    gradients = "gradients" in want
    with model.lock, torch.set_grad_enabled(gradients):
        with tap, only_what_fits(edits):
            logits = model.logits(model.forward(inputs, **_few_scores(model, scores)))
        found = _Gradients(tap, scalar(target, logits, model, inputs)) if gradients else None
    remember(model, inputs, tap)
    return result_of(model, inputs, tap, logits if scores is None else logits[:, -scores:], found, target)


def _check(model: Model, keep: Keep, want: frozenset[str], target: Target, scores: int | None) -> None:
    """Refuse what cannot be asked together."""
    if keep.reduce is not None and "gradients" in want:
        raise ValueError(
            "gradients are those of rows of weights; leave `reduce` out, or ask for gradients in a run of their own."
        )
    if scores is not None and (scores < 1 or target is not None or model.kind != "lvlm"):
        raise ValueError(
            f"scores are those of an LVLM's last tokens: at least 1, and without a target. Got {scores} with target {target!r} "
            f"for {model.name} ({model.kind})."
        )


def _few_scores(model: Model, scores: int | None) -> dict[str, int]:
    """What transformers' models are told, where they can be told."""
    if scores is None or "logits_to_keep" not in signature(model.module.forward).parameters:
        return {}
    return {"logits_to_keep": scores}


def run(model: Model, inputs: Inputs, edits: Iterable[Edit] | Edit = ()) -> torch.Tensor:
    """The model's logits under edits, keeping nothing; gates that require a gradient get one."""
    tap = AttentionTap(
        model.module,
        keep=NOTHING,
        edits=check_edits(edits),
        batch=inputs.batch,
        labels=model.tap_labels,
        scopes=model.tap_scopes,
        roles=Roles(model, inputs),
    )
    with model.lock, torch.set_grad_enabled(any(_differentiable(e) for e in tap.edits)), tap, only_what_fits(tap.edits):
        return model.logits(model.forward(inputs))


def _differentiable(edit: Edit) -> bool:
    value = getattr(edit, "value", None)
    return isinstance(value, torch.Tensor) and value.requires_grad


class _Gradients:
    """The derivatives of one number with respect to what was kept. The shared model's own gradients are not touched."""

    def __init__(self, tap: AttentionTap, number: torch.Tensor) -> None:
        recorder = tap.recorder
        records = [r for r in recorder.records.values() if r.graph]
        sites = [s for (_, s), r in recorder.records.items() if r.graph]
        hidden = {k: v for k, v in recorder.states.hidden.items() if v.requires_grad}
        outputs = [output for r in records for output, _, _ in r.graph]
        leaves = outputs + list(hidden.values())
        if not leaves or not number.requires_grad:
            raise AdapterError("Gradients were asked for, but no kept site or hidden state leads to the target.")
        found = list(torch.autograd.grad(number, leaves, allow_unused=True))
        self.heads: dict[Site, torch.Tensor] = {}
        self.weights: dict[Site, torch.Tensor] = {}
        self.hidden: dict[tuple[str, int], torch.Tensor] = {}
        for site, record in zip(sites, records, strict=True):
            self._site(tap, site, record, [found.pop(0) for _ in record.graph])
        for (_, tower, layer), tensor, gradient in zip(hidden, hidden.values(), found, strict=True):
            self.hidden[tower, layer] = torch.zeros_like(tensor) if gradient is None else gradient

    def _site(self, tap: AttentionTap, site: Site, record: Record, gradients: list[torch.Tensor | None]) -> None:
        """Weights that are used in several products owe their derivative to all of them."""
        for (output, values, fold), given in zip(record.graph, gradients, strict=True):
            opened = fold.open(torch.zeros_like(output) if given is None else given)
            heads = rows(opened)
            if values.dim() == 4 and len(fold.lead) == 2 and values.shape[1] != fold.lead[1]:
                values = values.repeat_interleave(fold.lead[1] // values.shape[1], 1)
            kept = record.kept
            if kept is not None and fold.windows == 1:
                opened, kept = opened[:, :, :, kept], None
            # An output is weights @ values, so its gradient times the values is the gradient of the weights.
            whole = tap.recorder.chosen(rows(opened.float() @ fold.open(values).float().transpose(-1, -2)), kept)
            self.heads[site] = torch.cat([self.heads[site], heads], -1) if site in self.heads else heads
            self.weights[site] = self.weights[site] + whole if site in self.weights else whole
        record.graph = []


def result_of(
    model: Model,
    inputs: Inputs,
    tap: AttentionTap,
    logits: torch.Tensor,
    found: _Gradients | None = None,
    target: Target = None,
) -> Capture:
    """What a tap has kept, as plain data."""
    records = {site: record for (_, site), record in tap.recorder.records.items()}
    kept = tuple(s for s, r in records.items() if r.weights is not None)
    array, seen = partial(_array, inputs), tap.recorder.states

    def by_site(name: str) -> BySite[np.ndarray]:
        return BySite({s: array(t) for s, r in records.items() if (t := getattr(r, name)) is not None})

    return Capture(
        model=model.name,
        sites=kept,
        weights=by_site("weights"),
        rows=BySite({s: _row_numbers(records[s]) for s in kept}),
        shapes=BySite({s: r.shape for s, r in records.items()}),
        layouts=LazyLayouts(kept, lambda: _layouts(model, inputs, tap.edits, {s: r.shape for s, r in records.items()})),
        logits=array(logits.float()),
        tokens=_tokens(model, inputs),
        hidden={(tower, n): array(_opened(t, 3)) for (_, tower, n), t in seen.hidden.items()},
        norms={(tower, n): array(_opened(t, 2)) for (_, tower, n), t in seen.norms.items()},
        values=by_site("values"),
        queries=by_site("queries"),
        keys=by_site("keys"),
        head_outputs=by_site("heads"),
        gradients=BySite({s: array(t) for s, t in found.weights.items()} if found else {}),
        head_gradients=BySite({s: array(t) for s, t in found.heads.items()} if found else {}),
        hidden_gradients={k: array(_opened(t, 3)) for k, t in found.hidden.items()} if found else {},
        target=target,
        notes=() if model.report is None else model.report.notes,
        edits=tap.edits,
        labels=model.labels,
        size=inputs.images[0][0].size if inputs.batch == 1 and inputs.images and len(inputs.images[0]) == 1 else None,
    )


def _array(inputs: Inputs, tensor: torch.Tensor) -> np.ndarray:
    """Off the accelerator, in a precision that numpy knows; a single input has no axis of inputs."""
    tensor = tensor.detach().cpu()
    tensor = tensor if tensor.dtype in (torch.float16, torch.float32) else tensor.float()
    return tensor.numpy() if inputs.many or inputs.batch > 1 else tensor.numpy()[0]


def _opened(states: torch.Tensor, axes: int) -> torch.Tensor:
    """With an axis of inputs also where a tower packs all its tokens into one sequence [T, D]."""
    return states[None] if states.dim() < axes else states


def _row_numbers(record: Record) -> np.ndarray:
    return np.arange(record.shape[1]) if record.kept is None else record.kept.cpu().numpy()


def _layouts(
    model: Model, inputs: Inputs, edits: tuple[Edit, ...], shapes: Mapping[Site, tuple[int, int, int]]
) -> Mapping[tuple[str, int], Layout]:
    from model_adapters.geometry import layouts
    from model_adapters.geometry.unmet import completed

    found = layouts(model, inputs)
    if not edits:
        return completed(found, shapes)
    return lengthened(found, shapes) if any(isinstance(e, AddTokens) for e in edits) else found


def _tokens(model: Model, inputs: Inputs) -> tuple[str, ...]:
    ids = inputs.tensors.get("input_ids")
    tokenizer = getattr(model.processor, "tokenizer", None)
    if ids is None or tokenizer is None or inputs.batch > 1:
        return ()
    return tuple(tokenizer.convert_ids_to_tokens(ids[0].tolist()))
