"""The registry of methods: each is registered where it is written, and everything a page needs is read off it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

F = TypeVar("F", bound=Callable[..., Any])

NEEDS: dict[str, str] = {
    "weights": "needs the attention weights of every layer",
    "square": "needs square attention over one global set of tokens; here queries and keys differ, or lie in windows",
    "grid": "needs tokens that lie on the image",
    "cross": "needs other tokens that read those of the image by cross-attention; here there are none",
    "small": "needs a small graph, as it is solved once per token: at most 50,000 edges, layers times tokens squared",
    "class_token": "needs a class token; this model has none",
    "gradients": "needs gradients of a target",
    "values": "needs the value vectors",
    "queries": "needs the query and key vectors of every layer",
    "heads": "needs the head outputs before the output projection",
    "hidden": "needs hidden states",
    "logits": "needs class scores",
    "run": "needs to run the model again under edits",
    "pixels": "needs to run the model on changed images",
    "module": "needs the weights of the model itself",
    "mask": "needs the true mask of an object",
    "text": "needs text tokens",
    "generation": "needs an answer, token by token",
}
"""What a method may need of a capture or a model, as the sentence that is shown where it is missing."""


@dataclass(frozen=True)
class Range:
    """A number between two ends, both allowed."""

    low: float
    high: float
    step: float | None = None


@dataclass(frozen=True)
class Option:
    """One keyword of a method, as a control can be built from it."""

    name: str
    default: Any
    kind: Literal["number", "integer", "choice", "flag", "text"]
    range: Range | None = None
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Method:
    """A registered method: what it is called, what it says, what it needs, and where it misleads."""

    name: str
    title: str
    kind: str
    """map, head, token, curve, pattern, embedding, comparison, ..."""
    summary: str
    """First line of the docstring."""
    cites: tuple[str, ...]
    """Keys of assets/references.bib."""
    needs: frozenset[str]
    range: str
    """The values it can take, in words or as an interval."""
    misleads: str
    """The sentence on where it misleads."""
    options: tuple[Option, ...]
    result: type
    function: Callable[..., Any]

    def why_not(self, offered: Iterable[str]) -> str | None:
        """The sentence that says why the method is not offered; None where it is."""
        missing = sorted(self.needs - set(offered))
        return f"{self.title} {NEEDS[missing[0]]}." if missing else None


METHODS: dict[str, Method] = {}
"""All methods by name, filled as their modules are imported; read only afterwards."""


def method(
    *, title: str, kind: str, cites: Iterable[str] = (), needs: Iterable[str] = (), range: str, misleads: str
) -> Callable[[F], F]:
    """Register a function as a method and return it unchanged.

    Args:
        title: what people call it.
        kind: what sort of result it makes: "map", "head", ...
        cites: keys of the bibliography.
        needs: keys of `NEEDS`.
        range: the values it can take.
        misleads: one sentence on where it misleads.
    """
    needed = frozenset(needs)
    if unknown := needed - set(NEEDS):
        raise ValueError(f"needs must be among {sorted(NEEDS)}. Got {sorted(unknown)} instead.")

    def register(function: F) -> F:
        name = function.__name__
        if name in METHODS:
            raise ValueError(f"a method named {name!r} is registered already.")
        summary = (inspect.getdoc(function) or "").split("\n")[0]
        hints = typing.get_type_hints(function, include_extras=True)
        options = tuple(_options(function, hints))
        METHODS[name] = Method(
            name, title, kind, summary, tuple(cites), needed, range, misleads, options, hints.get("return", object), function
        )
        return function

    return register


def methods(kind: str | None = None, offered: Iterable[str] | None = None) -> tuple[Method, ...]:
    """Registered methods, of one kind, and only those whose needs are offered."""
    chosen = [m for m in METHODS.values() if kind in (None, m.kind)]
    if offered is not None:
        chosen = [m for m in chosen if m.why_not(offered) is None]
    return tuple(chosen)


def find(name: str) -> Method:
    """The method of this name."""
    if name not in METHODS:
        raise ValueError(f"no method is named {name!r}. There are {sorted(METHODS)}.")
    return METHODS[name]


def options_of(function: Callable[..., Any]) -> tuple[Option, ...]:
    """The keywords of a function that a control, or a study file, can give."""
    return tuple(_options(function, typing.get_type_hints(function, include_extras=True)))


def _options(function: Callable[..., Any], hints: dict[str, Any]) -> Iterable[Option]:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default is not inspect.Parameter.empty:
            found = _option(parameter.name, parameter.default, hints[parameter.name])
            if found is not None:
                yield found


def _option(name: str, default: Any, hint: Any) -> Option | None:
    bounds = None
    if get_origin(hint) is Annotated:
        hint, *extra = get_args(hint)
        bounds = next((e for e in extra if isinstance(e, Range)), None)
    if get_origin(hint) is Literal:
        return Option(name, default, "choice", choices=get_args(hint))
    kinds = {bool: "flag", int: "integer", float: "number", str: "text"}
    return Option(name, default, kinds[hint], bounds) if hint in kinds else None  # type: ignore[arg-type]
