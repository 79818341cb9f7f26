"""What a smaller model gets wrong and what it costs: measured on a set of scenes, and on the clock."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ui.jobs import Progress
from ui.pictures import picture
from ui.results.heads import FIRST_SCENE, Text, true_label
from ui.results.prune import Parts, cut_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from analysis.edit_effects import Effect
    from analysis.runs import Run
    from model_adapters import Inputs, Model, Site
    from model_adapters.edits import Edit
    from model_adapters.running_cost import RunningCost

BATCH = 16
TIMED_OPERATIONS, TIMED_AT_ONCE = 3e9, 8
"""A timed pass holds so many pictures that it takes about so many operations."""
REPEATS, ROUNDS = 3, 3


@dataclass(frozen=True, eq=False)
class Asked:
    """The model and the scenes that it is asked about, with its answers as it is."""

    inputs: tuple[Inputs, ...]
    base: np.ndarray
    """[n, C] logits of the whole model; of an LVLM those of the next word."""
    labels: np.ndarray | None
    """[n] the right classes; None where the model does not know the world."""

    @property
    def count(self) -> int:
        """How many scenes."""
        return len(self.base)


def scenes_of(kind: str, count: int) -> list[str]:
    """The ids of a set."""
    return [f"{kind}:{FIRST_SCENE + n}" for n in range(count)]


def ask(model: Model, ids: Sequence[str], text: Text, progress: Progress) -> Asked:
    """Prepare the pictures and run the whole model on them."""
    pictures = [picture(id) for id in ids]
    labels = [true_label(model, each, text) for each in pictures]
    progress.step(0.2, "preparing the pictures")
    inputs = []
    # What a question becomes depends on the picture's tiles, so an LVLM is asked about one at a time.
    at_once = 1 if model.kind == "lvlm" else BATCH
    for start in range(0, len(pictures), at_once):
        images = [each.image for each in pictures[start : start + at_once]]
        if isinstance(text, str):
            inputs.append(model.prepare(image=images[0], text=text))
        else:
            inputs.append(model.prepare(image=images) if text is None else model.prepare(image=images, text=list(text)))
    base = _answers(model, tuple(inputs), (), partial(_between, progress, 0.3, 1.0))
    known = all(label is not None for label in labels)
    return Asked(tuple(inputs), base, np.array(labels, int) if known else None)


def _between(progress: Progress, low: float, high: float, share: float) -> None:
    progress.step(low + (high - low) * share, "running the model")


def _answers(model: Model, inputs: tuple[Inputs, ...], edits: tuple[Edit, ...], told: Callable[[float], None]) -> np.ndarray:
    import model_adapters as ma

    found = []
    for number, batch in enumerate(inputs):
        told(number / len(inputs))
        logits = ma.run(model, batch, edits).float().cpu().numpy()
        # Of a model that writes: the scores of the next word.
        found.append(logits.reshape(1, -1, logits.shape[-1])[:, -1] if model.kind == "lvlm" else logits)
    return np.concatenate(found)


def run_of(model: Model, asked: Asked, told: Callable[[float], None] = lambda share: None) -> Run:
    """Edits to the answers of the whole set."""
    return lambda edits: asked.base if not edits else _answers(model, asked.inputs, edits, told)


@dataclass(frozen=True, eq=False)
class Judged:
    """What a smaller model answers, against the whole one."""

    effect: Effect
    whole: Effect
    low: Effect
    """Lower ends of the bootstrap intervals over scenes."""
    high: Effect
    whole_low: Effect
    whole_high: Effect
    labels: bool
    """Accuracy is against the truth; agreement with the whole model otherwise."""
    count: int

    @property
    def of_whole(self) -> Judged:
        """The whole model, judged against itself."""
        return replace(self, effect=self.whole, low=self.whole_low, high=self.whole_high)


def judge(before: np.ndarray, after: np.ndarray, labels: np.ndarray | None) -> Judged:
    """Effects with their intervals over scenes."""
    from analysis.edit_effects import effect

    whole, (low, high), of_whole = effect(before, before, labels), _ends(before, after, labels), _ends(before, before, labels)
    return Judged(effect(before, after, labels), whole, low, high, *of_whole, labels is not None, len(before))


def _ends(before: np.ndarray, after: np.ndarray, labels: np.ndarray | None) -> tuple[Effect, Effect]:
    """Both ends of the bootstrap intervals over scenes."""
    from analysis.edit_effects import Effect, effect
    from analysis.intervals import mean_interval

    each = []
    for n in range(len(before)):
        one = effect(before[n : n + 1], after[n : n + 1], None if labels is None else labels[n : n + 1])
        each.append([one.kl, one.flips, one.probability_drop, one.accuracy])
    low, high = mean_interval(np.array(each))
    return Effect(*map(float, low)), Effect(*map(float, high))


def judge_parts(model: Model, asked: Asked, parts: Parts, sites: Sequence[Site], progress: Progress) -> Judged:
    """Heads, branches and layers off."""
    after = run_of(model, asked, partial(_between, progress, 0.0, 1.0))(parts.edits(sites))
    return judge(asked.base, after, asked.labels)


@dataclass(frozen=True, eq=False)
class Costs:
    """The whole model and the smaller one as they really run."""

    whole: RunningCost
    small: RunningCost | None
    """None where the model cannot be made smaller."""
    at_once: int
    """Pictures per timed pass."""
    bytes: tuple[int, int]
    """Weights of both."""
    differs: float | None
    """Largest difference of the sliced model's logits from those of the gated one, on one batch."""
    refused: str = ""

    @property
    def of_whole(self) -> Costs:
        """The whole model beside itself: where every plot begins."""
        return replace(self, small=self.whole, bytes=(self.bytes[0], self.bytes[0]), differs=0.0, refused="")

    def milliseconds(self, cost: RunningCost) -> float:
        """Per picture."""
        return 1000 * cost.seconds / self.at_once


def cost_parts(model: Model, asked: Asked, parts: Parts, sites: Sequence[Site]) -> Costs:
    """Cut the parts out, check that the answers are those of the gated model, and measure both models side by side."""
    import model_adapters as ma
    from model_adapters import AdapterError
    from model_adapters.slimming import slimmed

    tensors, at_once = timed_inputs(model, asked)
    edits = parts.edits(sites)
    refused, differs, small, module = "", None, None, None
    try:
        module = slimmed(model.module, cut_for(model, edits))
    except AdapterError as error:
        refused = str(error)
    if module is not None:
        gated = ma.run(model, asked.inputs[0], edits).float().cpu().numpy()
        differs = float(np.abs(_plain(module, asked.inputs[0]) - gated).max())
    whole, small = side_by_side(model.module, module if parts.any else None, tensors)
    if module is not None and not parts.any:
        small = whole
    sizes = [_size(each) if each is not None else 0 for each in (model.module, module)]
    return Costs(whole, small, at_once, (sizes[0], sizes[1]), differs, refused)


def timed_inputs(model: Model, asked: Asked) -> tuple[dict[str, Any], int]:
    """Tensors of as many pictures as make a measurable and affordable pass."""
    first = asked.inputs[0].tensors
    if model.kind != "vit":
        return dict(first), asked.inputs[0].batch
    count = min(asked.inputs[0].batch, affordable_at_once(model.module, first))
    return {name: value[:count] for name, value in first.items()}, count


def affordable_at_once(module: Any, tensors: Mapping[str, Any]) -> int:
    """How many pictures a timed pass holds."""
    from model_adapters.running_cost import flops

    operations = outside(partial(flops, module, {name: value[:1] for name, value in tensors.items()}))
    return int(min(TIMED_AT_ONCE, max(1, TIMED_OPERATIONS // max(operations, 1))))


def side_by_side(whole: Any, small: Any | None, tensors: dict[str, Any]) -> tuple[RunningCost, RunningCost | None]:
    """Both in turn, several times: what else the machine does then disturbs both alike."""
    rounds = [
        (measured(whole, tensors, REPEATS), None if small is None else measured(small, tensors, REPEATS)) for _ in range(ROUNDS)
    ]
    smalls = [cost for _, cost in rounds if cost is not None]
    return _middle([cost for cost, _ in rounds]), _middle(smalls) if smalls else None


def _middle(costs: list[RunningCost]) -> RunningCost:
    """The round of median length, with the widest spread of all."""
    middle = sorted(costs, key=lambda cost: cost.seconds)[len(costs) // 2]
    return replace(middle, spread=(min(c.spread[0] for c in costs), max(c.spread[1] for c in costs)))


def measured(module: Any, tensors: dict[str, Any], repeats: int) -> RunningCost:
    """Operations, parameters and seconds, without what listens for a cancel."""
    from model_adapters.running_cost import running_cost

    return outside(partial(running_cost, module, tensors, repeats=repeats, warmup=1))


def outside(function: Callable[[], Any]) -> Any:
    """Run in a thread of its own: what lets a job be interrupted costs time at every operation, and would be measured too."""
    with ThreadPoolExecutor(1) as alone:
        return alone.submit(function).result()


def _plain(module: Any, inputs: Inputs) -> np.ndarray:
    import torch

    with torch.no_grad():
        return module(**inputs.tensors).float().cpu().numpy()


def _size(module: Any) -> int:
    return sum(p.numel() * p.element_size() for p in module.parameters())


def first_count(model: Model) -> int:
    """How many scenes are asked before anything is chosen."""
    return 64 if model.name.startswith("bundled:") else 16
