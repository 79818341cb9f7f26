"""How much of a head's attention falls on an object whose mask is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from analysis.registry import method
from analysis.results import HeadMatrix
from analysis.token_rows import patches_of, whole_attention_of
from model_adapters import Capture, Rows


@method(
    title="Attention on the object",
    kind="head",
    cites=("li2023",),
    needs={"weights", "square", "grid", "mask"},
    range="1 where the object gets its share of the area, more where it is looked at",
    misleads="Looking at the object is not using it; a head may find it for another one to read.",
)
def object_energy(
    captures: Sequence[Capture],
    masks: Sequence[np.ndarray],
    *,
    tower: str = "vision",
    query: Literal["class", "patches", "object"] = "patches",
) -> HeadMatrix:
    """How many times its share of the area an object gets of each head's attention between patches.

    Args:
        captures: one per image.
        masks: [height, width] bool, in pixels of the original image, one per capture.
        tower: whose heads.
        query: whose rows: the class token's, all patches', or those of patches that lie on the object.
    """
    sites = tuple(s for s in captures[0].sites if s.tower == tower and captures[0].layouts[s].square)
    if not sites:
        raise ValueError(f"square attention of the {tower} tower is needed; the captures have none.")
    found = np.full((len(captures), len(sites), max(s.heads for s in sites)), np.nan)
    for image, (capture, mask) in enumerate(zip(captures, masks, strict=True)):
        for row, site in enumerate(sites):
            keys = capture.layouts[site].keys
            cover = coverage(keys, np.asarray(mask, bool))
            patches = np.flatnonzero(patches_of(keys, len(keys)) & keys.placed)
            rows = _rows(keys, cover, query)
            weights = whole_attention_of(capture, site)[0][:, rows][:, :, patches].mean(1)
            share = (weights * cover[patches]).sum(-1) / np.maximum(weights.sum(-1), 1e-12)
            found[image, row, : len(share)] = share / max(cover[patches].mean(), 1e-12)
    return HeadMatrix(found.mean(0), sites, label="attention on the object", unit="times its area")


def coverage(rows: Rows, mask: np.ndarray) -> np.ndarray:
    """[N]: the share of each token's box that the mask covers; 0 where there is no box."""
    height, width = mask.shape
    covered = np.zeros(len(rows))
    for token in np.flatnonzero(rows.placed):
        x0, y0, x1, y1 = np.round(rows.boxes[token]).astype(int)
        inside = mask[max(y0, 0) : min(max(y1, y0 + 1), height), max(x0, 0) : min(max(x1, x0 + 1), width)]
        covered[token] = inside.mean() if inside.size else 0.0
    return covered


def _rows(rows: Rows, cover: np.ndarray, query: str) -> np.ndarray:
    if query == "class":
        found = rows.where("class")
    else:
        found = np.flatnonzero(patches_of(rows, len(rows)) & rows.placed & ((cover > 0.5) | (query == "patches")))
    if not found.size:
        raise ValueError(f"no row of {query!r} was found; 'patches' always works.")
    return found
