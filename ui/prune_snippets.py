"""The Python of the page Prune: how heads were ranked, and what a setting, or fewer tokens, costs the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ui import again
from ui.results import tokens
from ui.results.importance_metrics import BY_NAME
from ui.results.prune import Parts
from ui.results.prune_rank import RANKED_ON
from ui.results.tokens import Fewer

if TYPE_CHECKING:
    from ui.prune_view import Bench

_EFFECT = ("import numpy as np", "from analysis.edit_effects import effect", "from model_adapters import Where")


def setting(bench: Bench, chosen: Any) -> str:
    """What the set's answers lose by heads, branches and layers that are off, or by fewer tokens."""
    if isinstance(chosen, Fewer):
        return _fewer(bench, chosen)
    if not isinstance(chosen, Parts):
        return ""
    lines = [
        "runs = [subject.run() for subject in subjects]",
        f"edits = {chosen.edits(bench.sites)!r}",
        "before, after = (np.concatenate([run(each) for run in runs]) for each in ((), edits))",
        f"shown = effect(before, after, {labels_of(bench)})",
    ]
    imports = [*_EFFECT, "from model_adapters.edits import Gate, Skip"]
    return again.of_pictures((bench.name, bench.weights), bench.ids, bench.text, lines, imports)


def plan(bench: Bench, picture: str, fewer: Fewer) -> str:
    """Which tokens survive on one picture."""
    lines = [*_planning(bench, fewer), "shown = plan_of(subject)"]
    return again.of_picture((bench.name, bench.weights), picture, bench.text, lines)


def _fewer(bench: Bench, fewer: Fewer) -> str:
    lines = [
        *_planning(bench, fewer),
        "before = np.concatenate([subject.run()(()) for subject in subjects])",
        "after = np.concatenate([subject.run()(plan_of(subject).edits) for subject in subjects])",
        f"shown = effect(before, after, {labels_of(bench)})",
    ]
    return again.of_pictures((bench.name, bench.weights), bench.ids, bench.text, lines, _EFFECT[:2])


def _planning(bench: Bench, fewer: Fewer) -> list[str]:
    """A function: the plan of one subject."""
    given = ("capture()", *(("look=capture",) if fewer.look else ()))
    return [
        "", "",
        "def plan_of(subject):",
        "    def capture(edits=()):",
        f"        return ma.capture(model, subject.inputs, edits=edits, want={tuple(sorted(tokens.WANTED))})",
        "",
        f"    return {again.called(f'analysis.METHODS[{fewer.method!r}].function', *given, **tokens.options_of(fewer))}",
        "", "",
    ]  # fmt: skip


def labels_of(bench: Bench) -> str:
    """The right answers as Python; "None" where they are unknown."""
    labels = bench.asked.labels
    return "None" if labels is None else f"np.array({labels.tolist()})"


def ranking(bench: Bench, metric: str) -> str:
    """How much every head matters, in the variable `shown` [L, H]."""
    chosen = bench.name, bench.weights
    if metric == "exact":
        lines = [*RUN, *exact(bench), f"shown = {EXACT}"]
        return again.of_pictures(chosen, bench.ids, bench.text, lines, [*_EFFECT, "from model_adapters.edits import Gate"])
    lines = [*seen(bench, [metric]), f"shown = {averaged(metric, bench.sites[0].tower)}"]
    return again.of_pictures(chosen, bench.ids[:RANKED_ON], bench.text, lines, weighing([metric]))


RUN = [
    "runs = [subject.run() for subject in subjects]",
    "", "",
    "def run(edits):",
    "    return np.concatenate([run(edits) for run in runs])",
    "", "",
]  # fmt: skip
"""A function: edits to the answers of the whole set."""
EXACT = "[[without(layer, head) for head in range(heads)] for layer, heads in layers]"


def exact(bench: Bench) -> list[str]:
    """A function, behind `RUN`: how far the answers move without one head; and the layers with their heads."""
    return [
        "before = run(())",
        "", "",
        "def without(layer, head):",
        f"    off = Gate(Where(tower={bench.sites[0].tower!r}, layers=(layer,), heads=(head,)), 0.0)",
        "    return effect(before, run((off,))).kl",
        "", "",
        f"layers = {[(site.layer, site.heads) for site in bench.sites]}",
    ]  # fmt: skip


def weighing(metrics: Sequence[str]) -> list[str]:
    """The import that rankings by weights need."""
    needed = any(BY_NAME[metric].method == "weight_norms" for metric in metrics)
    return ["from model_adapters.head_weights import head_weights"] if needed else []


def seen(bench: Bench, metrics: Sequence[str]) -> list[str]:
    """What cheap rankings read: weights, and captures of the first pictures."""
    weighed = {metric for metric in metrics if BY_NAME[metric].method == "weight_norms"}
    lines = ["slices = head_weights(model, subjects[0].inputs)"] if weighed else []
    if weighed == set(metrics):
        return lines
    labels = None if bench.asked.labels is None else bench.asked.labels[:RANKED_ON].tolist()
    return [
        *lines,
        f"labels = {'[subject.predicted for subject in subjects]' if labels is None else labels}",
        "", "",
        "def log_probability(label):",
        "    return lambda logits: logits.float().reshape(-1, logits.shape[-1])[-1].log_softmax(-1)[label]",
        "", "",
        "captures = [",
        '    ma.capture(model, subject.inputs, want={"heads", "gradients"}, target=log_probability(label))',
        f"    for subject, label in zip(subjects[:{RANKED_ON}], labels)",
        "]",
    ]  # fmt: skip


def averaged(metric: str, tower: str) -> str:
    """An expression: [L, H] over the first pictures."""
    found = BY_NAME[metric]
    options: dict[str, Any] = dict(found.options)
    if found.method == "weight_norms":
        return again.called("analysis.METHODS['weight_norms'].function", "slices", **options) + ".values"
    if found.method == "gate_gradient":
        options["layer_normalised"] = False
    call = again.called(f"analysis.METHODS[{found.method!r}].function", "capture", tower=tower, **options)
    return f"sum({call}.values for capture in captures) / len(captures)"


__all__ = ["EXACT", "RUN", "averaged", "exact", "labels_of", "plan", "ranking", "seen", "setting", "weighing"]
