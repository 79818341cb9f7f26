"""Which part of a head's map is it that matters: prune the class row, the class column, the patches, or one ring of hops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np

from analysis.answer_changes import Change, changes
from analysis.importance_results import PartialEffects
from analysis.intervals import mean_interval
from analysis.registry import Range, method
from analysis.runs import Run
from analysis.strength_rows import hops
from model_adapters import Layout, Site, Where
from model_adapters.edits import Edit, Gate, ScalePairs, ScaleWeights, Values


@method(
    title="Partial pruning",
    kind="partial",
    cites=("li2023",),
    needs={"run", "weights", "grid"},
    range="that of the measure",
    misleads="Parts do not add up to the whole head; and without renormalising, less weight also means a smaller output.",
)
def partial_pruning(
    run: Run,
    site: Site,
    layout: Layout,
    labels: np.ndarray | None = None,
    *,
    heads: Sequence[int] | None = None,
    most_hops: Annotated[int, Range(0, 64)] = 3,
    renormalise: bool = False,
    measure: Change = "loss change",
    rounds: Annotated[int, Range(10, 10000)] = 1000,
) -> PartialEffects:
    """What happens to the answer when only a part of a head's weights is pruned (after Li et al.; our definition).

    Args:
        run: edits -> logits [B, C].
        site: the layer.
        layout: where its rows lie.
        labels: [B] the right classes; the predicted ones by default.
        heads: which heads; all by default.
        most_hops: rings from 0 (the patch itself) to so many hops are pruned one by one.
        renormalise: bring what is left of a row back to its sum.
        measure: how the change is stated.
        rounds: draws of images for the interval.
    """
    heads = tuple(range(site.heads)) if heads is None else tuple(heads)
    base = run(())
    names = parts_of(layout, most_hops)
    each = np.stack(
        [
            [changes(base, run((part_edit(site, layout, name, head, renormalise),)), labels, measure) for name in names]
            for head in heads
        ]
    )
    low = high = None
    if each.shape[-1] > 1:
        low, high = mean_interval(np.moveaxis(each, -1, 0), rounds=rounds)
    return PartialEffects(names, heads, each.mean(-1), site, low, high, measure)


def parts_of(layout: Layout, most_hops: int = 3) -> tuple[str, ...]:
    """The parts that a site of this layout has."""
    if not layout.square:
        raise ValueError(
            "partial pruning needs square attention over one set of tokens; here queries and keys differ or lie in windows."
        )
    found = ["whole head"]
    if len(layout.queries.where("class")):
        found += ["class row", "class column"]
    if layout.queries.placed.any():
        found.append("patch to patch")
        last = min(int(hops(layout.queries, layout.keys).max()), most_hops)
        found += [f"ring {hop}" for hop in range(last + 1)]
    return tuple(found)


def part_edit(site: Site, layout: Layout, part: str, head: int, renormalise: bool = False) -> Edit:
    """The edit that prunes one part of one head.

    A whole row cannot be brought back to its sum: pruned, it stays empty.
    """
    here = Where(sites=(site.name,), heads=(head,))
    if part == "whole head":
        return Gate(here, 0.0)
    if part.startswith("ring "):
        kept = (hops(layout.queries, layout.keys) != int(part.removeprefix("ring "))).astype(np.float32)
        return ScalePairs(here, Values(kept), renormalise)
    classes, patches = (tuple(n.tolist()) for n in (layout.queries.where("class"), np.flatnonzero(layout.queries.placed)))
    if part == "class row":
        here = replace(here, queries=classes)
    elif part == "class column":
        here = replace(here, keys=classes)
    elif part == "patch to patch":
        here = replace(here, queries=patches, keys=patches)
    else:
        raise ValueError(f"part {part!r} was asked for; there are {', '.join(map(repr, parts_of(layout)))}.")
    return ScaleWeights(here, 0.0, renormalise)
