"""A name for what a head does, by thresholds that can be seen and moved, with a confidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from analysis.head_measures import HeadMeasures
from analysis.registry import Range, method
from model_adapters import Site

Share = Annotated[float, Range(0, 1, 0.05)]
HYBRID, UNCLEAR = "hybrid", "unclear"


@dataclass(frozen=True, eq=False)
class HeadTypes:
    """One type per head."""

    types: np.ndarray
    """[L, H] of str: a measure's name, "hybrid" or "unclear"; "" where there is no such head."""
    parts: np.ndarray
    """[L, H] of str: the types that a hybrid is made of; otherwise the type itself."""
    confidence: np.ndarray
    """[L, H]: how far above its threshold the type is, 0 to 1; for unclear ones how far below all."""
    measures: HeadMeasures
    thresholds: tuple[tuple[str, float], ...]

    @property
    def sites(self) -> tuple[Site, ...]:
        """[L]."""
        return self.measures.sites


@method(
    title="Head types",
    kind="pattern",
    cites=("li2023",),
    needs={"weights", "grid"},
    range="class, register, sink, self, diagonal, row, column, local, content, global, hybrid, unclear",
    misleads="A name is a cut through a continuum: move the thresholds before believing a count.",
)
def head_types(
    measures: HeadMeasures,
    *,
    to_class: Share = 0.4,
    to_register: Share = 0.4,
    sink: Share = 0.3,
    to_self: Share = 0.4,
    diagonal: Share = 0.5,
    row: Share = 0.4,
    column: Share = 0.4,
    local: Share = 0.4,
    content: Share = 0.4,
    everywhere: Share = 0.9,
) -> HeadTypes:
    """What kind of head each one is: where most of its attention goes, whatever the image, or because of it.

    "diagonal" is one fixed offset, such as the previous patch; "content" changes with the image; "hybrid" passes several
    thresholds of which none is a special case of another; "unclear" passes none.
    """
    limits = (to_class, to_register, sink, to_self, diagonal, row, column, local, content, everywhere)
    thresholds = tuple(zip(measures.names, limits, strict=True))
    shape = measures.values.shape[:2]
    types, parts = np.full(shape, "", object), np.full(shape, "", object)
    confidence = np.full(shape, np.nan)
    for place in np.ndindex(*shape):
        values = dict(zip(measures.names, measures.values[place], strict=True))
        if not np.isnan(values["global"]):
            types[place], parts[place], confidence[place] = _type(values, dict(thresholds), tuple(measures.offsets[place]))
    return HeadTypes(types, parts, confidence, measures, thresholds)


def _type(values: dict[str, float], limits: dict[str, float], offset: tuple[int, ...]) -> tuple[str, str, float]:
    passing = {name for name, value in values.items() if value >= limits[name]}
    passing -= _implied(passing, offset)
    if not passing:
        reached = max(values[n] / limits[n] for n in values if not np.isnan(values[n]) and limits[n] > 0)
        return UNCLEAR, UNCLEAR, float(np.clip(1 - reached, 0, 1))
    margins = {n: (values[n] - limits[n]) / max(1 - limits[n], 1e-12) for n in passing}
    ordered = sorted(passing, key=lambda n: -margins[n])
    confidence = float(np.clip(min(margins.values()), 0, 1))
    return (ordered[0] if len(ordered) == 1 else HYBRID), " + ".join(ordered), confidence


def _implied(passing: set[str], offset: tuple[int, ...]) -> set[str]:
    """Types that follow from a more special one: one offset lies in a row, a sink that moves depends on the content."""
    implied = set()
    if "diagonal" in passing:
        dy, dx = offset
        implied |= {"row"} if dy == 0 else set()
        implied |= {"column"} if dx == 0 else set()
        implied |= {"local"} if max(abs(dy), abs(dx)) <= 1 else set()
    if "sink" in passing:
        implied |= {"content"}
    return implied
