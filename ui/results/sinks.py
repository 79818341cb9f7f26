"""What the page Sinks shows of one picture: which tokens stand out, layer by layer, by three signs, and how clearly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ui.jobs import Progress
from ui.results.token_names import token_name
from ui.results.windows import joined_windows

if TYPE_CHECKING:
    from analysis.sinks import SinkTokens
    from model_adapters import Capture, Subject

Sign = Literal["attention", "norm", "massive"]
SIGNS: Mapping[Sign, str] = {"attention": "attention received", "norm": "norm", "massive": "massive dimensions"}
UNITS: Mapping[Sign, str] = {
    "attention": "attention received (1 = an even share)",
    "norm": "norm of the hidden state",
    "massive": "largest massive dimension",
}
METHODS: Mapping[Sign, str] = {
    "attention": "sinks_by_attention",
    "norm": "sinks_by_norm",
    "massive": "sinks_by_massive_dimensions",
}
"""The registered method of each sign."""
LEAST: Mapping[Sign, float] = {"attention": 10.0, "norm": 3.0, "massive": 10.0}
"""So many even shares (attention) or medians (norm, massive dimensions) a sink has at least: our definition. The threshold
found from the numbers alone is not enough, because one is always found."""
BASES: Mapping[Sign, str] = {"attention": "an even share", "norm": "the median patch", "massive": "the median patch"}


def look(subject: Subject) -> Capture:
    """Hidden states of all layers and the attention averaged over heads: all that the three signs read."""
    import model_adapters as ma

    return joined_windows(ma.capture(subject.model, subject.inputs, keep=ma.Keep(heads="mean"), want=("hidden",)))


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer by one sign."""

    number: int
    title: str
    sign: Sign
    found: SinkTokens
    """With the threshold that is used."""
    automatic: float
    """The threshold found from the numbers alone."""
    base: float
    """What the scores are compared with: an even share, or the median patch."""
    patches: np.ndarray
    """[P] the rows that are patches."""

    @property
    def scores(self) -> np.ndarray:
        """[P] of the patches."""
        return self.found.score[0][self.patches]

    @property
    def peak(self) -> float:
        """The highest patch in units of the base."""
        return float(self.scores.max() / max(self.base, 1e-12))

    @property
    def sinks(self) -> tuple[int, ...]:
        """The rows above the threshold, highest first."""
        return self.found.of_image()

    @property
    def uneven(self) -> int:
        """How many patches lie above the threshold that was found from the numbers alone."""
        return int((self.scores > self.automatic).sum())


def towers_of(capture: Capture) -> tuple[str, ...]:
    """The towers in which patches of the picture attend, the one that sees first."""
    found = dict.fromkeys(
        site.tower for site in capture.sites if len(capture.layouts[site].queries.where("patch", "image"))
    )  # fmt: skip
    return tuple(sorted(found, key=lambda tower: tower != "vision"))


def layers(
    capture: Capture, sign: Sign, *, tower: str = "vision", deviations: float = 6.0, multiple: float | None = None
) -> list[Layer]:
    """Every layer that can be judged by one sign.

    Args:
        capture: from `look`.
        sign: what tells a sink.
        tower: where.
        deviations: of the threshold that is found.
        multiple: the threshold by hand instead, in units of the base.

    Raises:
        ValueError: where no layer can be judged by this sign, with the reason.
    """
    from analysis.token_rows import layers_of

    numbers = layers_of(capture, tower)
    if sign == "attention":
        numbers = tuple(n for n in numbers if n in {s.layer for s in capture.sites if s.tower == tower})
    made: list[Layer] = []
    reasons: list[str] = []
    for number in numbers:
        try:
            made.append(layer_by(capture, sign, number, tower=tower, deviations=deviations, multiple=multiple))
        except ValueError as error:
            reasons.append(str(error))
    if not made:
        raise ValueError(reasons[0] if reasons else f"The {tower} tower has no layer that can be looked at.")
    return made


def layer_by(
    capture: Capture, sign: Sign, number: int, *, tower: str, deviations: float = 6.0, multiple: float | None = None
) -> Layer:
    """One layer by one sign; the threshold is the higher one of what is found and of `LEAST`, or the one given."""
    from analysis.token_rows import some_patches_of

    first = _sinks(capture, sign, tower, number, deviations, None)
    patches = np.flatnonzero(some_patches_of(first.rows, first.score.shape[1]))
    base = 1.0 if sign == "attention" else float(np.median(first.score[0][patches]))
    used = multiple * base if multiple is not None else max(first.threshold.value, LEAST[sign] * base)
    found = _sinks(capture, sign, tower, number, deviations, used)
    after = (tower, number) not in {(s.tower, s.layer) for s in capture.sites}
    title = f"after layer {number - 1}" if after else f"layer {number}"
    return Layer(number, title, sign, found, first.threshold.value, base, patches)


def _sinks(capture: Capture, sign: Sign, tower: str, layer: int, deviations: float, threshold: float | None) -> SinkTokens:
    from analysis import sinks

    return getattr(sinks, METHODS[sign])(capture, tower=tower, layer=layer, deviations=deviations, threshold=threshold)


def first_shown(found: list[Layer]) -> int:
    """The position of the layer in which a patch stands out most."""
    return int(np.argmax([layer.scores.max() / max(layer.found.threshold.value, 1e-12) for layer in found]))


def verdict(layer: Layer) -> str:
    """One or two sentences: is there a sink here, and how clear is it?"""
    what = f"{_VERBS[layer.sign]} {number(layer.peak)} times {BASES[layer.sign]}"
    if layer.sign == "massive" and not layer.scores.any():
        return f"**No massive dimension in {layer.title}.** No dimension stands out, so nothing is a sink by this sign."
    if layer.sinks:
        return f"**Yes, in {layer.title}, by {SIGNS[layer.sign]}: {places(layer)}.** The highest patch {what}."
    uneven = ""
    if layer.uneven:
        uneven = f" {_patches(layer.uneven)} above what is usual here, but that is unevenness, not a place to park."
    return f"**No sink in {layer.title} by {SIGNS[layer.sign]}.** The highest patch {what}.{uneven}"


_VERBS: Mapping[Sign, str] = {"attention": "receives", "norm": "is", "massive": "carries"}


def number(value: float) -> str:
    """1.4, 58."""
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def places(layer: Layer, most: int = 3) -> str:
    """Where the sinks of a layer lie, in words."""
    shown = "; ".join(token_name(layer.found.rows, row) for row in layer.sinks[:most])
    return shown + (f"; {len(layer.sinks) - most} more" if len(layer.sinks) > most else "")


def _patches(count: int) -> str:
    return "One patch lies" if count == 1 else f"{count} patches lie"


def over_layers(found: list[Layer]) -> str:
    """Which of all layers have a sink, and in which it is strongest; empty where none has."""
    having = [layer for layer in found if layer.sinks]
    if not having:
        return ""
    named = ", ".join(layer.title for layer in having)
    top = max(having, key=lambda layer: layer.peak)
    where = token_name(top.found.rows, top.sinks[0])
    return (
        f"{len(having)} of {len(found)} layers have a sink by {SIGNS[top.sign]}: {named}. It is strongest in {top.title}: "
        f"{where} {_VERBS[top.sign]} {number(top.peak)} times {BASES[top.sign]}."
    )


def none_anywhere(found: list[Layer], name: str) -> str:
    """What is said of a model in which no layer has a sink; empty where one has."""
    if any(layer.sinks for layer in found):
        return ""
    return f"No layer has a sink on this picture by {SIGNS[found[0].sign]}: {name} parks nothing here."


@dataclass(frozen=True)
class SignRow:
    """One sign in one layer."""

    sign: Sign
    tokens: tuple[int, ...]
    threshold: float
    peak: float
    refused: str = ""


def agreement(
    capture: Capture, layer: int, *, tower: str, deviations: float = 6.0
) -> tuple[list[SignRow], dict[tuple[Sign, Sign], float | None]]:
    """What each sign finds in one layer, and which share of what either of two finds both find (None: neither finds any)."""
    rows: list[SignRow] = []
    for sign in SIGNS:
        try:
            one = layer_by(capture, sign, layer, tower=tower, deviations=deviations)
            rows.append(SignRow(sign, one.sinks, one.found.threshold.value, one.peak))
        except ValueError as error:
            rows.append(SignRow(sign, (), float("nan"), float("nan"), str(error)))
    shared: dict[tuple[Sign, Sign], float | None] = {}
    for first, second in combinations([row for row in rows if not row.refused], 2):
        either, both = set(first.tokens) | set(second.tokens), set(first.tokens) & set(second.tokens)
        shared[first.sign, second.sign] = len(both) / len(either) if either else None
    return rows, shared


def massive_table(capture: Capture, layer: int, *, tower: str, top: int = 6) -> list[dict[str, Any]]:
    """The largest scalars of one layer's hidden states, and which of their dimensions stand out."""
    from analysis.massive import massive_activations, massive_dimensions
    from analysis.token_rows import hidden_of, rows_of

    found = massive_activations(capture, tower=tower, top=top)
    at = found.layers.index(layer)
    own = massive_dimensions(capture, tower=tower, layer=layer)
    rows = rows_of(capture, tower, layer, hidden_of(capture, tower, layer).shape[1])
    return [
        {
            "dimension": int(found.dims[at, i]),
            "value": float(found.values[at, i]),
            "times median": float(found.ratios[at, i]),
            "token": token_name(rows, int(found.tokens[at, i])),
            "stands out": bool(found.dims[at, i] in own),
            "published rule": bool(found.is_massive[at, i]),
        }
        for i in range(found.dims.shape[1])
    ]


def class_attention(
    capture: Capture, number: int, mode: str, sinks: tuple[int, ...], *, tower: str
) -> tuple[np.ndarray, np.ndarray]:
    """The class token's attention in one layer as it is, without the sinks, or relative: (values, boxes)."""
    from analysis.position_artefact import cleaned_attention
    from analysis.token_rows import rows_of

    site = next(s for s in capture.sites if s.tower == tower and s.layer == number)
    layout = capture.layouts[site]
    has_class = bool(len(layout.queries.where("class")))
    if not has_class and mode == "relative":
        raise ValueError(
            "Relative maps divide the class token's attention by what each patch receives; this model has no class token."
        )
    if rows_of(capture, tower, number, len(layout.queries)) is None or layout.windows != 1:
        raise ValueError(f"{site.name} attends within windows, so no row sees the whole picture. The norms work there.")
    made = cleaned_attention(capture, site, sinks=sinks, mode=mode, query="class" if has_class else "mean")  # type: ignore[arg-type]
    return made.values, made.rows.boxes


def seen(subject: Subject, progress: Progress) -> Capture:
    """What one picture shows, with the places of the tokens."""
    progress.step(0.05, "running the model")
    capture = look(subject)
    progress.step(0.7, "finding out where the tokens lie")
    _ = capture.layouts[capture.sites[0]]
    return capture
