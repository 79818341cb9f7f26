"""Silence each head in turn and see what becomes of the answer.

Masking a head and running the model again costs one pass per head. In a plain tower most of that is repeated work: what
lies before the layer does not change, the layer's attention does not change, and behind the last attention only the
rows matter that the classifier reads. So the blocks are run by hand, and every run is checked on the spot against the
model itself; where the check fails, each head is masked in a full pass, and the result says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from model_adapters.capture import capture, run
from model_adapters.edits import Gate
from model_adapters.errors import AdapterError
from model_adapters.inputs import Inputs
from model_adapters.model import Model
from model_adapters.site import NOTHING, Site
from model_adapters.stepwise import Call, OnlyRows, Silenced, calls_of, classified, first_item, rows_read
from model_adapters.where import Where

_TOLERANCE = {torch.float16: 1e-2, torch.bfloat16: 5e-2}
_ITEMS = {"cpu": 32, "cuda": 512}
"""Hidden states of so many items go through the blocks at once: more does not pay, and less wastes calls."""
_WAITING_BYTES = 128 * 2**20


@dataclass(frozen=True, eq=False)
class Ablation:
    """What becomes of the answer, and of each layer's output, when one head is silenced."""

    sites: tuple[Site, ...]
    """[L]."""
    base: np.ndarray
    """[B, C] the answer of the whole model."""
    logits: np.ndarray
    """[L, H, B, C] the answer without head h of layer l; NaN where a layer has fewer heads."""
    moved: tuple[np.ndarray | None, ...]
    """[L] of [H, B, T, 2]: how far the layer's output moved per token, as relative L2 distance and as 1 - cosine; None
    where the model's blocks do not give their hidden states away."""
    fast: bool
    """The blocks were run by hand."""
    note: str
    """How it was done, and why so."""


def ablate(model: Model, inputs: Inputs, *, fast: bool = True, moved: bool = True) -> Ablation:
    """Silence each head of each layer in turn.

    Args:
        model: a model whose attention can be edited.
        inputs: one input or a batch.
        fast: run the blocks by hand where that reproduces the model; False masks each head in a full pass.
        moved: also measure how far each layer's output moves.
    """
    sites = _sites(model, inputs)
    if not fast:
        return _masked(model, inputs, sites, moved, "each head was masked in a full pass, as asked")
    with model.lock, torch.no_grad():
        try:
            return _Stepwise(model, inputs, sites).ablation(moved)
        except (AdapterError, RuntimeError, ValueError, TypeError, IndexError) as error:
            reason = str(error).splitlines()[0]
    return _masked(model, inputs, sites, moved, f"each head was masked in a full pass, because {reason}")


def _sites(model: Model, inputs: Inputs) -> tuple[Site, ...]:
    some = first_item(inputs) if model.kind == "vit" else inputs
    sites = tuple(capture(model, some, keep=NOTHING).shapes)
    if not sites:
        raise AdapterError(f"{model.name} has no attention whose heads could be silenced.")
    return sites


def _answer(logits: torch.Tensor) -> torch.Tensor:
    """[B, C]: class scores, or the scores of the next token."""
    return (logits if logits.dim() == 2 else logits.reshape(len(logits), -1, logits.shape[-1])[:, -1]).float()


def _gate(site: Site, head: int) -> Gate:
    return Gate(Where(sites=(site.name,), heads=(head,)), 0.0)


def _distances(changed: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    """[..., T, 2]: relative L2 distance and 1 - cosine of every token."""
    changed, base = changed.float(), base.float()
    size = torch.linalg.vector_norm(base, dim=-1).clamp_min(1e-20)
    relative = torch.linalg.vector_norm(changed - base, dim=-1) / size
    return torch.stack([relative, 1 - torch.cosine_similarity(changed, base, dim=-1, eps=1e-20)], -1)


@dataclass(eq=False)
class _Stepwise:
    """The blocks of one model on one input, run by hand."""

    model: Model
    inputs: Inputs
    sites: tuple[Site, ...]
    calls: list[Call] = field(init=False)
    base: torch.Tensor = field(init=False)
    one: Inputs = field(init=False)
    read: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        with calls_of(self.model) as calls:
            self.base = self.model.logits(self.model.forward(self.inputs))
        self.calls, self.one = calls, first_item(self.inputs)
        self._check_shape()
        self.read = torch.arange(self.calls[0].hidden.shape[1])
        self._check_whole()

    def ablation(self, moved: bool) -> Ablation:
        """All heads of all layers."""
        width = max(site.heads for site in self.sites)
        answers = np.full((len(self.sites), width, *_answer(self.base).shape), np.nan, np.float32)
        distances: list[np.ndarray | None] = []
        waiting = _Waiting(self, answers)
        for layer, site in enumerate(self.sites):
            shifts = []
            for heads, output in self._silenced(layer, site):
                if moved:
                    shifts.append(_distances(output, self._output(layer)).cpu().numpy())
                waiting.add(layer, heads, self._onwards(layer, output.flatten(0, 1)))
            if layer in (0, len(self.sites) - 1):
                waiting.flush()
                self._check_head(layer, answers)
            distances.append(np.concatenate(shifts) if shifts else None)
        waiting.flush()
        note = f"blocks were run by hand; the classifier reads {len(self.read)} of {self.calls[0].hidden.shape[1]} rows"
        return Ablation(self.sites, _answer(self.base).cpu().numpy(), answers, tuple(distances), True, note)

    def _silenced(self, layer: int, site: Site) -> Iterator[tuple[range, torch.Tensor]]:
        """Heads, and the layer's output [h, B, T, D] without each of them."""
        hidden = self.calls[layer].hidden
        step = max(1, _ITEMS.get(hidden.device.type, 64) // len(hidden))
        for start in range(0, site.heads, step):
            heads = range(start, min(start + step, site.heads))
            with Silenced(heads, site.heads):
                output = self.calls[layer].again(hidden)
            if output.shape != (len(heads), *hidden.shape):
                raise AdapterError(f"block {self.calls[layer].name} has no output projection that could be met")
            yield heads, output

    def _output(self, layer: int) -> torch.Tensor:
        return self.calls[layer + 1].hidden if layer + 1 < len(self.calls) else self.calls[layer].again(self.calls[layer].hidden)

    def _onwards(self, layer: int, hidden: torch.Tensor) -> torch.Tensor:
        """The rows [N, R, D] that the classifier reads, when this is what the layer returns."""
        for call in self.calls[layer + 1 : -1]:
            hidden = call.again(hidden)
        tokens = hidden.shape[1]
        if layer == len(self.calls) - 1 or len(self.read) == tokens:
            hidden = hidden if layer == len(self.calls) - 1 else self.calls[-1].again(hidden)
            return hidden[:, self.read] if len(self.read) < tokens else hidden
        with OnlyRows(self.read, tokens):
            return self.calls[-1].again(hidden)

    def classify(self, rows: torch.Tensor) -> torch.Tensor:
        """The answers [N, C] to the rows that the classifier reads."""
        tokens = self.calls[0].hidden.shape[1]
        if len(self.read) < tokens:
            whole = rows.new_zeros(len(rows), tokens, rows.shape[-1])
            whole[:, self.read] = rows
            rows = whole
        return _answer(classified(self.model, self.one, self.calls[-1].name, rows))

    # ---- what is checked on the spot

    def _check_shape(self) -> None:
        blocks = self.model.tap_labels
        if self.model.kind != "vit" or [c.name for c in self.calls] != [blocks[s.name].block for s in self.sites]:
            raise AdapterError("this is not one tower whose blocks hold one attention each")
        if any(c.hidden.shape != self.calls[0].hidden.shape or c.hidden.dim() != 3 for c in self.calls):
            raise AdapterError("the blocks do not all work on the same tokens")

    def _check_whole(self) -> None:
        last = self._output(len(self.calls) - 1)
        self.read = rows_read(self.model, self.one, self.calls[-1].name, last[:1])
        if not len(self.read):
            raise AdapterError("the answer does not depend on what the last block returns")
        found = self.classify(self._onwards(0, self.calls[0].again(self.calls[0].hidden)))
        self._compare(found, _answer(self.base), "running the blocks by hand")

    def _check_head(self, layer: int, answers: np.ndarray) -> None:
        masked = _answer(run(self.model, self.one, _gate(self.sites[layer], 0)))
        found = torch.from_numpy(answers[layer, 0, :1]).to(masked)
        self._compare(found, masked, f"taking head 0 out of layer {layer}")

    def _compare(self, found: torch.Tensor, true: torch.Tensor, what: str) -> None:
        size = max(1.0, float(true.abs().max()))
        distance = float((found - true).abs().max()) / size
        if not distance <= _TOLERANCE.get(self.base.dtype, 1e-5):
            raise AdapterError(f"{what} misses the model's own answer by {distance:.1e}")


class _Waiting:
    """Hidden states that wait for the classifier, so that it runs seldom."""

    def __init__(self, tower: _Stepwise, answers: np.ndarray) -> None:
        self.tower, self.answers = tower, answers
        self.places: list[tuple[int, range]] = []
        self.states: list[torch.Tensor] = []

    def add(self, layer: int, heads: range, states: torch.Tensor) -> None:
        """Rows [h B, R, D] of these heads."""
        self.places.append((layer, heads))
        self.states.append(states)
        if sum(s.numel() * s.element_size() for s in self.states) > _WAITING_BYTES:
            self.flush()

    def flush(self) -> None:
        """Classify what waits."""
        if not self.states:
            return
        found = self.tower.classify(torch.cat(self.states)).cpu().numpy()
        start, batch = 0, self.answers.shape[2]
        for layer, heads in self.places:
            count = len(heads) * batch
            self.answers[layer, heads.start : heads.stop] = found[start : start + count].reshape(len(heads), batch, -1)
            start += count
        self.places, self.states = [], []


def _masked(model: Model, inputs: Inputs, sites: tuple[Site, ...], moved: bool, note: str) -> Ablation:
    """One full pass per head."""
    inputs = replace(inputs, many=True)
    want = ("hidden",) if moved else ()
    whole = capture(model, inputs, keep=NOTHING, want=want)
    base = _answer(torch.from_numpy(np.asarray(whole.logits))).numpy()
    answers = np.full((len(sites), max(s.heads for s in sites), *base.shape), np.nan, np.float32)
    distances: list[np.ndarray | None] = []
    for layer, site in enumerate(sites):
        shifts = []
        for head in range(site.heads):
            without = capture(model, inputs, keep=NOTHING, want=want, edits=_gate(site, head))
            answers[layer, head] = _answer(torch.from_numpy(np.asarray(without.logits))).numpy()
            key = site.tower, site.layer + 1
            if key in without.hidden:
                changed, same = (torch.from_numpy(np.asarray(c.hidden[key])) for c in (without, whole))
                shifts.append(_distances(changed.flatten(1, -2), same.flatten(1, -2)).numpy())
        distances.append(np.stack(shifts) if len(shifts) == site.heads else None)
    return Ablation(sites, base, answers, tuple(distances), False, note)
