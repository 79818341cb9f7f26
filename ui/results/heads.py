"""What the pages about heads share: the heads of a tower, sets of scenes with their right answers, and averages over them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ui import pictures
from ui.jobs import Progress
from ui.pictures import Picture
from ui.results.windows import windowed

if TYPE_CHECKING:
    from analysis.results import HeadMatrix
    from model_adapters import Model, Site, Subject

Text = str | tuple[str, ...] | None
"""A question, captions, or nothing: as `ui.pickers.text` gives it."""
FIRST_SCENE = 200
"""Sets of scenes begin here, so that they are others than those offered one by one."""
MOST_BYTES = 600_000_000
"""Captures of a set that are held at once."""


def sites_of(model: Model, tower: str) -> tuple[Site, ...]:
    """The rows of a tower's head matrix: every attention that was met, in the order of execution.

    Windows of a picture that a layer attends to one after the other are one row.
    """
    found = tuple(site for site in model.report.seen if site.tower == tower)
    names = windowed(found)
    return tuple(site for site in found if site.call == 0 or site.name not in names)


def site_at(model: Model, tower: str, layer: int, head: int) -> tuple[Site, int]:
    """The chosen head, or the nearest that exists: a selection outlives a change of the model.

    Args:
        model: the model.
        tower: one of its towers.
        layer: row of the tower's head matrix; -1 is the last.
        head: number of the head.
    """
    sites = sites_of(model, tower)
    if not sites:
        raise ValueError(
            f"{model.name} has no heads in a tower {tower!r}. It has {sorted({site.tower for site in model.report.seen})}."
        )
    site = sites[layer] if -len(sites) <= layer < len(sites) else sites[-1]
    return site, min(max(head, 0), site.heads - 1)


def row_of(sites: Sequence[Site], site: Site) -> int | None:
    """Which row of a matrix belongs to this site; None where the matrix leaves it out."""
    return next((row for row, other in enumerate(sites) if (other.name, other.call) == (site.name, site.call)), None)


def scene_ids(count: int, first: int = FIRST_SCENE) -> tuple[str, ...]:
    """A set of drawn scenes."""
    return tuple(f"scene:{number}" for number in range(first, first + count))


def largest_object(picture: Picture) -> str | None:
    """The category of which most can be seen; None where nobody knows what is shown."""
    if not picture.objects:
        return None
    return max(picture.objects, key=lambda item: int(item[1].sum()))[0]


def subject_for(model: Model, picture: Picture, text: Text = None) -> Subject:
    """The model looking at a picture, with what it reads beside it."""
    import model_adapters as ma

    if text is None:
        return ma.subject(model, picture.array)
    return ma.subject(model, picture.array, list(text) if isinstance(text, tuple) else text)


def name_of(model: Model, text: Text, number: int) -> str:
    """What people call an answer: a class, a caption, a token."""
    import model_adapters as ma

    if model.kind == "lvlm":
        return str(model.processor.tokenizer.decode([number])).strip() or f"token {number}"
    names = ma.class_names(model, text)
    return names[number] if number < len(names) else f"class {number}"


def true_label(model: Model, picture: Picture, text: Text) -> int | None:
    """The number of the class, or of the only caption, that names the largest object of a drawn scene."""
    name = largest_object(picture)
    if name is None or model.kind == "lvlm":
        return None
    if isinstance(text, tuple):
        found = [number for number, caption in enumerate(text) if name in re.findall(r"\w+", caption.lower())]
        return found[0] if len(found) == 1 else None
    return model.labels.index(name) if model.labels and name in model.labels else None


def label_of(model: Model, picture: Picture, text: Text, subject: Subject) -> int:
    """The right answer where it is known, otherwise the predicted one."""
    known = true_label(model, picture, text)
    return subject.aim(None) if known is None else known


def each_subject(
    model: Model, ids: Sequence[str], text: Text, progress: Progress, share: tuple[float, float] = (0.0, 1.0)
) -> Iterator[tuple[Picture, Subject]]:
    """The model looking at one picture of a set after the other; tells how far it is."""
    start, end = share
    for number, id in enumerate(ids):
        progress.step(start + (end - start) * number / len(ids), f"{pictures.title(id)}, {number + 1} of {len(ids)}")
        picture = pictures.picture(id)
        yield picture, subject_for(model, picture, text)


def pass_seconds(subject: Subject) -> float:
    """How long one plain pass takes: the best of three, for the first is slow and others may be at work."""
    import model_adapters as ma

    took = []
    for _ in range(3):
        start = time.perf_counter()
        ma.run(subject.model, subject.inputs)
        took.append(time.perf_counter() - start)
    return min(took)


def affordable(model: Model, subject: Subject, count: int) -> int:
    """How many captures of all attention can be held at once: at most `count`, at least 2."""
    import model_adapters as ma

    size = max(ma.estimate(model, subject.inputs, ma.Keep()).bytes, 1)
    return max(2, min(count, MOST_BYTES // size))


def averaged(
    each: np.ndarray, sites: Sequence[Site], *, signed: bool = False, label: str = "", unit: str = "", rounds: int = 1000
) -> HeadMatrix:
    """Numbers [B, L, H] of B pictures as one matrix, with a bootstrap interval where there are several pictures."""
    from analysis.intervals import mean_interval
    from analysis.results import HeadMatrix

    low = high = None
    if len(each) > 1:
        low, high = mean_interval(each, rounds=rounds)
    return HeadMatrix(each.mean(0), tuple(sites), signed, label, unit, low, high)


@dataclass(frozen=True, eq=False)
class HeadNumber:
    """One number of one head, among all heads."""

    value: float
    low: float | None
    high: float | None
    place: int
    """1 is the highest."""
    of: int
    """How many heads have this number."""


def number_of(matrix: HeadMatrix, site: Site, head: int) -> HeadNumber | None:
    """What a matrix says of one head; None where it says nothing."""
    row = row_of(matrix.sites, site)
    if row is None or head >= matrix.values.shape[1] or np.isnan(matrix.values[row, head]):
        return None
    value = float(matrix.values[row, head])
    low, high = (None if end is None else float(end[row, head]) for end in (matrix.low, matrix.high))
    known = matrix.values[np.isfinite(matrix.values)]
    return HeadNumber(value, low, high, int((known > value).sum()) + 1, len(known))
