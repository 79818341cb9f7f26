"""The Python that makes a picture again: written from what is chosen and from the signature of the method.

Every argument that a method needs has a line that makes it; a method with an argument of another kind (two results that
are compared, numbers from a whole set) has no snippet, and says why.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ui.pictures import SIDE


@dataclass(frozen=True)
class Shown:
    """What is looked at, as the pages know it."""

    model: str
    picture: str
    """The picture's id, such as "scene:17", or a path."""
    weights: str = "pretrained"
    text: str | tuple[str, ...] | None = None
    target: int | None = None
    tower: str = "vision"
    layer: int = -1
    """Row of the tower's head matrix."""
    head: int = 0
    said: tuple[int, ...] = ()
    """Tokens of the answer behind the prompt: what is shown is about the one that follows them."""


def snippet_for(shown: Shown, method: str, options: Mapping[str, Any] | None = None) -> str | None:
    """Python that gives the same result, in the variable `shown`; None where one picture is not enough for the method.

    Args:
        shown: what is looked at.
        method: the registered name.
        options: those that differ from the defaults.
    """
    # From the package: of its parts alone one may be met before the methods are registered.
    from analysis import find

    if method in SEVERAL:
        return None
    chosen, given = find(method), dict(options or {})
    wanted = inspect.signature(chosen.function).parameters
    if unknown := sorted(set(given) - set(wanted)):
        raise ValueError(f"{chosen.title} has no option {unknown[0]!r}. It has {sorted(wanted)}.")
    writer = _Writer(shown, chosen.needs & _WANTED)
    if chosen.kind == "map":
        call = writer.explained(method, given)
    else:
        call = writer.called(chosen.function, given)
    return None if call is None else writer.text(call)


def picture_lines(id: str) -> tuple[tuple[str, ...], str]:
    """Imports, and the expression that gives the picture."""
    source, _, rest = id.partition(":")
    if source in ("scene", "biased") and rest.isdigit():
        stream = "TEST_UNBIASED" if source == "scene" else "TEST_BIASED"
        imports = f"from world.datasets import {stream}", "from world.rendering import render"
        return imports, f"render({stream}[{rest}], {SIDE}).image"
    path = f"assets/images/{rest}.jpg" if source == "photo" else "picture.png" if source == "upload" else id
    return ("from PIL import Image",), f'Image.open({_quoted(path)}).convert("RGB")'


SEVERAL = frozenset({"position_artefact"})
"""Methods that ask for captures of at least two pictures."""
_WANTED = frozenset({"hidden", "values", "queries", "heads", "gradients"})
_MADE: dict[str, tuple[str, str, tuple[str, ...]]] = {
    # argument: (name of the variable, its expression, arguments that it stands on)
    "capture": ("capture", "{capture}", ()),
    "captures": ("captures", "[capture]", ("capture",)),
    "measures": ("measures", "analysis.head_measures.head_measures(captures, tower={tower!r})", ("captures",)),
    "maps": ("maps", "analysis.patterns.aligned_maps(captures, tower={tower!r})", ("captures",)),
    "readout": ("readout", "analysis.logit_attribution.Readout(**vars(subject.readout({target})))", ()),
    "run": ("run", "subject.run()", ()),
    "site": ("site", "[site for site in capture.sites if site.tower == {tower!r}][{layer}]", ("capture",)),
    "layout": ("layout", "capture.layouts[site]", ("site",)),
    "roles": ("roles", "[*capture.layouts[capture.sites[-1]].queries.roles]", ("capture",)),
    "ablation": ("ablation", "ma.ablate(model, subject.inputs)", ()),
    "slices": ("slices", "head_weights(model, subject.inputs)", ()),
}
"""How each argument is made; what is missing here cannot be made from one picture."""
_IMPORTS = {"slices": "from model_adapters.head_weights import head_weights"}


@dataclass
class _Writer:
    shown: Shown
    wants: frozenset[str]
    lines: list[str] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    made: set[str] = field(default_factory=set)

    def explained(self, method: str, given: dict[str, Any]) -> str | None:
        """The one call that makes any map."""
        if given.get("others"):
            return None
        beside = {"target": self.shown.target, "tower": None if self.shown.tower == "vision" else self.shown.tower}
        parts = [f"{name}={value!r}" for name, value in (beside | given).items() if value is not None]
        return ", ".join([f'analysis.explain(subject, "{method}"', *parts]) + ")"

    def called(self, function: Any, given: dict[str, Any]) -> str | None:
        """The method itself, after the lines that make what it needs."""
        parameters = inspect.signature(function).parameters.values()
        needed = {p.name: p.annotation for p in parameters if p.default is inspect.Parameter.empty and p.name != "head"}
        if not all(name in _MADE and kind != "Mapping[str, TokenMap]" for name, kind in needed.items()):
            return None
        for name in needed:
            self._make(name)
        given = {name: value for name, value in given.items() if name not in needed}
        if "tower" in {p.name for p in parameters} and self.shown.tower != "vision":
            given.setdefault("tower", self.shown.tower)
        if "head" in {p.name for p in parameters if p.default is inspect.Parameter.empty}:
            given.setdefault("head", self.shown.head)
        self.imports.append(f"from {function.__module__} import {function.__name__}")
        return f"{function.__name__}({', '.join([*needed, *(f'{name}={value!r}' for name, value in given.items())])})"

    def _make(self, name: str) -> None:
        variable, expression, stands_on = _MADE[name]
        for below in stands_on:
            self._make(below)
        if name not in self.made:
            self.made.add(name)
            self.imports += [_IMPORTS[name]] if name in _IMPORTS else []
            wants = "frozenset({" + ", ".join(f'"{want}"' for want in sorted(self.wants)) + "})" if self.wants else ""
            aim = f"target={self.shown.target}" if "gradients" in self.wants and self.shown.target is not None else ""
            capture = f"subject.capture({', '.join(filter(None, (wants, aim)))})"
            told = {"capture": capture, "tower": self.shown.tower, "layer": self.shown.layer, "target": self.shown.target}
            self.lines.append(f"{variable} = {expression.format(**told)}")

    def text(self, call: str) -> str:
        """The whole script."""
        from_picture, image = picture_lines(self.shown.picture)
        weights = "" if self.shown.weights == "pretrained" else f", weights={self.shown.weights!r}"
        asked = (
            ""
            if self.shown.text is None
            else f", {list(self.shown.text) if isinstance(self.shown.text, tuple) else self.shown.text!r}"
        )
        return "\n".join(
            [
                "import analysis",
                "import model_adapters as ma",
                *sorted({*from_picture, *self.imports}),
                "",
                f"model = ma.load({_quoted(self.shown.model)}{weights})",
                f"image = {image}",
                f"subject = ma.subject(model, image{asked}){f'.after({list(self.shown.said)})' if self.shown.said else ''}",
                *self.lines,
                f"shown = {call}",
            ]
        )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


__all__ = ["Shown", "picture_lines", "snippet_for"]
