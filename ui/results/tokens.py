"""Fewer tokens: one setting as data, its plan for a picture, the strip of what survives, and what it costs over a set."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ui.jobs import Progress
from ui.pictures import picture
from ui.results.heads import Text, subject_for, true_label
from ui.results.prune_effect import Costs, Judged, affordable_at_once, judge, side_by_side

if TYPE_CHECKING:
    from PIL import Image

    from analysis.registry import Method
    from analysis.token_plan import TokenPlan
    from model_adapters import Inputs, Model, Subject
    from model_adapters.edits import Edit

WANTED = frozenset({"hidden", "queries", "values"})
SIDE = 176
"""Pixels of a picture of the strip."""
FADED = 0.12


@dataclass(frozen=True)
class Fewer:
    """A rule of token reduction and its options."""

    method: str
    layers: tuple[int, ...]
    amounts: tuple[float, ...]
    """One per layer: the share that is kept, or the number that is merged; a single one for rules without a schedule."""
    look: bool = True
    """Later steps read what the reduced model attends to."""

    @property
    def words(self) -> str:
        """For a list of what was tried."""
        said = ", ".join(f"{a:.0%}" if a <= 1 else f"{a:.0f}" for a in self.amounts)
        return f"{self.method} {said} in layers {', '.join(map(str, self.layers))}" if self.layers else f"{self.method} {said}"


@dataclass(frozen=True)
class Knob:
    """What a rule is told per layer."""

    label: str
    low: float
    high: float
    start: float
    step: float


def rules() -> list[Method]:
    """The registered rules of token reduction."""
    from analysis.registry import methods

    return list(methods("tokens"))


def knob(method: str, patches: int) -> Knob:
    """The amount that a rule takes: a share to keep, a number to merge, or a number of samples."""
    names = inspect.signature(_method(method).function).parameters
    if "keep" in names:
        return Knob("keep", 0.05, 1.0, 0.7, 0.05)
    if "merged" in names:
        return Knob("merge", 0, max(1, patches // 4), max(1, patches // 18), 1)
    return Knob("samples", 1, patches, max(1, int(0.6 * patches)), 1)


def per_layer(method: str) -> bool:
    """Whether each layer has an amount of its own."""
    return "schedule" in inspect.signature(_method(method).function).parameters


def _method(name: str) -> Method:
    from analysis.registry import find

    return find(name)


def first_layers(depth: int) -> tuple[int, ...]:
    """A quarter, half and three quarters of the way: (3, 6, 9) of 12, as EViT has it."""
    return tuple(sorted({int(depth * share) for share in (0.25, 0.5, 0.75)}))


def why_not(subject: Subject, method: str, tower: str = "vision") -> str:
    """The sentence that says why a rule is not offered for this model; empty where it is."""
    from analysis.offers import offers
    from model_adapters import AdapterError

    try:
        capture = subject.capture(WANTED)
    except AdapterError as error:
        return str(error)
    if reason := _method(method).why_not(offers(capture, tower)):
        return reason
    first = capture.layouts[capture.sites[0]]
    return "" if first.square else f"{capture.sites[0].name} attends within windows, so its tokens cannot be dropped or merged."


def plan(subject: Subject, fewer: Fewer, tower: str = "vision") -> TokenPlan:
    """Which tokens survive on this picture."""
    import model_adapters as ma

    function: Callable[..., TokenPlan] = _method(fewer.method).function
    options = options_of(fewer)
    if fewer.look:
        options["look"] = lambda edits: ma.capture(subject.model, subject.inputs, edits=edits, want=WANTED)
    return function(subject.capture(WANTED), **options)


def options_of(fewer: Fewer) -> dict[str, Any]:
    """What the rule is told, beside how it looks again."""
    options: dict[str, Any] = {"layers": fewer.layers} if fewer.layers else {}
    if per_layer(fewer.method):
        options["schedule"] = tuple(int(a) if a >= 1 and knob(fewer.method, 2).label == "merge" else a for a in fewer.amounts)
    else:
        options["samples"] = int(fewer.amounts[0])
    return options


@dataclass(frozen=True, eq=False)
class Judgement:
    """What is left of the answers with fewer tokens, and with as many random ones."""

    judged: Judged
    random: Judged
    counts: np.ndarray
    """[S + 1] how many tokens are left, mean over pictures."""


def judge_tokens(model: Model, ids: Sequence[str], text: Text, fewer: Fewer, tower: str, progress: Progress) -> Judgement:
    """A plan for each picture of a set, run; and random tokens dropped to about the same counts."""
    before, after, random, labels, counts = [], [], [], [], []
    for number, id in enumerate(ids):
        progress.step(number / len(ids), f"scene {number + 1} of {len(ids)}")
        shown = picture(id)
        subject = subject_for(model, shown, text)
        made = plan(subject, fewer, tower)
        run = subject.run()
        before.append(run(())[0])
        after.append(run(made.edits)[0])
        random.append(run(_random_like(subject, made, number).edits)[0])
        labels.append(true_label(model, shown, text))
        counts.append(made.counts)
    known = None if any(label is None for label in labels) else np.array(labels, int)
    whole = np.stack(before)
    return Judgement(judge(whole, np.stack(after), known), judge(whole, np.stack(random), known), np.mean(counts, axis=0))


def _random_like(subject: Subject, made: TokenPlan, seed: int) -> TokenPlan:
    """Random tokens dropped so that each step leaves as many as a plan does."""
    from analysis.token_reduction import random_tokens
    from analysis.token_rows import patches_of

    kept = int((~patches_of(made.rows, len(made.rows))).sum())
    left = np.maximum(made.counts - kept, 1)
    rates = tuple(float(b) / float(a) for a, b in zip(left[:-1], left[1:], strict=True))
    layers = tuple(step.layer for step in made.steps)
    return random_tokens(subject.capture(WANTED), layers=layers, schedule=rates, seed=seed)


def cost_tokens(subject: Subject, fewer: Fewer, tower: str) -> Costs:
    """The whole model and the one with fewer tokens on this picture, several times over, measured through the same hooks."""
    made = plan(subject, fewer, tower)
    inputs, at_once = several(subject)
    whole, small = side_by_side(tapped(subject, inputs, ()), tapped(subject, inputs, made.edits), {})
    size = sum(p.numel() * p.element_size() for p in subject.model.module.parameters())
    return Costs(whole, small, at_once, (size, size), None)


def several(subject: Subject) -> tuple[Inputs, int]:
    """The picture as many times as a pass can be measured well with; once beside words."""
    import torch

    from model_adapters import Inputs

    tensors = subject.inputs.tensors
    if subject.kind != "vit" or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        return subject.inputs, 1
    count = affordable_at_once(subject.model.module, tensors)
    repeated = {name: value.expand(count, *value.shape[1:]) for name, value in tensors.items()}
    return Inputs(tensors=repeated, batch=count), count


def tapped(subject: Subject, inputs: Inputs, edits: tuple[Edit, ...]) -> Any:
    """The model under edits as a module without arguments: its tokens are really gone, the hooks that take them cost time."""
    from torch import nn

    import model_adapters as ma

    class Tapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = subject.model.module

        def forward(self) -> Any:
            return ma.run(subject.model, inputs, edits)

    return Tapped()


def strip(image: Image.Image, made: TokenPlan) -> list[tuple[Image.Image, str]]:
    """The picture after each step: dropped patches faded, merged ones in their common colour with a line around them."""
    from PIL import Image

    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    pixels = np.asarray(small)
    owner = _owners(made, (image.width, image.height), pixels.shape[:2])
    shown = [(small, f"{made.counts[0]} tokens")]
    for step, sources, count in zip(made.steps, made.sources[1:], made.counts[1:], strict=True):
        groups = np.where(owner >= 0, sources[owner], -2)
        shown.append(
            (Image.fromarray(_drawn(pixels, groups, np.bincount(sources[sources >= 0]))), f"layer {step.layer}: {count}")
        )
    return shown


def strip_drawn(image: Image.Image, made: TokenPlan) -> dict[str, Any]:
    """The same as one figure, as a plain dictionary of Plotly."""
    pictures = strip(image, made)
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"height": 240, "margin": {"l": 8, "r": 8, "t": 32, "b": 8}, "annotations": []}
    for number, (shown, said) in enumerate(pictures):
        own = "" if number == 0 else str(number + 1)
        data.append({"type": "image", "z": np.asarray(shown), "xaxis": f"x{own}", "yaxis": f"y{own}", "hoverinfo": "skip"})
        layout[f"xaxis{own}"] = {
            "visible": False, "range": [0, shown.width], "domain": [number / len(pictures), (number + 0.95) / len(pictures)],
        }  # fmt: skip
        layout[f"yaxis{own}"] = {"visible": False, "range": [shown.height, 0], "scaleanchor": f"x{own}", "constrain": "domain"}
        layout[f"yaxis{own}"] |= {"anchor": f"x{own}"}
        layout["annotations"].append(
            {"text": said, "x": 0, "y": 1, "xref": f"x{own}", "yref": f"y{own} domain", "showarrow": False, "yanchor": "bottom",
             "xanchor": "left"}
        )  # fmt: skip
    return {"data": data, "layout": layout}


def _owners(made: TokenPlan, size: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """[h, w] the first token that each pixel belongs to; -1 for none."""
    owner = np.full(shape, -1)
    scale = np.array([shape[1] / size[0], shape[0] / size[1]] * 2)
    for row in np.flatnonzero(made.rows.placed):
        x0, y0, x1, y1 = np.round(made.rows.boxes[row] * scale).astype(int)
        owner[y0:y1, x0:x1] = row
    return owner


def _drawn(pixels: np.ndarray, groups: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    found = pixels.astype(np.float64)
    for group in np.flatnonzero(sizes > 1):
        inside = groups == group
        if inside.any():
            found[inside] = found[inside].mean(0)
    found[groups == -1] = 255 * (1 - FADED) + FADED * found[groups == -1]
    apart = np.zeros(groups.shape, bool)
    apart[:, 1:] |= groups[:, 1:] != groups[:, :-1]
    apart[1:] |= groups[1:] != groups[:-1]
    found[apart & (groups >= 0)] = 0.55 * found[apart & (groups >= 0)]
    return found.astype(np.uint8)
