"""How strongly heads attend where, over one picture or a set: matrices, profiles by hop, and one patch's rings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ui.jobs import Progress
from ui.pictures import Picture
from ui.results.heads import Text, averaged, each_subject, largest_object
from ui.results.windows import joined_windows

if TYPE_CHECKING:
    from analysis.registry import Method
    from analysis.results import HeadMatrix, Profile, TokenMap
    from model_adapters import Capture, Model, Site, Subject

OF_ATTENTION = frozenset({"weights", "grid", "square", "mask", "heads"})
"""What a head's strength may be read off; importances need more."""
FIRST = "attention_distance"


def strengths() -> tuple[Method, ...]:
    """Every registered number per head that is read off attention, the distance first."""
    import analysis

    found = [m for m in analysis.methods("head") if "weights" in m.needs and m.needs <= OF_ATTENTION]
    return tuple(sorted(found, key=lambda m: m.name != FIRST))


def why_not(method: Method, capture: Capture, tower: str, picture: Picture, options: dict[str, Any]) -> str | None:
    """The sentence that says why a strength cannot be shown; None where it can."""
    from analysis import offers

    options = {option.name: option.default for option in method.options} | options
    offered = offers(capture, tower) | {"heads"} | ({"mask"} if picture.objects else set())
    if reason := method.why_not(offered):
        wanting = " Choose a drawn scene: what it shows is known." if "mask" in method.needs and not picture.objects else ""
        return reason + wanting
    if "class" in (options.get("to"), options.get("rows"), options.get("query")) and "class_token" not in offered:
        return f"{method.title} of the class token needs one; this tower has none. The rows of patches work."
    if (options.get("rows") == "patches" or "grid" in method.needs) and not any_rows(capture, tower):
        return f"{method.title} is read off the rows of patches; in this tower no row that asks lies on the picture."
    if options.get("to") == "registers" and not _has(capture, tower, "register"):
        return "This tower has no registers. The share to sinks or to the token itself works."
    return None


def any_rows(capture: Capture, tower: str) -> bool:
    """Whether any row of the tower lies on the picture and meets keys that do."""
    layouts = [capture.layouts[site] for site in capture.sites if site.tower == tower and site.kind != "factorised"]
    return any(layout.queries.placed.any() and layout.keys.placed.any() for layout in layouts)


def _has(capture: Capture, tower: str, role: str) -> bool:
    return any(len(capture.layouts[s].keys.where(role)) for s in capture.sites if s.tower == tower)


def wanted(options: dict[str, Any]) -> frozenset[str]:
    """What the capture must keep beside the weights."""
    return frozenset({"heads"} if options.get("of") == "outputs" else ())


def strength(subject: Subject, picture: Picture, method: Method, tower: str, options: dict[str, Any]) -> HeadMatrix:
    """One strength of every head on one picture."""
    capture = joined_windows(subject.capture(wanted(options)))
    if "mask" in method.needs:
        return method.function([capture], [_mask(picture)], tower=tower, **options)
    return method.function(capture, tower=tower, **options)


def _mask(picture: Picture) -> np.ndarray:
    name = largest_object(picture)
    mask = picture.mask(name) if name is not None else None
    if mask is None:
        raise ValueError("What this picture shows is not known. Choose a drawn scene.")
    return mask


def strength_over(
    model: Model, ids: Sequence[str], text: Text, method: Method, tower: str, options: dict[str, Any], progress: Progress
) -> HeadMatrix:
    """One strength of every head over a set of scenes, with intervals."""
    found = [strength(subject, picture, method, tower, options) for picture, subject in each_subject(model, ids, text, progress)]
    first = found[0]
    each = np.stack([matrix.values for matrix in found])
    return averaged(each, first.sites, signed=first.signed, label=first.label, unit=first.unit)


def profile(subject: Subject, tower: str, per_pair: bool) -> Profile:
    """Every head's weight by hop on one picture."""
    from analysis.strength import ring_profile

    return ring_profile(joined_windows(subject.capture()), tower=tower, per_pair=per_pair)


def profile_over(model: Model, ids: Sequence[str], text: Text, tower: str, per_pair: bool, progress: Progress) -> Profile:
    """Every head's weight by hop, averaged over a set of scenes."""
    found = [profile(subject, tower, per_pair) for _, subject in each_subject(model, ids, text, progress)]
    known = np.stack([p.values for p in found])
    return replace(found[0], values=known.mean(0))


@dataclass(frozen=True, eq=False)
class Rings:
    """One head's weight around one patch, ring by ring."""

    map: TokenMap
    """The mean weight that the patch gives to one patch of each ring, at every place of the ring."""
    mass: np.ndarray
    """[S] what it gives to each ring in all."""
    usual: np.ndarray
    """[S] the same for the head's mean patch."""
    row: int
    """The patch's row."""
    elsewhere: float
    """What it gives to tokens without a place."""


def rows_of(capture: Capture, site: Site) -> np.ndarray:
    """The query rows that lie on the picture."""
    return np.flatnonzero(capture.layouts[site].queries.placed)


def row_at(capture: Capture, site: Site, wanted: str, picture: Picture) -> int:
    """The chosen row, or else the patch in the middle of the largest object, or of the picture."""
    rows = rows_of(capture, site)
    if not len(rows):
        raise ValueError(f"{site.label} has no token that lies on the picture, so there is nothing to draw rings around.")
    if wanted.isdigit() and int(wanted) in rows:
        return int(wanted)
    name = largest_object(picture)
    height, width = picture.array.shape[:2]
    centre = np.array([width / 2, height / 2])
    mask = picture.mask(name) if name is not None else None
    if mask is not None:
        centre = np.argwhere(mask).mean(0)[::-1]
    boxes = capture.layouts[site].queries.boxes[rows]
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    return int(rows[((middles - centre) ** 2).sum(1).argmin()])


def rings(capture: Capture, site: Site, head: int, row: int) -> Rings:
    """One head's rings around one patch."""
    from analysis.attention_rows import on_image, size_of
    from analysis.strength_rows import ring, windows

    mine = [replace(w, weights=w.weights[:1, head : head + 1]) for w in windows(capture, site)]
    here = next(w for w in mine if row in w.numbers)
    place = int(np.flatnonzero(here.numbers == row)[0])
    away = here.hops[place]
    steps = range(int(max(w.hops.max() for w in mine)) + 1)
    masses = [np.concatenate([ring(w, hop, False)[0, 0][w.queries.placed] for w in mine]) for hop in steps]
    own = np.array([ring(here, hop, False)[0, 0, place] for hop in steps])
    per_pair = own / np.maximum([(away == hop).sum() for hop in steps], 1)
    label = f"weight per patch of the ring, {site.label}, head {head}"
    values = np.where(away >= 0, per_pair[away], 0.0)
    shown = on_image(values, here.keys, size_of(capture, capture.layouts[site]), label=label)
    return Rings(shown, own, np.array([m.mean() for m in masses]), row, float(1 - own.sum()))


def trend(found: Profile) -> Profile:
    """Layers by hops: the mean over the heads of each layer."""
    from analysis.trends import profile_trend

    return profile_trend(found)
