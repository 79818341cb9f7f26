"""Who is this head: its type, its pattern, its typical pictures, its relatives, and what the answer is without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ui import pictures
from ui.jobs import Progress
from ui.results.heads import Text, affordable, each_subject, largest_object, name_of, row_of, subject_for
from ui.results.windows import joined_windows

if TYPE_CHECKING:
    from analysis.head_types import HeadTypes
    from analysis.patterns import AlignedMaps
    from analysis.results import HeadMatrix, Profile, TokenMap
    from model_adapters import Model, Site, Subject

TYPICAL = 5
RELATIVES = 5
ANSWERS = 6
"""Classes whose probabilities are shown before and after."""


@dataclass(frozen=True, eq=False)
class Portraits:
    """What all heads of a tower do over a set of scenes."""

    types: HeadTypes
    maps: AlignedMaps
    profile: Profile
    distance: HeadMatrix
    entropy: HeadMatrix
    evidence: np.ndarray
    """[B, L, H, M]: the measures of each picture alone."""
    energy: np.ndarray | None
    """[B, L, H]: how many times its area the largest object gets; None where attention is not square."""
    ids: tuple[str, ...]
    """[B] the scenes."""


def why_no_portraits(model: Model, picture: pictures.Picture, text: Text, tower: str) -> str:
    """Why the heads of a tower have no patterns and no types; empty where they have."""
    import model_adapters as ma
    from analysis.offsets import has_pairs

    subject = subject_for(model, picture, text)
    seen = ma.capture(model, subject.inputs, keep=ma.Keep(queries=(0,)))
    layouts = [seen.layouts[site] for site in seen.sites if site.tower == tower]
    if any(has_pairs(layout) for layout in layouts):
        return ""
    told = next((layout.reason for layout in layouts if layout.reason), "its tokens are no patches of a picture")
    return f"In the {tower} tower no patch attends to patches ({told}), so its heads have no pattern and no type."


def portraits(model: Model, ids: Sequence[str], text: Text, tower: str, progress: Progress) -> Portraits:
    """Capture a set of scenes and sum up every head of a tower; fewer scenes where attention would not fit."""
    from analysis import find
    from analysis.head_measures import head_measures
    from analysis.head_types import head_types
    from analysis.patterns import aligned_maps

    first = subject_for(model, pictures.picture(ids[0]), text)
    ids = tuple(ids[: affordable(model, first, len(ids))])
    captures, evidence, energies, seen = [], [], [], []
    for picture, subject in each_subject(model, ids, text, progress, (0.0, 0.8)):
        capture = joined_windows(subject.capture())
        captures.append(capture)
        evidence.append(head_measures([capture], tower=tower).values)
        energies.append(_energy(capture, picture, tower))
        seen.append([find(name).function(capture, tower=tower) for name in ("ring_profile", *_NUMBERS)])
    progress.step(0.85, "naming types")
    types = head_types(head_measures(captures, tower=tower))
    progress.step(0.95, "averaging patterns")
    profile, distance, entropy = (_mean([s[n] for s in seen]) for n in range(3))
    energy = None if any(e is None for e in energies) else np.stack([e for e in energies if e is not None])
    maps = aligned_maps(captures, tower=tower)
    return Portraits(types, maps, profile, distance, entropy, np.stack(evidence), energy, ids)


_NUMBERS = ("attention_distance", "attention_entropy")


def _mean(found: list[Any]) -> Any:
    return replace(found[0], values=np.mean([each.values for each in found], axis=0))


def _energy(capture: Any, picture: pictures.Picture, tower: str) -> np.ndarray | None:
    """[L, H] on the largest object; None where attention is not square."""
    from analysis import offers
    from analysis.object_energy import object_energy

    name = largest_object(picture)
    mask = picture.mask(name) if name is not None else None
    if mask is None or "square" not in offers(capture, tower):
        return None
    return object_energy([capture], [mask], tower=tower).values


@dataclass(frozen=True)
class Kind:
    """A head's type and the numbers that gave it."""

    type: str
    parts: tuple[str, ...]
    confidence: float
    offset: tuple[int, int]
    evidence: tuple[tuple[str, float, float], ...]
    """(measure, value, threshold), the ones furthest above their threshold first; unknown ones are left out."""


def kind_of(found: Portraits, site: Site, head: int) -> Kind | None:
    """What kind of head it is; None where its layer has no patches that attend to patches."""
    types = found.types
    row = row_of(types.sites, site)
    if row is None or not types.types[row, head]:
        return None
    limits = dict(types.thresholds)
    values = dict(zip(types.measures.names, types.measures.values[row, head], strict=True))
    known = [(name, float(value), limits[name]) for name, value in values.items() if not np.isnan(value)]
    ordered = sorted(known, key=lambda each: each[2] - each[1])
    dy, dx = types.measures.offsets[row, head]
    parts = tuple(str(types.parts[row, head]).split(" + "))
    return Kind(str(types.types[row, head]), parts, float(types.confidence[row, head]), (int(dy), int(dx)), tuple(ordered))


@dataclass(frozen=True)
class Typical:
    """The pictures on which a head is most itself."""

    ids: tuple[str, ...]
    values: tuple[float, ...]
    """What they were chosen by."""
    reason: str
    """How they were chosen."""


def typical(found: Portraits, site: Site, head: int) -> Typical | None:
    """The scenes on which the measure that names the head is largest, or else its attention on the largest object."""
    row = row_of(found.types.sites, site)
    kind = kind_of(found, site, head)
    if row is None or kind is None:
        return None
    single = kind.type in found.types.measures.names and kind.type != "content"
    if single:
        scores = found.evidence[:, row, head, found.types.measures.names.index(kind.type)]
        reason = f"where “{kind.type}”, the measure that names its type, is largest"
    elif found.energy is not None:
        scores = found.energy[:, row, head]
        reason = "where it looks most at the largest object, for the object's area"
    else:
        scores = found.evidence[:, row, head, found.types.measures.names.index(kind.evidence[0][0])]
        reason = f"where “{kind.evidence[0][0]}”, its strongest measure, is largest"
    best = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")[:TYPICAL]
    reason = f"Of {len(found.ids)} drawn scenes, those {reason}."
    return Typical(tuple(found.ids[i] for i in best), tuple(float(scores[i]) for i in best), reason)


def received(model: Model, id: str, text: Text, site: Site, head: int) -> TokenMap:
    """What each patch receives from one head, on average over the patches (one layer is captured, and no more)."""
    import model_adapters as ma
    from analysis.attention_rows import on_image, size_of
    from analysis.strength_rows import windows

    subject = subject_for(model, pictures.picture(id), text)
    capture = joined_windows(ma.capture(model, subject.inputs, keep=ma.Keep(sites=(site.name,))))
    layout = capture.layouts[site]
    per = len(layout.keys) // layout.windows
    values = np.zeros(len(layout.keys))
    for window in windows(capture, site):
        placed = window.queries.placed
        start = int(window.numbers[0]) // (len(layout.queries) // layout.windows) * per
        if placed.any():
            values[start : start + per] = window.weights[0, head][placed].mean(0)
    return on_image(values, layout.keys, size_of(capture, layout), label="weight that the patch receives")


@dataclass(frozen=True)
class Relative:
    """Another head with a like pattern."""

    layer: int
    """Row of the tower's head matrix."""
    head: int
    alike: float
    """Cosine of what sets the two mean patterns apart from the mean of all heads, -1 to 1."""


def relatives(found: Portraits, sites: Sequence[Site], site: Site, head: int) -> tuple[Relative, ...]:
    """The heads of the tower whose mean pattern is most like this one's, wherever they are."""
    from analysis.projections import nearest

    places = [(row_of(sites, other), number) for other, number in found.maps.heads]
    own = (row_of(sites, site), head)
    if own not in places or len(places) < 2:
        return ()
    vectors = found.maps.vectors()
    # All weights are positive, so the patterns of any two heads are alike; what differs is how they depart from the mean.
    near = nearest(vectors - vectors.mean(0), count=min(RELATIVES, len(places) - 1))
    index = places.index(own)
    order = zip(near.index[index], near.distance[index], strict=True)
    return tuple(Relative(places[i][0] or 0, places[i][1], 1 - float(distance)) for i, distance in order)


def pattern(found: Portraits, site: Site, head: int) -> np.ndarray | None:
    """[rows, columns] the head's mean pattern; None where it has none."""
    own = next((i for i, (s, h) in enumerate(found.maps.heads) if (s.name, s.call, h) == (site.name, site.call, head)), None)
    return None if own is None else found.maps.values[own]


@dataclass(frozen=True)
class Without:
    """The answer with and without one head."""

    names: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    """Probabilities of the classes that are likeliest before or after."""
    target: int
    """Which of them it is about."""


def without(model: Model, subject: Subject, text: Text, site: Site, head: int, target: int) -> Without:
    """Run the model with this one head silent."""
    from scipy.special import softmax

    from model_adapters import Where, edits

    if reason := subject.refusals.get("logits"):
        raise ValueError(reason)
    run = subject.run()
    before = softmax(run(())[0])
    after = softmax(run((edits.Gate(Where(sites=(site.name,), heads=(head,)), 0.0),))[0])
    order = [target, *(int(i) for i in np.argsort(-np.maximum(before, after), kind="stable") if i != target)][:ANSWERS]
    names = tuple(name_of(model, text, i) for i in order)
    return Without(names, tuple(before[order].tolist()), tuple(after[order].tolist()), 0)
