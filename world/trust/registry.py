"""Who takes part in the benchmark: functions, registered by what they claim to give."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from PIL import Image

import model_adapters as ma
from world.scenes import Scene

Kind = Literal["map", "importance", "signal", "fix", "pruner"]
KINDS: tuple[Kind, ...] = ("map", "importance", "signal", "fix", "pruner")
F = TypeVar("F", bound=Callable)


@dataclass(frozen=True, eq=False)
class Case:
    """One picture with what is asked of a method.

    Attributes:
        model: the model under study.
        scene: what the picture shows.
        image: the picture.
        target: the category that is explained.
        seed: for methods that need chance; differs from case to case and from twin to twin.
    """

    model: ma.Model
    scene: Scene
    image: Image.Image
    target: str
    seed: int


@dataclass(frozen=True, eq=False)
class Mention:
    """One category that a caption names.

    Attributes:
        step: which generated token names it.
        generation: the whole answer, with the attention rows of each token.
        position: how many categories were named before.
    """

    step: int
    generation: ma.Generation
    position: int


@dataclass(frozen=True)
class Entry:
    """One participant.

    Attributes:
        kind: "map": (Case) -> [G, G]; "importance": (list[Case]) -> [L, H]; "signal": (Mention) -> float, high for what
            is made up; "fix": () -> options of `ma.generate`; "pruner": (Case, kept) -> numbers of the kept patches.
        title: how it is called in the report.
        model: the bundled model it is tried on.
        function: what it does.
        baseline: whether it is there to be beaten.
    """

    kind: Kind
    title: str
    model: str
    function: Callable
    baseline: bool


_ENTRIES: dict[tuple[str, str, str], Entry] = {}


def scored(kind: Kind, title: str, model: str, *, baseline: bool = False) -> Callable[[F], F]:
    """Register a function for the benchmark; it is returned unchanged."""
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not a kind of participant; there are {', '.join(KINDS)}")

    def register(function: F) -> F:
        key = (kind, title, model)
        if key in _ENTRIES and _ENTRIES[key].function is not function:
            raise ValueError(f"{kind} {title!r} on {model} is already registered")
        _ENTRIES[key] = Entry(kind, title, model, function, baseline)
        return function

    return register


def entries(kind: Kind | None = None) -> tuple[Entry, ...]:
    """All participants, or those of one kind."""
    return tuple(entry for entry in _ENTRIES.values() if kind in (None, entry.kind))


@dataclass(frozen=True)
class Score:
    """One line of the report.

    Attributes:
        value: the score with its 95 % interval `low` to `high` over images.
        chance: what is reached by chance, where that is known.
        count: how many cases it rests on.
    """

    kind: Kind
    method: str
    model: str
    score: str
    value: float
    low: float
    high: float
    chance: float
    count: int
    baseline: bool


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of bootstrap values."""
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)
