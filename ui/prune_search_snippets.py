"""The Python of the lower half of the page Prune: curves over budgets by several rankings, and the greedy search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ui import again, prune_snippets
from ui.results.prune_rank import METRICS, RANDOM_ORDERS, SHARES, Kind

if TYPE_CHECKING:
    from ui.prune_view import Bench

_SITES = "sites = tuple(site for site in model.report.seen if (site.tower, site.layer, site.call) in {places})"


def curves(bench: Bench, metrics: Sequence[str]) -> str:
    """What is left as growing shares of the heads go, by each ranking and by chance."""
    cheap = [metric for metric in metrics if metric != "exact"]
    tower = bench.sites[0].tower
    made = {m: prune_snippets.EXACT if m == "exact" else prune_snippets.averaged(m, tower) for m in metrics}
    label = "agreement" if bench.asked.labels is None else "accuracy"
    lines = [
        *prune_snippets.RUN,
        *(prune_snippets.exact(bench) if "exact" in metrics else ()),
        *(prune_snippets.seen(bench, cheap) if cheap else ()),
        "rankings = {",
        *(f"    {METRICS[metric]!r}: np.asarray({expression}, float)," for metric, expression in made.items()),
        "}",
        _SITES.format(places=[(site.tower, site.layer, site.call) for site in bench.sites]),
        f"truth = {prune_snippets.labels_of(bench)}",
        "", "",
        "def curve(values):",
        "    ranked = units_of(HeadMatrix(values, sites))",
        f"    return pruning_curve(run, lambda edits: ranked, shares={SHARES}, labels=truth)",
        "", "",
        "def accuracies(curves):",
        "    return np.array([[point.effect.accuracy for point in curve.points] for curve in curves])",
        "", "",
        "found = [curve(values) for values in rankings.values()]",
        "rng, first = np.random.default_rng(0), next(iter(rankings.values()))",
        "orders = [np.where(np.isnan(first), np.nan, rng.random(first.shape)) "
        f"for _ in range({RANDOM_ORDERS})]",
        "chance = [curve(values) for values in orders]",
        "steps = np.array([len(point.removed) for point in found[0].points])",
        f"shown = JointAblation(tuple(rankings), steps, accuracies(found), accuracies(chance), {label!r})",
    ]  # fmt: skip
    imports = [
        "import numpy as np", "from analysis.importance_results import JointAblation",
        "from analysis.pruning import pruning_curve, units_of", "from analysis.results import HeadMatrix",
        *prune_snippets.weighing(cheap),
    ]  # fmt: skip
    if "exact" in metrics:
        imports += ["from analysis.edit_effects import effect", "from model_adapters import Where"]
        imports += ["from model_adapters.edits import Gate"]
    return again.of_pictures((bench.name, bench.weights), bench.ids, bench.text, lines, imports)


def search(bench: Bench, target: float, kinds: Sequence[Kind]) -> str:
    """Take out what moves the answers least, until the sliced model needs this share of the operations."""
    tower = bench.sites[0].tower
    lines = [
        *prune_snippets.RUN,
        f"layers = {[(site.layer, site.heads) for site in bench.sites]}",
        "one = {name: value[:1] for name, value in subjects[0].inputs.tensors.items()}",
        "", "",
        "def operations(edits):",
        "    cut = cut_of(edits, len(model.module.blocks), max(heads for _, heads in layers))",
        "    return float(flops(slimmed(model.module, cut) if edits else model.module, one))",
        "", "",
        *_units(tower, kinds),
        f"truth = {prune_snippets.labels_of(bench)}",
        f"shown = greedy_search(run, units, operations, {target} * operations(()), labels=truth)",
    ]  # fmt: skip
    imports = [
        "import numpy as np", "from analysis.pruning import Unit, greedy_search",
        "from model_adapters.running_cost import flops", "from model_adapters.slimming import cut_of, slimmed",
    ]  # fmt: skip
    return again.of_pictures((bench.name, bench.weights), bench.ids, bench.text, lines, imports)


def _units(tower: str, kinds: Sequence[Kind]) -> list[str]:
    """Everything that may go."""
    heads = f"[Unit('head', layer, head, {tower!r}) for layer, heads in layers for head in range(heads)]"
    lines = [f"units = {heads if 'head' in kinds else '[]'}"]
    if whole := [kind for kind in kinds if kind != "head"]:
        lines.append(f"units += [Unit(kind, layer, -1, {tower!r}) for kind in {whole} for layer, _ in layers]")
    return lines


__all__ = ["curves", "search"]
