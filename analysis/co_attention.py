"""Relevance across two streams of tokens: where learned queries or words read the image by cross-attention.

In a Q-Former, in BLIP and in DETR the image is one stream, and what reads it another. Each has its own self-attention;
only cross-attention carries relevance from one to the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.attention_rows import on_image, reading, same_tokens, tower_size, tower_tokens
from analysis.registry import NEEDS, method
from analysis.relevance import positive_step, summed_relevance
from analysis.results import TokenMap
from model_adapters import Capture, Rows, Site


@dataclass(frozen=True, eq=False)
class Streams:
    """The image's tokens, the sites of the tower that reads them, and which of these are cross-attention."""

    image: Rows
    sites: tuple[Site, ...]
    """Of the reading tower, in the order of execution."""
    crosses: frozenset[Site]


def streams(capture: Capture, tower: str = "vision") -> Streams | None:
    """The two streams of a capture; None where nothing reads the tower's tokens by cross-attention."""
    image = _tokens_of(capture, tower)
    if image is None:
        return None
    crosses = [s for s in capture.sites if s.tower != tower and _reads(capture, s, image)]
    if not crosses:
        return None
    sites = tuple(s for s in capture.sites if s.tower == crosses[-1].tower)
    return Streams(image, sites, frozenset(crosses))


@method(
    title="Gradient x attention, two streams",
    kind="map",
    cites=("chefer2021",),
    needs={"weights", "gradients", "grid", "cross"},
    range="0 and above; the scale is that of the gradient",
    misleads="Only positive evidence through attention weights is kept; a learned query may stand for no place at all.",
)
def co_attention_relevance(capture: Capture, *, tower: str = "vision", image: int = 0, query: int | None = None) -> TokenMap:
    """How relevant each place is for the target, where another stream of tokens reads the image by cross-attention.

    By the rules for two streams: self-attention adds (gradient x attention)+ R within a stream, cross-attention carries the
    image's relevance over, both normalised. Where a decoder goes on with the reading tokens, its own relevance says how
    much each of them counts: a second hop, our addition.

    Args:
        capture: with weights and gradients of all layers.
        tower: whose tokens lie on the image.
        image: which of several images.
        query: one of the reading tokens; by default those that the answer is read from, or the mean of all.
    """
    found = streams(capture, tower)
    if found is None:
        raise ValueError(f"Relevance across two streams {NEEDS['cross']}.")
    sites = [s for s in capture.sites if s.tower == tower]
    own = summed_relevance([positive_step(capture, s) for s in sites if _is_self(capture, s, found.image)])
    across = carried_over(capture, found, own)
    share = _share(capture, found, len(across), query)
    label = "gradient x attention, two streams"
    return on_image(share @ across, found.image, tower_size(capture, tower), image=image, label=label)


def carried_over(capture: Capture, found: Streams, own: np.ndarray) -> np.ndarray:
    """[Q, N]: the relevance of the image's tokens for each reading token, given that within the image [N, N]."""
    count = max(capture.shapes[s][1] for s in found.sites)
    within, across = np.eye(count), np.zeros((count, len(own)))
    image = normalised(own)
    for site in found.sites:
        step = positive_step(capture, site)
        if site in found.crosses:
            whole = np.zeros((count, len(own)))
            whole[: len(step)] = step  # in a Q-Former the queries stand in front of the words, and they alone look
            across = across + normalised(within).T @ whole @ image
        else:
            across, within = across + step @ across, within + step @ within
    return across


def normalised(relevance: np.ndarray) -> np.ndarray:
    """[N, N]: what was added to the identity, rows scaled to sum to 1, and the identity again."""
    added = relevance - np.eye(len(relevance))
    total = added.sum(-1, keepdims=True)
    return np.divide(added, total, out=np.zeros_like(added), where=total > 0) + np.eye(len(relevance))


def _share(capture: Capture, found: Streams, count: int, query: int | None) -> np.ndarray:
    """[Q]: how much each reading token counts."""
    if query is not None:
        if not 0 <= query < count:
            raise ValueError(f"reading token {query} was asked for, but there are {count}.")
        return np.eye(count)[query]
    own = next(s for s in reversed(found.sites) if capture.shapes[s][1] == count)
    behind = _decoder_behind(capture, found)
    if behind is None:
        return reading(capture.layouts[own].queries, "auto")
    rows = tower_tokens(capture, behind)
    sites = [s for s in capture.sites if s.tower == behind]
    relevance = summed_relevance([positive_step(capture, s) for s in sites])
    columns = rows.where("query", "image")
    share = np.zeros(count)
    share[: len(columns)] = relevance[-1, columns]
    return share


def _decoder_behind(capture: Capture, found: Streams) -> str | None:
    """The tower behind the reading one whose sequence holds the reading tokens."""
    last = capture.sites.index(found.sites[-1])
    for site in capture.sites[last + 1 :]:
        reads = capture.layouts[site].queries.where("query", "image")
        if len(reads) and len(reads) < len(capture.layouts[site].queries):
            return site.tower
    return None


def _tokens_of(capture: Capture, tower: str) -> Rows | None:
    """The tokens of a tower's self-attention that lie on the image."""
    for site in capture.sites:
        layout = capture.layouts[site]
        if site.tower == tower and layout.square and layout.queries.placed.any():
            return layout.queries
    return None


def _reads(capture: Capture, site: Site, image: Rows) -> bool:
    layout = capture.layouts[site]
    return layout.windows == 1 and not layout.queries.placed.any() and same_tokens(layout.keys, image)


def _is_self(capture: Capture, site: Site, image: Rows) -> bool:
    layout = capture.layouts[site]
    return layout.square and same_tokens(layout.queries, image)
