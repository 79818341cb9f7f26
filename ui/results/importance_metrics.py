"""The ways to say how much a head matters, and what they say of every head of one picture or a set.

A cheap metric is held to the exact effect that it can predict. One with a sign (gate times gradient of the log-probability)
guesses by how much the loss rises. One without a sign can only say that the answer moves: the Jensen-Shannon distance. A
direct contribution guesses by how much the class's score falls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ui.results.heads import averaged

if TYPE_CHECKING:
    from analysis.results import HeadMatrix
    from model_adapters import Site

LOSS: Final = "loss change"
ANSWER: Final = "Jensen-Shannon distance"
SCORE: Final = "score drop"
"""The exact effects that cheap metrics are held to."""
MEASURES = (LOSS, ANSWER, "probability drop", "rank change", "flip")
"""What `analysis.ablation_importance` can state."""


_EXACT = "ablation_importance"


@dataclass(frozen=True)
class Metric:
    """One way to say how much a head matters."""

    name: str
    title: str
    short: str
    """For axes."""
    method: str
    """The registered method."""
    truth: str = ""
    """Name of the exact metric that it is fairly compared with; empty for exact ones."""
    signed: bool = False
    unit: str = ""
    options: tuple[tuple[str, Any], ...] = ()
    per_layer: bool = False
    """Brought to length 1 in each layer after averaging, as Michel et al. do."""

    @property
    def is_exact(self) -> bool:
        """Measured by silencing heads."""
        return not self.truth

    @property
    def heading(self) -> str:
        """The title where the place says what is exact."""
        told = self.title.removeprefix("Exact: ")
        return told[:1].upper() + told[1:]

    @property
    def again(self) -> tuple[str, dict[str, Any]]:
        """The method and the options that make it again for one picture; no method where the library has none."""
        if self.method == _EXACT:
            return (_EXACT, {"measure": self.name}) if self.name in MEASURES else ("", {})
        return self.method, dict(self.options)


_SLOPE = "gate_gradient"
_OF_CLASS = (("rows", "class"),)
_LAYER, _NORM = "layer_change", "weight_norms"
METRICS: tuple[Metric, ...] = (
    Metric(LOSS, "Exact: rise of the loss", "loss", _EXACT, signed=True, unit="nats"),
    Metric(ANSWER, "Exact: change of the answer", "answer", _EXACT),
    Metric("probability drop", "Exact: fall of the probability", "probability", _EXACT, signed=True),
    Metric(SCORE, "Exact: fall of the score", "score", _EXACT, signed=True),
    Metric("rank change", "Exact: ranks lost", "ranks", _EXACT, signed=True, unit="ranks"),
    Metric("flip", "Exact: share of answers that change", "flips", _EXACT),
    Metric("layer class", "Exact: change of its layer's class token", "layer, class", _LAYER, options=(("tokens", "class"),)),
    Metric("layer patches", "Exact: change of its layer's patches", "layer, patches", _LAYER, options=(("tokens", "patches"),)),
    Metric("gate_times_gradient", "Gate × gradient", "gate × gradient", "gate_times_gradient", LOSS, True, "nats"),
    Metric(_SLOPE, "Gate gradient per token", "slope per token", _SLOPE, ANSWER, options=(("per", "token"),)),
    Metric("slope_layer", "Gate gradient, layer normalised", "slope, normalised", _SLOPE, ANSWER, per_layer=True),
    Metric("slope_gate", "Gate gradient per gate", "slope per gate", _SLOPE, ANSWER, options=(("per", "gate"),)),
    Metric("squared_gradient", "Squared gate gradient", "squared slope", "squared_gradient", ANSWER),
    Metric("head_contributions", "Direct contribution to the score", "direct", "head_contributions", SCORE, True, "score"),
    Metric("confidence", "Confidence", "confidence", "confidence", ANSWER),
    Metric("confidence_class", "Confidence of the class token", "confidence, class", "confidence", ANSWER, options=_OF_CLASS),
    Metric("norm_output", "Weight norm, output", "norm, output", _NORM, ANSWER, options=(("module", "output"),)),
    Metric("norm_value", "Weight norm, value", "norm, value", _NORM, ANSWER, options=(("module", "value"),)),
)
BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}
EXACT = tuple(metric for metric in METRICS if metric.is_exact)
CHEAP = tuple(metric for metric in METRICS if not metric.is_exact)
SHOWN = (LOSS, "gate_times_gradient")
"""What stands side by side before anything is chosen."""
COMPARED = (LOSS, "gate_times_gradient", "gate_gradient", "squared_gradient", "confidence")
"""What heads are removed by before anything is chosen."""


@dataclass(frozen=True, eq=False)
class Importances:
    """Every metric on every picture of a set (or on one)."""

    each: Mapping[str, np.ndarray]
    """Metric's name -> [B, L, H]."""
    sites: tuple[Site, ...]
    """[L]."""
    labels: np.ndarray
    """[B] the classes that it is about."""
    refused: Mapping[str, str]
    """Metric's name -> why it is missing."""
    note: str = ""
    """How the exact ones were made."""
    _made: dict[str, HeadMatrix] = field(default_factory=dict, repr=False)

    def matrix(self, name: str) -> HeadMatrix:
        """A metric over all pictures, with intervals where there are several."""
        if name not in self._made:
            metric = BY_NAME[name]
            found = averaged(self.each[name], self.sites, signed=metric.signed, label=metric.title, unit=metric.unit)
            self._made[name] = _per_layer(found) if metric.per_layer else found
        return self._made[name]

    def names(self, *, exact: bool | None = None) -> list[str]:
        """The metrics that are there."""
        return [m.name for m in METRICS if m.name in self.each and exact in (None, m.is_exact)]

    def first(self, count: int) -> Importances:
        """The same metrics, but with the labels of the first pictures only: heads stay ordered by all of them."""
        made = {name: self.matrix(name) for name in self.each}
        return replace(self, labels=self.labels[:count], _made=made)

    def together(self, other: Importances) -> Importances:
        """Both, for the same pictures."""
        refused = {**self.refused, **other.refused}
        return Importances({**self.each, **other.each}, self.sites, self.labels, refused, self.note or other.note)


def _per_layer(matrix: HeadMatrix) -> HeadMatrix:
    length = np.sqrt(np.nansum(matrix.values**2, axis=1, keepdims=True)) + 1e-20
    return replace(matrix, values=matrix.values / length, low=None, high=None)
