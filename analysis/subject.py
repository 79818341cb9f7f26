"""What an explanation may ask of one model looking at one picture; nothing here knows how it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from analysis.captum_maps import Forward
from analysis.runs import Run, Score
from model_adapters import Capture


class Subject(Protocol):
    """One model looking at one picture: `model_adapters.subject` makes it."""

    @property
    def kind(self) -> str:
        """vit, dual or lvlm."""
        ...

    @property
    def image(self) -> np.ndarray:
        """[height, width, 3] uint8: the original picture."""
        ...

    @property
    def classes(self) -> int:
        """How many classes are scored; 0 where there are none."""
        ...

    @property
    def refusals(self) -> Mapping[str, str]:
        """Which of "logits", "gradients", "pixels" and "module" the model cannot give, and why."""
        ...

    @property
    def layers(self) -> Any:
        """The layers that can be shuffled; their number is its length."""
        ...

    def aim(self, target: int | None) -> int:
        """The class that is meant: the given one, or the predicted one."""
        ...

    def capture(self, want: frozenset[str] = frozenset(), target: int | None = None) -> Capture:
        """All rows of all sites, and more."""
        ...

    def forward(self) -> Forward:
        """Prepared pictures to scores, differentiable."""
        ...

    def relevance(self) -> Forward:
        """The same scores, whose gradients follow the rules of relevance propagation."""
        ...

    def pixels(self) -> Any:
        """The fields of `Pixels`."""
        ...

    def readout(self, target: int | None = None) -> Any:
        """The fields of `Readout`."""
        ...

    def score(self, target: int | None = None) -> Score:
        """Pictures of the original's size to the probability of a class."""
        ...

    def run(self) -> Run:
        """Edits to scores."""
        ...

    def shuffled(self, layers: int, seed: int = 0) -> Subject:
        """The same picture before a copy of the model whose last layers have shuffled weights."""
        ...

    def before(self, image: Any) -> Subject:
        """The same model before another picture."""
        ...
