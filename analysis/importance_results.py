"""What the importance methods return beyond a head matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.results import HeadMatrix
from model_adapters import Site


@dataclass(frozen=True, eq=False)
class ByClass:
    """One head matrix per class: which heads matter for which class."""

    values: np.ndarray
    """[C, L, H]."""
    classes: np.ndarray
    """[C] the numbers of the classes."""
    images: np.ndarray
    """[C] how many images each mean is of."""
    sites: tuple[Site, ...]
    label: str = ""

    def of(self, number: int) -> HeadMatrix:
        """The heads of one class."""
        found = np.flatnonzero(self.classes == number)
        if not len(found):
            raise ValueError(f"class {number} was asked for; there are images of {self.classes.tolist()}.")
        return HeadMatrix(self.values[found[0]], self.sites, signed=True, label=f"{self.label}, class {number}")


@dataclass(frozen=True, eq=False)
class PartialEffects:
    """What pruning a part of a head's map does, part by part."""

    parts: tuple[str, ...]
    """[P]."""
    heads: tuple[int, ...]
    """[H]."""
    values: np.ndarray
    """[H, P]."""
    site: Site
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    label: str = ""


@dataclass(frozen=True, eq=False)
class Trust:
    """How well each cheap importance predicts the exact one."""

    metrics: tuple[str, ...]
    """[P] the importances."""
    statistics: tuple[str, ...]
    """[S] what agreement is measured by."""
    values: np.ndarray
    """[P, S]."""
    low: np.ndarray
    """[P, S]."""
    high: np.ndarray
    """[P, S]."""
    chance: np.ndarray
    """[S] what a random ranking would reach on average."""


@dataclass(frozen=True, eq=False)
class JointAblation:
    """What is left when the most important heads by each metric are silenced together."""

    metrics: tuple[str, ...]
    """[P]."""
    steps: np.ndarray
    """[S] how many heads are silent."""
    values: np.ndarray
    """[P, S]."""
    random: np.ndarray
    """[R, S] the same with heads drawn at random, R times."""
    label: str = ""
