"""Massive activations: a few scalars of the hidden state that are thousands of times larger than the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from analysis.registry import Range, method
from analysis.thresholds import outlier_threshold
from analysis.token_rows import hidden_of, layers_of
from model_adapters import Capture


@dataclass(frozen=True, eq=False)
class MassiveActivations:
    """The largest scalars of every layer, beside the median one."""

    values: np.ndarray
    """[L, S] with their sign, largest magnitude first (S of them)."""
    dims: np.ndarray
    """[L, S] the dimension of each."""
    tokens: np.ndarray
    """[L, S] its token."""
    images: np.ndarray
    """[L, S] its image."""
    medians: np.ndarray
    """[L] median magnitude."""
    is_massive: np.ndarray
    """[L, S] bool: large in itself and against the median."""
    layers: tuple[int, ...]

    @property
    def ratios(self) -> np.ndarray:
        """[L, S]: how many times the median each is."""
        return np.abs(self.values) / np.maximum(self.medians, 1e-12)[:, None]


@method(
    title="Massive activations",
    kind="token",
    cites=("sun2024",),
    needs={"hidden"},
    range="magnitude of single scalars; massive from 100 and 1,000 times the median",
    misleads="The published thresholds are of large models; a small model may have outliers that miss both.",
)
def massive_activations(
    capture: Capture,
    *,
    tower: str = "vision",
    top: Annotated[int, Range(1, 20)] = 3,
    least: Annotated[float, Range(0, 10_000)] = 100.0,
    ratio: Annotated[float, Range(1, 10_000)] = 1000.0,
) -> MassiveActivations:
    """The scalars of each layer's hidden states that dwarf all others: which dimension, which token, how large."""
    layers = layers_of(capture, tower)
    found = [_largest(hidden_of(capture, tower, layer), top) for layer in layers]
    values, images, tokens, dims = (np.stack(part) for part in zip(*(f[:4] for f in found), strict=True))
    medians = np.array([f[4] for f in found])
    massive = (np.abs(values) > least) & (np.abs(values) >= ratio * medians[:, None])
    return MassiveActivations(values, dims, tokens, images, medians, massive, layers)


def massive_dimensions(
    capture: Capture,
    *,
    tower: str = "vision",
    layer: int = -1,
    rule: Literal["published", "model"] = "model",
    deviations: float = 10.0,
    least: float = 100.0,
    ratio: float = 1000.0,
) -> tuple[int, ...]:
    """The dimensions that hold massive activations in one layer, largest first.

    "published" asks for a magnitude above `least` and `ratio` times the median; "model" for a peak that lies
    `deviations` median absolute deviations (of the logarithms) above the peaks of the other dimensions: our definition.
    """
    states = np.abs(hidden_of(capture, tower, layer))
    peaks = states.max((0, 1))
    if rule == "published":
        chosen = (peaks > least) & (peaks >= ratio * np.median(states))
    else:
        chosen = peaks > outlier_threshold(peaks, deviations=deviations).value
    found = np.flatnonzero(chosen)
    return tuple(int(d) for d in found[np.argsort(-peaks[found], kind="stable")])


def _largest(states: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    magnitudes = np.abs(states)
    order = np.argsort(-magnitudes, axis=None, kind="stable")[:top]
    images, tokens, dims = np.unravel_index(order, states.shape)
    return states[images, tokens, dims], images, tokens, dims, float(np.median(magnitudes))
