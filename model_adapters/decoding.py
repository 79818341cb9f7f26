"""Ways to choose the next token, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True)
class Greedy:
    """The likeliest token, always."""

    @property
    def options(self) -> dict[str, Any]:
        """What transformers' `generate` is told."""
        return {"do_sample": False, "num_beams": 1, "temperature": None, "top_p": None, "top_k": None}

    @property
    def passes(self) -> int:
        """What a new token costs, in passes of the model."""
        return 1


@dataclass(frozen=True)
class Sample:
    """Draw from the distribution; the seed makes it repeatable."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0. Got {self.temperature} instead; Greedy() is its limit at 0.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1. Got {self.top_p} instead.")

    @property
    def options(self) -> dict[str, Any]:
        """What transformers' `generate` is told."""
        return {
            "do_sample": True, "num_beams": 1, "temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k,
        }  # fmt: skip

    @property
    def passes(self) -> int:
        """What a new token costs, in passes of the model."""
        return 1


@dataclass(frozen=True)
class Beam:
    """The best of several continuations kept side by side; the rows shown are those of the winning beam."""

    beams: int = 4
    length_penalty: float = 1.0

    def __post_init__(self) -> None:
        if self.beams < 2:
            raise ValueError(f"beams must be at least 2. Got {self.beams} instead; Greedy() is one beam.")

    @property
    def options(self) -> dict[str, Any]:
        """What transformers' `generate` is told."""
        return {
            "do_sample": False, "num_beams": self.beams, "length_penalty": self.length_penalty,
            "temperature": None, "top_p": None, "top_k": None,
        }  # fmt: skip

    @property
    def passes(self) -> int:
        """What a new token costs, in passes of the model."""
        return self.beams


@dataclass(frozen=True)
class Noised:
    """Another look: the prepared image with diffusion noise, sqrt(abar) x + sqrt(1 - abar) eps, the same for all tokens.

    Of 1,000 steps with beta = sigmoid(linspace(-6, 6)) (5e-3 - 1e-5) + 1e-5.
    """

    step: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.step < 1000:
            raise ValueError(f"step must be between 0 and 999. Got {self.step} instead.")


@dataclass(frozen=True)
class Blank:
    """Another look: a picture of the same size in one colour: its own mean, grey or black."""

    fill: Literal["mean", "grey", "black"] = "mean"

    def __post_init__(self) -> None:
        if self.fill not in ("mean", "grey", "black"):
            raise ValueError(f"fill must be 'mean', 'grey' or 'black'. Got {self.fill!r} instead.")


@dataclass(frozen=True)
class Imageless:
    """Another look: no image, either left out of the prompt or hidden from all other tokens."""

    how: Literal["left out", "hidden"] = "left out"

    def __post_init__(self) -> None:
        if self.how not in ("left out", "hidden"):
            raise ValueError(f"how must be 'left out' or 'hidden'. Got {self.how!r} instead.")


@dataclass(frozen=True)
class Under:
    """Another look: the same prompt under edits, or plans of edits."""

    edits: tuple[Any, ...] = ()


@runtime_checkable
class Repaint(Protocol):
    """Another look: a changed picture that is decided by looking at the prompt first (`model_adapters.planned.Glance`)."""

    def picture(self, glance: Any) -> np.ndarray:
        """The changed picture [height, width, 3], uint8."""
        ...


Look = Noised | Blank | Imageless | Under | Repaint


@dataclass(frozen=True)
class Contrast:
    """Every token is chosen from two looks: the model's own l, and another one u with a cache of its own.

    "subtract": (1 + alpha) l - alpha u, what is likely with the image and not without it; this is guidance of strength
    1 + alpha. "add": l + alpha u. Both are log-probabilities, which differ from scores by a constant only. Tokens whose own
    probability is below `beta` times that of the likeliest are never chosen.
    """

    look: Look = Noised()
    alpha: float = 1.0
    beta: float | None = 0.1
    rule: Literal["subtract", "add"] = "subtract"
    then: Greedy | Sample = Greedy()
    """How the token is chosen from the mixture."""

    def __post_init__(self) -> None:
        if self.beta is not None and not 0 < self.beta <= 1:
            raise ValueError(f"beta must be above 0 and at most 1, or None for no cut-off. Got {self.beta} instead.")
        if self.rule not in ("subtract", "add"):
            raise ValueError(f"rule must be 'subtract' or 'add'. Got {self.rule!r} instead.")
        if not isinstance(self.then, Greedy | Sample):
            raise ValueError(f"the mixture can be followed greedily or sampled from. Got {self.then!r} instead.")

    @property
    def options(self) -> dict[str, Any]:
        """What transformers' `generate` is told."""
        return self.then.options

    @property
    def passes(self) -> int:
        """What a new token costs, in passes of the model."""
        return 2


@dataclass(frozen=True)
class OverTrust:
    """Beam search that marks down answers whose words all lean on one earlier word, and steps back where they go on doing so.

    A candidate loses `weight` times the largest column c_j = 1e-7 prod over i >= j of `scale` times attention (last layer,
    largest over heads) of word i to word j; in the first ten tokens it gains its attention to the image instead. Its score is
    the log-softmax of what is left over the candidates of its beam alone, so what they all lose makes no difference. A column
    that is the largest of all beams more than `threshold` times is stepped back behind.
    """

    beams: int = 5
    candidates: int = 5
    weight: float = 1.0
    scale: float = 50.0
    threshold: int = 15

    def __post_init__(self) -> None:
        if self.beams < 1 or self.candidates < 1:
            raise ValueError(f"beams and candidates must be at least 1. Got {self.beams} and {self.candidates} instead.")

    @property
    def options(self) -> dict[str, Any]:
        """What transformers' `generate` is told when it writes down what was found."""
        return Greedy().options

    @property
    def passes(self) -> int:
        """What a new token costs, in passes of the model; all but one read prompt and answer whole, without a cache."""
        return self.beams * self.candidates + 1


Decoding = Greedy | Sample | Beam | Contrast | OverTrust
