"""Sink tokens: the few that grow large, or that everything else attends to, whatever the image shows.

Three ways to find them, which need not agree: by the norm of the hidden state, by the attention that they receive, and
by their massive dimensions. Each finds its threshold from the model at hand, because published ones are of one model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np

from analysis.massive import massive_dimensions
from analysis.registry import Range, method
from analysis.thresholds import Threshold, outlier_threshold
from analysis.token_rows import hidden_of, layer_key, layers_of, patches_of, rows_of, some_patches_of, whole_attention_of
from model_adapters import Capture, Rows, Site

LEAST = 10.0
"""So many even shares of attention a token must receive to be a sink where many layers are looked through (our definition): a
threshold found from the numbers alone finds some token in nearly every layer."""


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
    """Of several layers the one in which a token stands out most; threshold and rows are those of this layer."""
    by_layer: tuple[SinkTokens, ...] = ()
    """Each layer by itself, where several were looked through; score is then the highest of any layer."""

    @property
    def share(self) -> float:
        """The share of tokens that are sinks."""
        return float(self.is_sink.mean())

    def of_image(self, image: int = 0) -> tuple[int, ...]:
        """The numbers of the sink tokens of one image, highest score first."""
        found = np.flatnonzero(self.is_sink[image])
        return tuple(int(i) for i in found[np.argsort(-self.score[image, found], kind="stable")])

    def layers_of(self, token: int, image: int = 0) -> tuple[int, ...]:
        """The layers in which a token of one image is a sink."""
        return tuple(each.layer for each in self.by_layer or (self,) if each.is_sink[image, token])


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
    misleads="A token that shows the object may receive much too; compare over several images, and see in which layers it is.",
)
def sinks_by_attention(
    capture: Capture,
    *,
    tower: str = "vision",
    layer: int | None = None,
    deviations: Annotated[float, Range(1, 20, 0.5)] = 6.0,
    threshold: float | None = None,
    least: float | None = None,
    among: Literal["patches", "all"] = "patches",
) -> SinkTokens:
    """Which tokens receive much more attention than their share, averaged over heads and queries.

    Args:
        capture: with the weights.
        tower: which tower.
        layer: one layer, -1 for the last; by default all layers are looked through, as a patch may be a sink in the first alone.
        deviations: of the threshold that is found in each layer.
        threshold: the threshold by hand instead.
        least: so many times its share a sink must receive beside; 10 where all layers are looked through, and nothing in one.
        among: which tokens can be sinks.
    """
    if layer is not None:
        return _sinks_of_site(capture, _site(capture, tower, layer), deviations, threshold, least or 0.0, among)
    given = LEAST if least is None else least
    found = tuple(_sinks_of_site(capture, s, deviations, threshold, given, among) for s in whole_sites(capture, tower))
    score = np.stack([each.score for each in found])
    excess = [each.score.max(where=_candidates(each, among), initial=0) / max(each.threshold.value, 1e-12) for each in found]
    strongest = found[int(np.argmax(excess))]
    return replace(strongest, score=score.max(0), is_sink=np.any([each.is_sink for each in found], axis=0), by_layer=found)


def whole_sites(capture: Capture, tower: str) -> tuple[Site, ...]:
    """The attentions of a tower in which every token of one set sees all of that set: those of the last such layer.

    Layers in windows, or with other tokens, are left out.
    """
    last = next((s for s in reversed(capture.sites) if s.tower == tower and _is_whole(capture, s)), None)
    if last is None:
        return (_site(capture, tower, -1),)
    tokens = capture.shapes[last][1:]
    return tuple(s for s in capture.sites if s.tower == tower and _is_whole(capture, s) and capture.shapes[s][1:] == tokens)


@dataclass(frozen=True)
class Parking:
    """The patch that receives most beyond its share of the attention, of all layers."""

    token: int
    layer: int
    times: float
    """How many times its share it receives, averaged over heads and queries."""


def strongest_parking(capture: Capture, *, tower: str = "vision", image: int = 0) -> Parking | None:
    """The patch that receives most beyond its share in any layer, of one picture of the capture; None where no patch attends."""
    best: Parking | None = None
    for site in whole_sites(capture, tower):
        received = received_attention(capture, site)[image]
        rows = rows_of(capture, tower, site.layer, len(received))
        patches = np.flatnonzero(patches_of(rows, len(received)))
        if len(patches):
            token = int(patches[np.argmax(received[patches])])
            if best is None or received[token] > best.times:
                best = Parking(token, site.layer, float(received[token]))
    return best


def received_attention(capture: Capture, site: Site) -> np.ndarray:
    """[B, K]: how many times its share each token receives, averaged over heads and queries; 1 where all receive the same."""
    received = whole_attention_of(capture, site).mean((1, 2))
    return received * received.shape[1]


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


def _sinks_of_site(
    capture: Capture, site: Site, deviations: float, given: float | None, least: float, among: str
) -> SinkTokens:
    place = (site.tower, site.layer)
    found = _sinks(capture, received_attention(capture, site), deviations, given, among, "attention received", place)
    if found.threshold.given or found.threshold.value >= least:
        return found
    return replace(found, is_sink=found.is_sink & (found.score > least), threshold=replace(found.threshold, value=least))


def _candidates(found: SinkTokens, among: str) -> np.ndarray:
    count = found.score.shape[1]
    return patches_of(found.rows, count) if among == "patches" else np.ones(count, bool)


def _is_whole(capture: Capture, site: Site) -> bool:
    return site.kind != "factorised" and capture.layouts[site].windows == 1 and capture.layouts[site].square


def _site(capture: Capture, tower: str, layer: int) -> Site:
    sites = [s for s in capture.sites if s.tower == tower]
    chosen = sites[-1:] if layer == -1 else [s for s in sites if s.layer == layer]
    if not chosen:
        raise ValueError(f"attention of {tower} layer {layer} is needed. The capture has layers {[s.layer for s in sites]}.")
    if capture.layouts[chosen[0]].windows != 1:
        raise ValueError(f"{chosen[0].name} attends within windows, so no token is seen by all others; norms work there.")
    return chosen[0]
