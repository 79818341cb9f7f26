"""Reading attention out of a capture: one site, the layers of a tower, and the query rows that speak for the answer.

What a method cannot do with a capture is refused here with the reason, so that the methods hold only their formula.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from analysis.registry import NEEDS
from analysis.results import TokenMap
from model_adapters import Capture, Layout, Rows, Site

Reader = Literal["auto", "class", "mean", "last"]
"""Whose view a map shows: the class token, the mean of all tokens with a place, the last token, or the first that fits.

Where all queries are learned and have no place (a pooling layer), "auto" is the mean of them all.
"""


Fuse = Literal["mean", "max", "min"]


def fused(weights: np.ndarray, how: Fuse) -> np.ndarray:
    """[Q, K]: the heads of [H, Q, K] put together."""
    if how == "mean":
        return weights.mean(0)
    return weights.max(0) if how == "max" else weights.min(0)


def site_of(capture: Capture, site: Site | str | int) -> Site:
    """The site of this name, number or address, of those kept."""
    if isinstance(site, int):
        if not -len(capture.sites) <= site < len(capture.sites):
            raise ValueError(f"site {site} was asked for, but the capture keeps {len(capture.sites)} sites.")
        return capture.sites[site]
    found = next((s for s in capture.sites if site in (s, s.name)), None)
    if found is None:
        raise ValueError(f"site {site!r} was asked for, but the capture keeps {[s.name for s in capture.sites][:6]}.")
    return found


def kept_weights(capture: Capture, site: Site) -> tuple[np.ndarray, np.ndarray]:
    """[H, Q, K] float64 of one picture, and the numbers of the kept query rows."""
    weights = capture.weights[site]
    if site.kind == "factorised":
        raise ValueError(f"{site.name} spreads every feature over the tokens: it has no token-to-token weights.")
    _one(weights, f"the weights of {site.name}")
    return weights.astype(np.float64), np.asarray(capture.rows[site])


def weights_of(capture: Capture, site: Site) -> np.ndarray:
    """[H, Q, K] float64: all query rows of a site of one picture."""
    weights, kept = kept_weights(capture, site)
    queries = capture.shapes[site][1]
    if not np.array_equal(kept, np.arange(queries)):
        raise ValueError(f"all {queries} query rows of {site.name} are needed, but {len(kept)} were kept: Keep(queries='all').")
    return weights


def tower_weights(capture: Capture, tower: str) -> tuple[list[np.ndarray], Rows]:
    """Per layer [H, N, N] from the first to the last, and the tokens that they all share."""
    rows = tower_tokens(capture, tower)
    return [weights_of(capture, s) for s in capture.sites if s.tower == tower], rows


def tower_tokens(capture: Capture, tower: str) -> Rows:
    """The tokens that all layers of a tower share; other towers are refused."""
    if reason := why_not_square(capture, tower):
        raise ValueError(f"Every layer's square attention is needed: {reason}")
    return capture.layouts[next(s for s in capture.sites if s.tower == tower)].queries


def why_not_square(capture: Capture, tower: str) -> str | None:
    """Why the layers of a tower cannot be multiplied with each other; None where they can."""
    met = [s for s in capture.shapes if s.tower == tower]
    if not met:
        return f"there is no attention in the tower {tower!r}; there is in {sorted({s.tower for s in capture.shapes})}."
    missing = [s.name for s in met if s not in capture.weights]
    if missing:
        return f"the weights of {missing[0]} and {len(missing) - 1} more were not kept."
    if len({s.layer for s in met}) < len(met):
        return f"{met[0].tower} has several attentions in one layer."
    first = capture.layouts[met[0]].queries
    for site in met:
        layout = capture.layouts[site]
        if site.kind == "factorised" or not layout.square:
            return f"{site.name} {NEEDS['square']}."
        if not same_tokens(layout.queries, first):
            return f"{site.name} works on other tokens than {met[0].name}."
    return None


def same_tokens(first: Rows, second: Rows) -> bool:
    """Whether two sets of rows are the same tokens in the same order."""
    alike = len(first) == len(second) and np.array_equal(first.roles, second.roles)
    return bool(alike and np.allclose(first.boxes, second.boxes, equal_nan=True, atol=1e-3))


def reading(rows: Rows, read: Reader) -> np.ndarray:
    """[N], sums to 1: how much each query row counts in what is shown."""
    chosen = {"class": rows.where("class"), "mean": np.flatnonzero(rows.placed), "last": np.array([len(rows) - 1])}
    if read == "auto":
        text = len(rows.where("text", "question", "answer", "system", "bos"))
        read = "class" if len(chosen["class"]) else "last" if text else "mean"
        if not len(chosen[read]) and len(rows) == len(rows.where("query")):
            chosen[read] = np.arange(len(rows))
    if not len(chosen[read]):
        raise ValueError(f"read={read!r} was asked for, but no token has that role. The roles are {sorted(set(rows.roles))}.")
    share = np.zeros(len(rows))
    share[chosen[read]] = 1 / len(chosen[read])
    return share


def on_image(
    values: np.ndarray, rows: Rows, size: tuple[int, int], *, image: int = 0, label: str = "", signed: bool = False
) -> TokenMap:
    """The values of those tokens that lie on one image, as a map."""
    here = np.flatnonzero(rows.placed & np.isin(rows.image, (image, -1)))
    if not len(here):
        raise ValueError(f"none of the {len(rows)} tokens lies on image {image}: there is nothing to draw.")
    return TokenMap(np.asarray(values)[here], rows.take(here), size, signed, label)


def on_layer(
    capture: Capture, site: Site, values: np.ndarray, rows: Rows, *, image: int, label: str, signed: bool = False
) -> TokenMap:
    """Values of tokens of one site as a map that is named after its layer."""
    size = size_of(capture, capture.layouts[site])
    return on_image(values, rows, size, image=image, signed=signed, label=f"{label}, {site.label}")


def as_read(capture: Capture, tower: str, matrix: np.ndarray, *, read: Reader, image: int, label: str) -> TokenMap:
    """What the reading tokens see of [N, N] from each token of a whole tower to each of its inputs, as a map."""
    rows = tower_tokens(capture, tower)
    return on_image(reading(rows, read) @ matrix, rows, tower_size(capture, tower), image=image, label=label)


def size_of(capture: Capture, layout: Layout) -> tuple[int, int]:
    """(width, height) of the original image."""
    return layout.size if layout.size != (0, 0) or capture.size is None else capture.size


def tower_size(capture: Capture, tower: str) -> tuple[int, int]:
    """(width, height) of the image that the tokens of a tower lie on."""
    return size_of(capture, capture.layouts[next(s for s in capture.sites if s.tower == tower)])


def gradients_of(capture: Capture, site: Site) -> np.ndarray:
    """[H, Q, K] float64: the gradient of the target with respect to the weights of a site."""
    if site not in capture.gradients:
        raise ValueError(f"gradients of {site.name} are needed. Capture with want={{'gradients'}}.")
    gradient = capture.gradients[site]
    _one(gradient, f"the gradients of {site.name}")
    return gradient.astype(np.float64)


def _one(array: np.ndarray, what: str) -> None:
    if array.ndim != 3:
        raise ValueError(f"{what} must be [H, Q, K] of one picture. Got shape {array.shape}: capture pictures one by one.")
