"""How much each head matters, computed: exactly, by silencing it, and cheaply; for one picture or a set of scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ui.jobs import Progress
from ui.results.heads import Text, each_subject, label_of, sites_of
from ui.results.importance_metrics import BY_NAME, CHEAP, EXACT, SCORE, Importances, Metric
from ui.results.windows import joined_windows

if TYPE_CHECKING:
    from analysis.importance_exact import Ablation
    from analysis.results import HeadMatrix
    from model_adapters import Capture, Model, Site, Subject


def cheap(model: Model, subject: Subject, label: int, tower: str) -> Importances:
    """All cheap metrics on one picture: one backward pass, and what is read off attention and weights."""
    import analysis
    import model_adapters as ma

    def log_probability(logits: Any) -> Any:
        return logits.float().reshape(len(logits), -1, logits.shape[-1])[:, -1].log_softmax(-1)[:, label].sum()

    if reason := subject.refusals.get("gradients"):
        raise ValueError(f"Importance is about an answer, and this model gives none. {reason}")
    seen = joined_windows(ma.capture(model, subject.inputs, want={"heads", "gradients"}, target=log_probability))
    sites = sites_of(model, tower)
    makers: dict[str, Callable[[Metric], HeadMatrix]] = {
        "head_contributions": lambda metric: _contributions(subject, label, tower),
        "weight_norms": lambda metric: _norms(model, subject, sites, dict(metric.options)["module"]),
        "gate_gradient": lambda metric: analysis.find("gate_gradient").function(
            seen, tower=tower, layer_normalised=False, **dict(metric.options)
        ),
    }

    def read_off(metric: Metric) -> HeadMatrix:
        return analysis.find(metric.method).function(seen, tower=tower, **dict(metric.options))

    return _collected(CHEAP, lambda metric: makers.get(metric.method, read_off)(metric), sites, label)


def _collected(
    metrics: Sequence[Metric], make: Callable[[Metric], HeadMatrix], sites: tuple[Site, ...], label: int
) -> Importances:
    """What can be made of these metrics, and the sentence for each that cannot."""
    from model_adapters import AdapterError

    each, refused = {}, {}
    for metric in metrics:
        try:
            each[metric.name] = _on_rows(make(metric), sites)[None]
        except (ValueError, AdapterError) as error:
            refused[metric.name] = str(error)
    return Importances(each, sites, np.array([label]), refused)


def _on_rows(matrix: HeadMatrix, sites: tuple[Site, ...]) -> np.ndarray:
    """[L, H] on the rows of the tower's head matrix."""
    if tuple((s.name, s.call) for s in matrix.sites) != tuple((s.name, s.call) for s in sites):
        raise ValueError(f"it says something of {len(matrix.sites)} of {len(sites)} layers only, so it ranks no heads.")
    return matrix.values


def _contributions(subject: Subject, label: int, tower: str) -> HeadMatrix:
    import analysis

    method = analysis.find("head_contributions")
    if reason := analysis.model_lacks(subject, method):
        raise ValueError(reason)
    if tower != "vision":
        raise ValueError(f"{method.why_not(method.needs - {'module'})} It is made for the tower that sees.")
    capture = subject.capture(method.needs & {"values", "heads", "hidden"}, None)
    from analysis.logit_attribution import Readout

    parts = subject.readout(label)
    readout = Readout(**{f.name: getattr(parts, f.name) for f in fields(Readout) if f.name != "tower"})
    return method.function(capture, readout)


def _norms(model: Model, subject: Subject, sites: tuple[Site, ...], module: str) -> HeadMatrix:
    from analysis.importance_free import weight_norms
    from model_adapters.head_weights import head_weights

    found = head_weights(model, subject.inputs)
    here = {site: found[site] for site in sites if site in found}
    return weight_norms(here, module=module)  # type: ignore[arg-type]


def exact(model: Model, subject: Subject, label: int, tower: str, progress: Callable[[float], None]) -> Importances:
    """Every exact metric on one picture: each head of the tower is silenced in turn."""
    import model_adapters as ma
    from analysis.importance_exact import ablation_importance

    if reason := subject.refusals.get("logits"):
        raise ValueError(f"Importance is about an answer, and this model gives none. {reason}")
    sites, labels = sites_of(model, tower), np.array([label])
    ablation = _ablation(model, subject, sites, progress)
    seen = ma.capture(model, subject.inputs, keep=ma.Keep(queries=(0,)))

    def make(metric: Metric) -> HeadMatrix:
        if metric.method == "layer_change":
            return _layer_change(ablation, seen, dict(metric.options)["tokens"])
        if metric.name == SCORE:
            return _score_drop(ablation, label)
        return ablation_importance(ablation, labels, measure=metric.name)  # type: ignore[arg-type]

    found = _collected(EXACT, make, sites, label)
    note = getattr(ablation, "note", "each head was masked in a full pass")
    return Importances(found.each, sites, labels, found.refused, note)


def _ablation(model: Model, subject: Subject, sites: tuple[Site, ...], progress: Callable[[float], None]) -> Ablation:
    """A plain tower's blocks are run by hand; of other models only this tower's heads are masked, one pass each."""
    import model_adapters as ma
    from analysis.importance_exact import masked

    if model.kind == "vit":
        return ma.ablate(model, subject.inputs)
    return masked(subject.run(), sites, progress)


def _layer_change(ablation: Ablation, seen: Capture, tokens: str) -> HeadMatrix:
    from analysis.importance_exact import layer_change

    layout = seen.layouts[seen.sites[0]]
    if not ablation.moved:
        raise ValueError("how far a layer's output moves is measured in towers that are run on their own.")
    if layout.windows > 1:
        raise ValueError("layers of windows put their tokens in another order than their output.")
    return layer_change(ablation, tuple(layout.queries.roles), tokens=tokens)  # type: ignore[arg-type]


def _score_drop(ablation: Ablation, label: int) -> HeadMatrix:
    from analysis.results import HeadMatrix

    return HeadMatrix((ablation.base[:, label] - ablation.logits[..., label]).mean(-1), ablation.sites, signed=True)


def over_scenes(model: Model, ids: Sequence[str], text: Text, tower: str, progress: Progress) -> Importances:
    """Every metric over a set of scenes, about the right class where the model knows it."""
    parts = []
    for number, (picture, subject) in enumerate(each_subject(model, ids, text, progress)):
        label = label_of(model, picture, text, subject)

        def within(share: float, done: int = number) -> None:
            progress.step((done + share) / len(ids))

        parts.append(cheap(model, subject, label, tower).together(exact(model, subject, label, tower, within)))
    names = [n for n in BY_NAME if all(n in part.each for part in parts)]
    each = {n: np.concatenate([part.each[n] for part in parts]) for n in names}
    labels = np.concatenate([part.labels for part in parts])
    refused = {n: reason for part in parts for n, reason in part.refused.items() if n not in each}
    return Importances(each, parts[0].sites, labels, refused, parts[0].note)


def exact_seconds(model: Model, tower: str, one_pass: float) -> float:
    """About how long the exact metrics take on one picture, given the seconds of one pass."""
    heads = sum(site.heads for site in (model.report.seen if model.kind == "vit" else sites_of(model, tower)))
    # Blocks that are run by hand start at the silenced head's layer, so half of the work falls away.
    return one_pass * heads * (0.5 if model.kind == "vit" else 1.0)
