"""The result of a capture: plain arrays by site, and nothing of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from model_adapters.edits import Edit
from model_adapters.layout import Layout
from model_adapters.site import Site

V = TypeVar("V")


class BySite(Mapping[Site, V], Generic[V]):
    """Values by site, in the order of execution; a site may also be named by its module path or its position."""

    def __init__(self, values: Mapping[Site, V], missing: str = "was not kept") -> None:
        self._values = dict(values)
        self._missing = missing

    def __getitem__(self, key: Site | str | int) -> V:
        if isinstance(key, int):
            return list(self._values.values())[key]
        if isinstance(key, str):
            key = next((s for s in self._values if s.name == key), key)
        if key not in self._values:
            name = key.name if isinstance(key, Site) else key
            known = [s.name for s in self._values]
            raise KeyError(f"{name} {self._missing}. There are {len(known)} sites: {known[:6]}{' ...' if len(known) > 6 else ''}")
        return self._values[key]  # type: ignore[index]

    def __iter__(self) -> Iterator[Site]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class LazyLayouts(Mapping[Site, Layout]):
    """Layouts by site, measured when the first one is asked for."""

    def __init__(self, sites: tuple[Site, ...], measure: Callable[[], Mapping[tuple[str, int], Layout]]) -> None:
        self._sites, self._measure = sites, measure
        self._found: Mapping[tuple[str, int], Layout] | None = None

    @property
    def measured(self) -> bool:
        """Whether they were asked for already."""
        return self._found is not None

    def __getitem__(self, site: Site | str | int) -> Layout:
        if self._found is None:
            self._found = self._measure()
        if isinstance(site, int):
            site = self._sites[site]
        key = (site, 0) if isinstance(site, str) else (site.name, site.call)
        if key not in self._found:
            raise KeyError(f"{key[0]} has no layout: the geometry did not meet this attention.")
        return self._found[key]

    def __iter__(self) -> Iterator[Site]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)


@dataclass(frozen=True, eq=False)
class Capture:
    """What one run showed. Arrays are float32 (weights perhaps float16); a list as input adds a leading batch axis B.

    Rows of windowed sites are numbered window by window; `layouts` say which keys a row meets.
    """

    model: str
    sites: tuple[Site, ...]
    """The sites of which something was kept, in the order of execution."""
    weights: BySite[np.ndarray]
    """[H, Q, K] (or what the reduction made of it)."""
    rows: BySite[np.ndarray]
    """[Q]: the numbers of the kept query rows."""
    shapes: BySite[tuple[int, int, int]]
    """(H, Q of all windows, K) of every site met, kept or not."""
    layouts: Mapping[Site, Layout]
    logits: np.ndarray
    """[C] class scores; [T, V] token logits of an LVLM; features where the model has no head."""
    tokens: tuple[str, ...] = ()
    """The prompt's tokens as text, for LVLMs."""
    hidden: Mapping[tuple[str, int], np.ndarray] = field(default_factory=dict)
    """(tower, layer) -> the layer's input; (tower, number of layers) -> the output of the last one."""
    norms: Mapping[tuple[str, int], np.ndarray] = field(default_factory=dict)
    """(tower, layer) -> [T] the lengths of the same states, made in the layer."""
    values: BySite[np.ndarray] = field(default_factory=lambda: BySite({}))
    """[H, W * K, D]."""
    queries: BySite[np.ndarray] = field(default_factory=lambda: BySite({}))
    keys: BySite[np.ndarray] = field(default_factory=lambda: BySite({}))
    head_outputs: BySite[np.ndarray] = field(default_factory=lambda: BySite({}))
    """[H, Q, D]: weights @ values, before the output projection, after any edit."""
    gradients: BySite[np.ndarray] = field(default_factory=lambda: BySite({}))
    """[H, Q, K]: the derivative of the target with respect to the kept weights."""
    head_gradients: BySite[np.ndarray] = field(default_factory=lambda: BySite({}))
    """[H, Q, D]: with respect to the head outputs."""
    hidden_gradients: Mapping[tuple[str, int], np.ndarray] = field(default_factory=dict)
    target: object = None
    """What the gradients are of."""
    notes: tuple[str, ...] = ()
    """What to know of every picture made of this: attention that was not seen, weights that the model changes."""
    edits: tuple[Edit, ...] = ()
    labels: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None
    """(width, height) of the original image; None for several or none."""
