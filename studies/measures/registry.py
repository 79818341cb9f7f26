"""The measures of a study, each registered where it is written: a batch of records in, rows out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from analysis.registry import Option, options_of
from model_adapters import Site

if TYPE_CHECKING:
    from model_adapters import Model
    from studies.measures.batch import Batch

KEYS: dict[str, tuple[str, ...]] = {
    "images": (),
    "layers": ("tower", "layer", "call", "site"),
    "heads": ("tower", "layer", "call", "site", "head"),
    "matches": (),
    "answers": (),
    "words": ("name",),
    "budgets": ("pruner", "budget"),
}
"""The tables, and what their rows are grouped by in the aggregated tables. Every row also says its model and record."""


@dataclass(frozen=True, eq=False)
class PerHead:
    """Numbers of every head of some sites, for the table of heads."""

    sites: tuple[Site, ...]
    columns: dict[str, np.ndarray]
    """[B, L, H] each; NaN where there is no such head."""


@dataclass(frozen=True, eq=False)
class PerLayer:
    """Numbers of every layer, for the table of layers."""

    sites: tuple[Site, ...]
    columns: dict[str, np.ndarray]
    """[B, L] each."""


@dataclass(frozen=True, eq=False)
class Lines:
    """Rows of any other table: several or none for a record."""

    table: str
    item: tuple[int, ...]
    """[N] which item of the batch each row is of."""
    columns: dict[str, list[Any]] = field(default_factory=dict)


Found = PerHead | PerLayer | Lines
F = TypeVar("F", bound=Callable[..., Iterable[Found]])


@dataclass(frozen=True)
class Measure:
    """A registered measure."""

    name: str
    title: str
    summary: str
    kinds: frozenset[str]
    """Of models: "vit", "dual", "lvlm"."""
    needs: frozenset[str]
    """Passes that it shares with others: "statistics", "norms"."""
    tables: tuple[str, ...]
    edited: bool
    """Whether it can look at a model under edits."""
    options: tuple[Option, ...]
    lists: dict[str, tuple]
    """Options that are lists, with their defaults."""
    scores: str
    """What must be scored: "classes", "captions"; empty where the answer is not read."""
    function: Callable[..., Iterable[Found]]

    def why_not(self, model: Model) -> str:
        """The sentence that says why a model has no answer to this measure; empty where it has one."""
        if model.kind not in self.kinds:
            return f"{self.name} is measured on models of kind {', '.join(sorted(self.kinds))}; {model.name} is a {model.kind!r}."
        if not self.scores or model.classes.of == self.scores:
            return ""
        return f"{self.name} needs scores of {self.scores}. {model.classes.why_not or f'{model.name} scores {model.classes.of}.'}"

    def __call__(self, batch: Batch, options: dict[str, Any]) -> Iterator[Found]:
        """The rows of a batch."""
        yield from self.function(batch, **options)


MEASURES: dict[str, Measure] = {}
"""All measures by name, filled as their modules are imported; read only afterwards."""


def measure(
    *,
    title: str,
    kinds: Iterable[str],
    tables: Iterable[str],
    needs: Iterable[str] = (),
    edited: bool = True,
    scores: Literal["classes", "captions", ""] = "",
) -> Callable[[F], F]:
    """Register a function `(batch, *, options) -> rows` as a measure and return it unchanged.

    The rows of a record must not depend on the other records of its batch.
    """

    def register(function: F) -> F:
        name = function.__name__
        if name in MEASURES:
            raise ValueError(f"a measure named {name!r} is registered already.")
        defaults = {p.name: p.default for p in inspect.signature(function).parameters.values()}
        lists = {key: value for key, value in defaults.items() if isinstance(value, tuple)}
        summary = (inspect.getdoc(function) or "").split("\n")[0]
        MEASURES[name] = Measure(
            name, title, summary, frozenset(kinds), frozenset(needs), tuple(tables), edited, options_of(function), lists, scores,
            function,
        )  # fmt: skip
        return function

    return register
