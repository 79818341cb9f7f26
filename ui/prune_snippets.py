"""The Python of the page Prune: how heads were ranked, and what a setting costs the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ui import again
from ui.results.prune import Parts
from ui.results.prune_rank import RANKED_ON

if TYPE_CHECKING:
    from ui.prune_view import Bench

_EFFECT = ("import numpy as np", "from analysis.edit_effects import effect", "from model_adapters import Where")


def setting(bench: Bench, chosen: Any) -> str:
    """What the set's answers lose by heads, branches and layers that are off."""
    if not isinstance(chosen, Parts):
        return ""
    labels = None if bench.asked.labels is None else bench.asked.labels.tolist()
    lines = [
        "runs = [subject.run() for subject in subjects]",
        f"edits = {chosen.edits(bench.sites)!r}",
        "before, after = (np.concatenate([run(each) for run in runs]) for each in ((), edits))",
        f"shown = effect(before, after, {'None' if labels is None else f'np.array({labels})'})",
    ]
    imports = [*_EFFECT, "from model_adapters.edits import Gate, Skip"]
    return again.of_pictures((bench.name, bench.weights), bench.ids, bench.text, lines, imports)


def ranking(bench: Bench, metric: str) -> str:
    """How much every head matters, in the variable `shown` [L, H]."""
    chosen, tower = (bench.name, bench.weights), bench.sites[0].tower
    if metric == "exact":
        heads = [(site.layer, site.heads) for site in bench.sites]
        lines = [
            "runs = [subject.run() for subject in subjects]",
            "before = np.concatenate([run(()) for run in runs])",
            "", "",
            "def without(layer, head):",
            f"    off = (Gate(Where(tower={tower!r}, layers=(layer,), heads=(head,)), 0.0),)",
            "    return effect(before, np.concatenate([run(off) for run in runs])).kl",
            "", "",
            f"shown = [[without(layer, head) for head in range(heads)] for layer, heads in {heads}]",
        ]  # fmt: skip
        return again.of_pictures(chosen, bench.ids, bench.text, lines, [*_EFFECT, "from model_adapters.edits import Gate"])
    return again.of_pictures(chosen, bench.ids[:RANKED_ON], bench.text, _cheap(bench, metric, tower))


def _cheap(bench: Bench, metric: str, tower: str) -> list[str]:
    from ui.results.importance_metrics import BY_NAME

    found = BY_NAME[metric]
    options: dict[str, Any] = dict(found.options)
    if found.method == "weight_norms":
        module = options["module"]
        made = f"analysis.METHODS['weight_norms'].function(slices, module={module!r})"
        return [
            "from model_adapters.head_weights import head_weights", "",
            "slices = head_weights(model, subjects[0].inputs)", f"shown = {made}.values",
        ]  # fmt: skip
    if found.method == "gate_gradient":
        options["layer_normalised"] = False
    labels = None if bench.asked.labels is None else bench.asked.labels[:RANKED_ON].tolist()
    call = again.called(f"analysis.METHODS[{found.method!r}].function", "capture", tower=tower, **options)
    return [
        f"labels = {'[subject.predicted for subject in subjects]' if labels is None else labels}",
        "", "",
        "def log_probability(label):",
        "    return lambda logits: logits.float().reshape(-1, logits.shape[-1])[-1].log_softmax(-1)[label]",
        "", "",
        "captures = [",
        '    ma.capture(model, subject.inputs, want={"heads", "gradients"}, target=log_probability(label))',
        "    for subject, label in zip(subjects, labels)",
        "]",
        f"shown = sum({call}.values for capture in captures) / len(captures)",
    ]  # fmt: skip


__all__ = ["ranking", "setting"]
