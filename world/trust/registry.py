"""Who takes part in the benchmark: functions, registered by what they claim to give."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

import model_adapters as ma
from world.trust.table import Score

Kind = Literal["map", "importance", "types", "pruner", "signal", "fix"]
KINDS: tuple[Kind, ...] = ("map", "importance", "types", "pruner", "signal", "fix")
Truth = Literal["rise of the loss", "fall of the score", "change of the answer", "change of the answer by layer"]
"""What an importance can claim to predict."""
RANDOM = "random"
F = TypeVar("F", bound=Callable)


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
        kind: "map": (Case) -> [G, G]; "importance": (Case) -> [L, H] (or [L]) of one image; "types": (captures) -> [L, H]
            of names; "pruner": (Capture, patches left, look, seed) -> TokenPlan; "signal": (Mention) -> float, high for what
            is made up; "fix": () -> options of `ma.generate`.
        title: how it is called in the report.
        model: the bundled model it is tried on.
        function: what it does.
        baseline: whether it is there to be beaten.
        method: the name of the method of `analysis` that it tries; empty where there is none.
        claims: what an importance says it predicts; it is held to that.
        finish: what is made of the mean of an importance over images.
        slow: tried on fewer images, because it runs the model many times.
    """

    kind: Kind
    title: str
    model: str
    function: Callable
    baseline: bool = False
    method: str = ""
    claims: Truth | None = None
    finish: Callable[[np.ndarray], np.ndarray] | None = None
    slow: bool = False


_ENTRIES: dict[tuple[str, str, str, str], Entry] = {}


def enter(entry: Entry) -> None:
    """Let one participant take part."""
    if entry.kind not in KINDS:
        raise ValueError(f"{entry.kind!r} is not a kind of participant; there are {', '.join(KINDS)}")
    key = (entry.kind, entry.title, entry.model, entry.claims or "")
    if key in _ENTRIES and _ENTRIES[key].function is not entry.function:
        raise ValueError(f"{entry.kind} {entry.title!r} on {entry.model} is already registered")
    _ENTRIES[key] = entry


def scored(kind: Kind, title: str, model: str, *, baseline: bool = False, method: str = "") -> Callable[[F], F]:
    """Register a function for the benchmark; it is returned unchanged."""

    def register(function: F) -> F:
        enter(Entry(kind, title, model, function, baseline, method))
        return function

    return register


def entries(kind: Kind | None = None, model: str | None = None) -> tuple[Entry, ...]:
    """All participants, or those of one kind, or on one model."""
    return tuple(e for e in _ENTRIES.values() if kind in (None, e.kind) and model in (None, e.model))


def score_of(
    entry: Entry, name: str, value: float, ends: tuple[float, float], chance: float, count: int, *, against: str = ""
) -> Score:
    """One figure of a participant."""
    numbers = (float(value), float(ends[0]), float(ends[1]), float(chance))
    return Score(entry.kind, entry.method, entry.title, entry.model, name, *numbers, count, entry.baseline, against)


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of bootstrap values."""
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)
