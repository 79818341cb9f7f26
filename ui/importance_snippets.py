"""The Python of one metric of the page Importance, on one picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ui import again, page
from ui.snippets import Shown, snippet_for

if TYPE_CHECKING:
    from ui.importance_asked import Asked


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


__all__ = ["of_metric"]
