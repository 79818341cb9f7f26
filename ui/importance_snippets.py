"""The Python of the page Importance: one metric on one picture, and what is made of all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ui import again, page
from ui.snippets import Shown, snippet_for

if TYPE_CHECKING:
    from ui.importance_asked import Asked
    from ui.results.importance_metrics import Importances

_OVER_SET = ("jobs import Progress", "results.heads import scene_ids", "results.importance import over_scenes")


def of_metric(asked: Asked, name: str) -> str:
    """Python that gives the same matrix; empty over a set, and where one picture is not enough."""
    import analysis
    from ui.results.importance_metrics import BY_NAME

    method, options = BY_NAME[name].again
    if not method or asked.over_set:
        return ""
    if "gradients" in analysis.find(method).needs:
        return _slopes(asked, method, dict(BY_NAME[name].options), BY_NAME[name].per_layer)
    return _of_method(asked, method, options)


def _of_method(asked: Asked, method: str, options: Mapping[str, Any]) -> str:
    if not asked.subject.said:
        return page.snippet_of(method, options)
    name, weights = asked.names
    shown = Shown(name, asked.picture.id, weights, asked.text, asked.label, asked.tower, said=asked.subject.said)
    return snippet_for(shown, method, options) or ""


def _slopes(asked: Asked, method: str, options: dict[str, Any], per_layer: bool) -> str:
    """Slopes are those of the log-probability of the class (the word): they are made of a capture that holds them."""
    if method == "gate_gradient":
        options["layer_normalised"] = per_layer
    lines = [
        "", "",
        "def log_probability(logits):",
        f"    return logits.float().reshape(-1, logits.shape[-1])[-1].log_softmax(-1)[{asked.label}]",
        "", "",
        'capture = ma.capture(model, subject.inputs, want={"heads", "gradients"}, target=log_probability)',
        f"shown = {again.called(f'analysis.METHODS[{method!r}].function', 'capture', tower=asked.tower, **options)}",
    ]  # fmt: skip
    return again.of_picture(asked.names, asked.picture.id, asked.text, lines, said=asked.subject.said)


def of_all(asked: Asked, result: Importances, lines: Sequence[str], imports: Sequence[str]) -> str:
    """Python that makes every metric again, as `found`, and goes on with these lines."""
    if asked.over_set:
        found = f"found = over_scenes(model, ids, {asked.text!r}, {asked.tower!r}, Progress())"
        whole = [*(f"from ui.{each}" for each in _OVER_SET), *imports]
        return again.of_model(asked.names, [f"ids = scene_ids({asked.scenes})", found, *lines], whole)
    given = f"model, subject, {int(asked.label)}, {asked.tower!r}"
    found, names = f"found = cheap({given})", "cheap"
    if result.names(exact=True):
        found, names = f"{found}.together(exact({given}, lambda share: None))", "cheap, exact"
    whole = [f"from ui.results.importance import {names}", *imports]
    return again.of_picture(asked.names, asked.picture.id, asked.text, [found, *lines], whole, asked.subject.said)


def of_agreement(asked: Asked, result: Importances, function: str, names: Sequence[str]) -> str:
    """How alike rankings are: "agreement" of all metrics, or "correlation" of each cheap one with its truth."""
    call = f"agreement(found, {list(names)!r})"
    if function == "correlation":
        call = f"[correlation(found, name) for name in {list(names)!r}]"
    return of_all(asked, result, [f"shown = {call}"], [f"from ui.results.importance_agreement import {function}"])


def of_classes(asked: Asked, result: Importances, name: str) -> str:
    """One metric, class by class."""
    lines = [f"shown = by_class(found, {name!r})"]
    return of_all(asked, result, lines, ["from ui.results.importance_agreement import by_class"])


def of_removal(asked: Asked, result: Importances, names: Sequence[str], measure: str, count: int) -> str:
    """Heads removed together, in the order of each metric, on the first pictures."""
    imports = ["from ui.jobs import Progress", "from ui.results.importance_agreement import removed"]
    subjects, found, lines = "[subject]", "found", []
    if asked.over_set:
        imports.append("from ui.pictures import picture")
        imports.append("from ui.results.heads import subject_for")
        lines.append(f"subjects = [subject_for(model, picture(id), {asked.text!r}) for id in ids[:{count}]]")
        subjects, found = "subjects", f"found.first({count})"
    lines.append(f"shown = removed({subjects}, {found}, {list(names)!r}, {measure!r}, Progress())")
    return of_all(asked, result, lines, imports)


__all__ = ["of_agreement", "of_all", "of_classes", "of_metric", "of_removal"]
