"""The Python of the page Passport: what all heads do over scenes, one of them among them, and the answer without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ui import again, importance_snippets

if TYPE_CHECKING:
    from ui.passport_parts import Papers

_LINES = {
    "types": ("shown = head_types(head_measures(captures, tower={tower!r}))",),
    "maps": ("shown = aligned_maps(captures, tower={tower!r})",),
    "profile": (
        "each = [analysis.METHODS['ring_profile'].function(capture, tower={tower!r}) for capture in captures]",
        "shown = replace(each[0], values=sum(one.values for one in each) / len(each))",
    ),
}
_IMPORTS = {
    "types": ("from analysis.head_measures import head_measures", "from analysis.head_types import head_types"),
    "maps": ("from analysis.patterns import aligned_maps",),
    "profile": ("from dataclasses import replace",),
}


def portrait(known: Papers, part: str) -> str:
    """What one part of the portraits is made of: "types", "maps" or "profile"."""
    asked = known.asked
    if known.portraits is None:
        return ""
    lines = ["captures = [subject.capture() for subject in subjects]", *_LINES[part]]
    ready = [line.format(tower=asked.tower) for line in lines]
    return again.of_pictures(asked.names, known.portraits.ids, asked.text, ready, _IMPORTS[part])


def without(known: Papers) -> str:
    """Probabilities as they are, and with the head silent."""
    asked = known.asked
    lines = [
        "run = subject.run()",
        f"off = (Gate(Where(sites=({known.site.name!r},), heads=({known.head},)), 0.0),)",
        "shown = softmax(run(())[0]), softmax(run(off)[0])",
    ]
    imports = ["from model_adapters import Where", "from model_adapters.edits import Gate", "from scipy.special import softmax"]
    return again.of_picture(asked.names, asked.picture.id, asked.text, lines, imports, asked.subject.said)


def ranks(known: Papers, names: Sequence[str]) -> str:
    """The head's place by each of these metrics."""
    if known.importances is None:
        return ""
    lines = [
        _head(known),
        "numbers = {name: number_of(found.matrix(name), site, head) for name in " + f"{list(names)!r}" + "}",
        "shown = {name: number.place for name, number in numbers.items()}",
    ]
    return importance_snippets.of_all(known.asked, known.importances, lines, ["from ui.results.heads import number_of, site_at"])


def typical(known: Papers) -> str:
    """What each patch of the typical pictures receives."""
    asked = known.asked
    if known.portraits is None:
        return ""
    lines = [
        f"ids = scene_ids({len(known.portraits.ids)})",
        f"found = portraits(model, ids, {asked.text!r}, {asked.tower!r}, Progress())",
        _head(known),
        "best = typical(found, site, head)",
        f"shown = [received(model, id, {asked.text!r}, site, head) for id in best.ids]",
    ]
    imports = [
        "from ui.jobs import Progress", "from ui.results.heads import scene_ids, site_at",
        "from ui.results.passport import portraits, received, typical",
    ]  # fmt: skip
    return again.of_model(asked.names, lines, imports)


def _head(known: Papers) -> str:
    from ui.results.heads import row_of, sites_of

    tower = known.asked.tower
    row = row_of(sites_of(known.asked.model, tower), known.site)
    return f"site, head = site_at(model, {tower!r}, {row}, {known.head})"


__all__ = ["portrait", "ranks", "typical", "without"]
