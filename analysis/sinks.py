"""Sink tokens: the few that grow large, or that everything else attends to, whatever the image shows.

Three ways to find them, which need not agree: by the norm of the hidden state, by the attention that they receive, and
by their massive dimensions. Each finds its threshold from the model at hand, because published ones are of one model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from analysis.massive import massive_dimensions
from analysis.registry import Range, method
from analysis.thresholds import Threshold, outlier_threshold
from analysis.token_rows import hidden_of, layer_key, layers_of, rows_of, some_patches_of, whole_attention_of
from model_adapters import Capture, Rows, Site


@dataclass(frozen=True, eq=False)
class TokenNorms:
    """The length of every hidden state."""

    values: np.ndarray
    """[L, B, N]; NaN where a layer has fewer tokens."""
    layers: tuple[int, ...]
    """[L] the layer whose input it is; the last entry is the output of the last layer."""
    rows: tuple[Rows | None, ...]
    """[L] what the tokens are, where it is known."""
    tower: str


@dataclass(frozen=True, eq=False)
class SinkTokens:
    """Which tokens stand out, by one score."""

    score: np.ndarray
    """[B, N] the number that tells them."""
    is_sink: np.ndarray
    """[B, N] bool."""
    threshold: Threshold
    rows: Rows | None
    label: str
    tower: str
    layer: int

    @property
    def share(self) -> float:
        """The share of tokens that are sinks."""
        return float(self.is_sink.mean())

    def of_image(self, image: int = 0) -> tuple[int, ...]:
        """The numbers of the sink tokens of one image, highest score first."""
        found = np.flatnonzero(self.is_sink[image])
        return tuple(int(i) for i in found[np.argsort(-self.score[image, found], kind="stable")])


@method(
    title="Norm of every token",
    kind="token",
    cites=("darcet2024",),
    needs={"hidden"},
    range="0 and above",
    misleads="Norms grow from layer to layer in pre-norm models; compare tokens within a layer, not layers.",
)
def token_norms(capture: Capture, *, tower: str = "vision") -> TokenNorms:
    """How long each token's hidden state is at the entry of each layer."""
    layers = layers_of(capture, tower)
    states = [hidden_of(capture, tower, layer) for layer in layers]
    count = max(s.shape[1] for s in states)
    values = np.full((len(layers), len(states[0]), count), np.nan, np.float32)
    for row, state in zip(values, states, strict=True):
        row[:, : state.shape[1]] = np.linalg.norm(state, axis=-1)
    rows = tuple(rows_of(capture, tower, n, s.shape[1]) for n, s in zip(layers, states, strict=True))
    return TokenNorms(values, layers, rows, tower)


@method(
    title="Sink tokens by norm",
    kind="token",
    cites=("darcet2024",),
    needs={"hidden"},
    range="norm above the median plus some median absolute deviations of the log norms",
    misleads="A threshold is always found: look at the histogram whether there are two groups at all.",
)
def sinks_by_norm(
    capture: Capture,
    *,
    tower: str = "vision",
    layer: int = -1,
    deviations: Annotated[float, Range(1, 20, 0.5)] = 6.0,
    threshold: float | None = None,
    among: Literal["patches", "all"] = "patches",
) -> SinkTokens:
    """Which tokens are much longer than the others of their layer, over all images of the capture."""
    norms = np.linalg.norm(hidden_of(capture, tower, layer), axis=-1)
    return _sinks(capture, norms, deviations, threshold, among, "norm", layer_key(capture, tower, layer))


@method(
    title="Sink tokens by attention received",
    kind="token",
    cites=("xiao2024",),
    needs={"weights", "square"},
    range="1 where all keys receive the same; at most the number of tokens",
    misleads="A token that shows the object may receive much too; compare over several images.",
)
def sinks_by_attention(
    capture: Capture,
    *,
    tower: str = "vision",
    layer: int = -1,
    deviations: Annotated[float, Range(1, 20, 0.5)] = 6.0,
    threshold: float | None = None,
    among: Literal["patches", "all"] = "patches",
) -> SinkTokens:
    """Which tokens receive much more attention than their share, averaged over heads and queries."""
    site = _site(capture, tower, layer)
    received = whole_attention_of(capture, site).mean((1, 2))
    return _sinks(capture, received * received.shape[1], deviations, threshold, among, "attention received", (tower, site.layer))


@method(
    title="Sink tokens by massive dimensions",
    kind="token",
    cites=("sun2024",),
    needs={"hidden"},
    range="magnitude of the largest massive dimension",
    misleads="Where the model has no massive dimension, nothing is a sink by this sign.",
)
def sinks_by_massive_dimensions(
    capture: Capture,
    *,
    tower: str = "vision",
    layer: int = -1,
    rule: Literal["published", "model"] = "model",
    deviations: Annotated[float, Range(1, 20, 0.5)] = 6.0,
    threshold: float | None = None,
    among: Literal["patches", "all"] = "patches",
) -> SinkTokens:
    """Which tokens carry the few dimensions whose magnitude dwarfs all others."""
    dims = massive_dimensions(capture, tower=tower, layer=layer, rule=rule)
    states = np.abs(hidden_of(capture, tower, layer))
    peaks = states[:, :, list(dims)].max(-1) if dims else np.zeros(states.shape[:2], np.float32)
    return _sinks(capture, peaks, deviations, threshold, among, "massive dimensions", layer_key(capture, tower, layer))


def _sinks(
    capture: Capture, score: np.ndarray, deviations: float, given: float | None, among: str, label: str, place: tuple[str, int]
) -> SinkTokens:
    rows = rows_of(capture, *place, score.shape[1])
    candidates = some_patches_of(rows, score.shape[1]) if among == "patches" else np.ones(score.shape[1], bool)
    threshold = outlier_threshold(score[:, candidates], deviations=deviations, given=given)
    return SinkTokens(score, (score > threshold.value) & candidates, threshold, rows, label, *place)


def _site(capture: Capture, tower: str, layer: int) -> Site:
    sites = [s for s in capture.sites if s.tower == tower]
    chosen = sites[-1:] if layer == -1 else [s for s in sites if s.layer == layer]
    if not chosen:
        raise ValueError(f"attention of {tower} layer {layer} is needed. The capture has layers {[s.layer for s in sites]}.")
    if capture.layouts[chosen[0]].windows != 1:
        raise ValueError(f"{chosen[0].name} attends within windows, so no token is seen by all others; norms work there.")
    return chosen[0]
