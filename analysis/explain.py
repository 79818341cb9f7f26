"""Any map by its name, of one model looking at one picture: what the method needs is asked of the subject, and no more."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from analysis.attention_rows import site_of
from analysis.captum_maps import Pixels
from analysis.faithfulness import Faithfulness, faithfulness
from analysis.logit_attribution import Readout
from analysis.map_agreement import randomisation_check
from analysis.offers import offers
from analysis.registry import NEEDS, Method, find, methods
from analysis.results import Curve, TokenMap
from analysis.subject import Subject
from model_adapters import AdapterError, Capture, Site

WANTED = frozenset({"hidden", "values", "queries", "heads", "gradients"})
"""What a capture keeps beside the weights, by the same words as in `NEEDS`."""
BESIDE = frozenset({"logits", "gradients", "pixels", "module", "run"})
"""What a subject gives beside captures."""


def explain(subject: Subject, name: str, *, target: int | None = None, tower: str = "vision", **options: Any) -> TokenMap:
    """The map of a method.

    Args:
        subject: from `model_adapters.subject`.
        name: of a method of kind "map".
        target: the class (caption, token) that is explained; by default the predicted one.
        tower: which tower's attention is read.
        options: those of the method; a site may be given as a number within the tower (by default the last one with keys on
            the image), and `others` as subjects.
    """
    if reason := why_not(subject, name, target=target, tower=tower):
        raise ValueError(reason)
    chosen = find(name)
    asked = inspect.signature(chosen.function).parameters
    if unknown := sorted(set(options) - set(asked)):
        raise ValueError(f"{chosen.title} has no option {unknown[0]!r}. It has {sorted(set(asked) - set(_MAKERS))}.")
    made = {n: make(subject, chosen, target, tower) for n, make in _MAKERS.items() if n in asked}
    if "site" in asked:
        made["site"] = _site(subject, tower, options.pop("site", None))
    if "others" in options:
        options["others"] = _captures(options["others"])
    return chosen.function(**made, **options)


def why_not(subject: Subject, name: str, *, target: int | None = None, tower: str = "vision") -> str | None:
    """The sentence that says why a map cannot be made of this subject; None where it can. Runs what the map needs, once."""
    chosen = find(name)
    if chosen.kind != "map":
        names = [m.name for m in methods("map")]
        raise ValueError(f"{chosen.title} makes no map but something of the kind {chosen.kind!r}. Maps are made by {names}.")
    if reason := model_lacks(subject, chosen):
        return reason
    if "capture" not in inspect.signature(chosen.function).parameters:
        return chosen.why_not(BESIDE | {"grid"})
    try:
        capture = subject.capture(_wants(chosen), target)
    except AdapterError as error:
        return f"{chosen.why_not(chosen.needs - WANTED) or chosen.title + ' cannot be made.'} {error}"
    return chosen.why_not(offers(capture, tower) | (BESIDE - {"gradients"}))


def model_lacks(subject: Subject, chosen: Method) -> str | None:
    """The sentence that says what a method needs and the model cannot give, whatever the picture; None where it can."""
    refusals = subject.refusals
    refused = sorted(chosen.needs & set(refusals))
    if not refused:
        return None
    reason = refusals[refused[0]]
    # Without scores there is no score of changed pictures either: what is missing is named by its cause.
    lacking = "logits" if reason == refusals.get("logits") else refused[0]
    return f"{chosen.title} {NEEDS[lacking]}. {reason}"


def offered(subject: Subject, tower: str = "vision") -> frozenset[str]:
    """The needs that this subject can meet at all, in the words of `NEEDS`. Runs the model with everything kept."""
    beside = BESIDE - set(subject.refusals)
    wanted = WANTED if "gradients" in beside else WANTED - {"gradients"}
    try:
        capture = subject.capture(wanted, None)
    except AdapterError:
        capture = subject.capture(WANTED - {"gradients"}, None)
    return offers(capture, tower) - set(subject.refusals) | beside


def faithful(
    subject: Subject,
    shown: TokenMap,
    *,
    target: int | None = None,
    mask: np.ndarray | None = None,
    again: Callable[[Subject], TokenMap] | None = None,
    **options: Any,
) -> Faithfulness:
    """How faithful a map is to the model before this very picture; `faithfulness` with the subject's own score.

    Args:
        subject: what the map is of.
        shown: the map.
        target: the class that was explained; by default the predicted one.
        mask: [height, width] bool of the object that was asked for.
        again: makes the map of another subject, for the sensitivity.
        options: those of `faithfulness`.
    """
    if reason := subject.refusals.get("logits"):
        raise ValueError(f"Faithfulness {NEEDS['logits']}. {reason}")
    made = None if again is None else lambda picture: again(subject.before(picture))
    return faithfulness(subject.score(target), shown, subject.image, mask=mask, explain=made, **options)


def randomised(
    subject: Subject, name: str, *, target: int | None = None, layers: int | None = None, seed: int = 0, **options: Any
) -> Curve:
    """How similar a map stays while the model's layers are shuffled, from the last; `randomisation_check` of a subject.

    Args:
        subject: what is explained.
        name: of a method of kind "map".
        target: the class; by default the one that the model as it is predicts.
        layers: how many layers are shuffled at most; all by default.
        seed: of the shuffling.
        options: those of the method.
    """
    aim = subject.aim(target) if subject.classes else None

    def shown(count: int) -> TokenMap:
        return explain(subject.shuffled(count, seed) if count else subject, name, target=aim, **options)

    return randomisation_check(shown, len(subject.layers) if layers is None else layers)


def _wants(chosen: Method) -> frozenset[str]:
    return chosen.needs & WANTED


def _given(kind: type, source: Any) -> Any:
    """A record of this package filled from one of the same fields."""
    return kind(**{f.name: getattr(source, f.name) for f in fields(kind)})


def _readout(subject: Subject, chosen: Method, target: int | None, tower: str) -> Readout:
    parts = subject.readout(target)
    return Readout(**{f.name: getattr(parts, f.name) for f in fields(Readout) if f.name != "tower"}, tower=tower)


_MAKERS: dict[str, Callable[[Subject, Method, int | None, str], Any]] = {
    "capture": lambda subject, chosen, target, tower: subject.capture(_wants(chosen), target),
    "forward": lambda subject, chosen, target, tower: subject.forward(),
    "relevance": lambda subject, chosen, target, tower: subject.relevance(),
    "pixels": lambda subject, chosen, target, tower: _given(Pixels, subject.pixels()),
    "target": lambda subject, chosen, target, tower: subject.aim(target),
    "readout": _readout,
    "tower": lambda subject, chosen, target, tower: tower,
}
"""How each argument of a method comes from a subject."""


def _site(subject: Subject, tower: str, site: Site | str | int | None) -> Site:
    """The site of this name, or of this number within its tower; the last one with keys on the image where none is given."""
    capture = subject.capture(frozenset(), None)
    if isinstance(site, Site | str):
        return site_of(capture, site)
    sites = [s for s in capture.sites if s.tower == tower]
    if site is None:
        return next(s for s in reversed(sites) if capture.layouts[s].keys.placed.any())
    if not -len(sites) <= site < len(sites):
        raise ValueError(f"site {site} was asked for, but the tower {tower!r} has {len(sites)}.")
    return sites[site]


def _captures(others: Sequence[Any]) -> tuple[Capture, ...]:
    """Captures, given as such or as subjects."""
    return tuple(o if isinstance(o, Capture) else o.capture(frozenset(), None) for o in others)
