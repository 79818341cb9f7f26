"""Queries, keys and hidden states of several pictures as points, with the tokens that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from ui import pictures
from ui.jobs import Progress
from ui.pictures import Picture
from ui.point_map.points import Gallery, Tokens
from ui.results.embedding_tokens import KEY, QUERY, joined, tokens_of
from ui.results.heads import Text, affordable, row_of, sites_of, subject_for
from ui.results.windows import joined_windows

if TYPE_CHECKING:
    from analysis.placing import Watch
    from analysis.projections import JointEmbedding, PatchColours
    from analysis.results import Embedding, HeadMatrix
    from model_adapters import Capture, Model, Rows, Site

By = Literal["pca", "umap", "t-sne"]
LINKS = 5
"""Lines from a query to the keys that it looks at most."""
PANEL_POINTS = 360
"""Queries and keys, each, in a small scatter."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A model that has looked at several pictures."""

    captures: tuple[Capture, ...]
    """One per picture."""
    pictures: tuple[Picture, ...]
    tower: str
    gallery: Gallery
    offered: frozenset[str]
    """What the captures can be asked for, in the words of `analysis.registry.NEEDS`."""

    @property
    def sites(self) -> tuple[Site, ...]:
        """The attention computations of the tower."""
        return tuple(site for site in self.captures[0].sites if site.tower == self.tower)


def companions(first: Picture, count: int, offset: int = 0) -> tuple[str, ...]:
    """The chosen picture and scenes beside it."""
    others = (f"scene:{number}" for number in range(offset, offset + count))
    return (first.id, *[id for id in others if id != first.id][: count - 1])


def look(model: Model, shown: Sequence[Picture], text: Text, tower: str, progress: Progress) -> Seen:
    """Run the model on each picture and keep attention, queries, keys and hidden states of one tower."""
    import model_adapters as ma
    from analysis import offers

    sites = tuple(site.name for site in sites_of(model, tower))
    first = subject_for(model, shown[0], text)
    most = affordable(model, first, len(shown)) if len(shown) > 1 else 1
    captures = []
    for number, picture in enumerate(shown[:most]):
        progress.step(number / most, f"{picture.title}, {number + 1} of {most}")
        subject = first if number == 0 else subject_for(model, picture, text)
        seen = ma.capture(model, subject.inputs, keep=ma.Keep(sites=sites), want={"hidden", "queries"})
        captures.append(joined_windows(seen))
    _same_tokens(captures, tower, shown)
    gallery = Gallery.of([p.array for p in shown[:most]], [p.title for p in shown[:most]])
    return Seen(tuple(captures), tuple(shown[:most]), tower, gallery, offers(captures[0], tower))


def _same_tokens(captures: Sequence[Capture], tower: str, shown: Sequence[Picture]) -> None:
    for capture, picture in zip(captures, shown, strict=False):
        sizes = [[c.shapes[s] for s in c.sites if s.tower == tower] for c in (captures[0], capture)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"This model makes other numbers of tokens of {shown[0].title} than of {picture.title}. "
                "Choose one picture, or a drawn scene to begin with."
            )


def why_no_queries(seen: Seen) -> str | None:
    """The sentence that says why queries and keys cannot be shown; None where they can."""
    import analysis

    return analysis.find("query_key_embedding").why_not(seen.offered)


def same_head(seen: Seen, site: Site, head: int) -> tuple[Site, int]:
    """A head of the model, as the captures know its site."""
    row = row_of(seen.sites, site)
    if row is None:
        raise ValueError(f"{site.name} was not met on these pictures. The tower's sites are {[s.name for s in seen.sites]}.")
    return seen.sites[row], head


@dataclass(frozen=True, eq=False)
class HeadPoints:
    """Queries and keys of one head over all pictures: queries first, then keys."""

    joint: JointEmbedding
    tokens: Tokens
    links: np.ndarray
    """[P, K] the keys that a query looks at most; the queries that look at a key most."""
    strength: np.ndarray
    """[P, K] the attention between them."""


def head_points(seen: Seen, site: Site, head: int, by: By = "pca", watch: Watch | None = None) -> HeadPoints:
    """One head's queries and keys in one space."""
    from analysis.projections import query_key_embedding

    joint = query_key_embedding(seen.captures, site, head, by=by, watch=watch)
    # Kept for many heads at once: half the precision is more than distances need.
    joint = replace(joint, vectors=joint.vectors.astype(np.float32))
    sides = [tokens_of(seen.pictures, [getattr(c.layouts[site], side) for c in seen.captures]) for side in ("queries", "keys")]
    links, strength = _links(seen, site, head)
    return HeadPoints(joint, joined(sides[0], sides[1]), links, strength)


def _links(seen: Seen, site: Site, head: int) -> tuple[np.ndarray, np.ndarray]:
    """For each query its top keys of the same picture, for each key its top queries, as numbers of points."""
    from analysis.token_rows import attention_of

    weights = [attention_of(capture, site)[0, head] for capture in seen.captures]
    queries, keys = weights[0].shape
    found = [_top(w) for w in weights] + [_top(w.T) for w in weights]
    starts = [len(weights) * queries + n * keys for n in range(len(weights))] + [n * queries for n in range(len(weights))]
    links = [index + start for (index, _), start in zip(found, starts, strict=True)]
    return np.concatenate(links), np.concatenate([strength for _, strength in found])


def _top(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    count = min(LINKS, weights.shape[1])
    order = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    widened = np.pad(order, ((0, 0), (0, LINKS - count)), mode="edge")
    return widened, np.take_along_axis(weights, widened, 1)


@dataclass(frozen=True, eq=False)
class Panels:
    """All heads of a tower as small scatters."""

    points: np.ndarray
    """[P, M, 2] bytes."""
    kinds: np.ndarray
    """[M] query or key."""
    places: np.ndarray
    """[P, 2] head and row of each scatter."""
    correlation: HeadMatrix
    """How well distance stands for attention in each head."""
    images: int


def panels(seen: Seen, progress: Progress, pictures_used: int = 2) -> Panels:
    """A small scatter for every head, of the first pictures, with as many points as can be told apart."""
    from analysis.projections import query_key_embedding
    from analysis.results import HeadMatrix

    captures, sites = seen.captures[:pictures_used], seen.sites
    correlation = np.full((len(sites), max(site.heads for site in sites)), np.nan)
    found: list[np.ndarray] = []
    places, kinds = [], np.zeros(0)
    for row, site in enumerate(sites):
        progress.step(row / len(sites), f"layer {row}")
        for head in range(site.heads):
            joint = query_key_embedding(captures, site, head)
            correlation[row, head] = joint.correlation
            chosen, kinds = _spread(np.array([kind == "key" for kind in joint.embedding.kinds]))
            if found and len(chosen) != len(found[0]):
                raise ValueError(
                    "The layers of this tower have different numbers of queries and keys, so their heads cannot be drawn side "
                    "by side. Its hidden states and the colours of its patches can be shown: choose them above."
                )
            found.append(_bytes(joint.embedding.points[chosen]))
            places.append((head, row))
    matrix = HeadMatrix(correlation, sites, signed=True, label="distance against product")
    return Panels(np.stack(found), kinds, np.array(places), matrix, len(captures))


def _spread(is_key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Evenly chosen points of both kinds, and their kinds."""
    sides = [np.flatnonzero(is_key == side) for side in (False, True)]
    chosen = [side[np.unique(np.linspace(0, len(side) - 1, min(PANEL_POINTS, len(side))).astype(int))] for side in sides]
    return np.concatenate(chosen), np.repeat([QUERY, KEY], [len(side) for side in chosen])


def _bytes(points: np.ndarray) -> np.ndarray:
    """Points in a square of 256 by 256, both directions on one scale."""
    low, high = points.min(0), points.max(0)
    scale = 255 / max(float((high - low).max()), 1e-12)
    return np.clip(np.rint(127.5 + (points - (low + high) / 2) * scale), 0, 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class StatePoints:
    """Hidden states of one layer over all pictures."""

    embedding: Embedding
    tokens: Tokens
    vectors: np.ndarray
    """[P, D]."""


def state_points(seen: Seen, layer: int, by: By = "pca", watch: Watch | None = None) -> StatePoints:
    """The tokens at the input of a layer (behind the last one: the output) as points."""
    from analysis.projections import hidden_embedding
    from analysis.token_rows import hidden_of, layer_key, rows_of

    embedding = hidden_embedding(seen.captures, tower=seen.tower, layer=layer, by=by, watch=watch)
    states = [hidden_of(capture, seen.tower, layer)[0] for capture in seen.captures]
    rows = [rows_of(c, *layer_key(c, seen.tower, layer), len(s)) for c, s in zip(seen.captures, states, strict=True)]
    return StatePoints(embedding, tokens_of(seen.pictures, rows, [len(s) for s in states]), np.concatenate(states))


def layers(seen: Seen) -> tuple[int, ...]:
    """The layers whose hidden states are there."""
    from analysis.token_rows import layers_of

    return layers_of(seen.captures[0], seen.tower)


def neighbours(
    vectors: np.ndarray, item: int, candidates: np.ndarray, *, distance: Literal["cosine", "euclidean"], count: int = 8
) -> list[tuple[int, float]]:
    """The points nearest to one point, in all dimensions.

    Args:
        vectors: [P, D].
        item: the point.
        candidates: numbers of the points that may be neighbours.
        distance: cosine, or euclidean.
        count: how many.
    """
    import analysis

    others = candidates[candidates != item]
    found = analysis.find("nearest").function(np.concatenate([vectors[[item]], vectors[others]]), count=count, distance=distance)
    return [(int(others[i - 1]), float(d)) for i, d in zip(found.index[0], found.distance[0], strict=True)]


def known_pictures(ids: Sequence[str], first: Picture) -> tuple[Picture, ...]:
    """The pictures of these ids; the first one is given, because it may be an upload."""
    return (first, *(pictures.picture(id) for id in ids[1:]))


@dataclass(frozen=True, eq=False)
class Colours:
    """Patch features as colours, with and without what belongs to the position."""

    kept: PatchColours
    removed: PatchColours | None
    """None for a single picture: position and content cannot be told apart."""
    position: float
    """Share of the features' spread that the position explains; 0 for a single picture."""
    rows: tuple[Rows, ...]
    """Where the tokens of each picture lie."""


def colours(seen: Seen, layer: int) -> Colours:
    """Patch features of a layer as red, green and blue."""
    from analysis.position_artefact import position_artefact
    from analysis.projections import patch_colours
    from analysis.token_rows import hidden_of, layer_key, rows_of
    from model_adapters import Rows

    several = len(seen.captures) > 1
    kept = patch_colours(seen.captures, tower=seen.tower, layer=layer)
    removed = patch_colours(seen.captures, tower=seen.tower, layer=layer, artefact="removed") if several else None
    position = position_artefact(seen.captures, tower=seen.tower, layer=layer).explained if several else 0.0
    counts = [hidden_of(capture, seen.tower, layer).shape[1] for capture in seen.captures]
    found = [rows_of(c, *layer_key(c, seen.tower, layer), n) for c, n in zip(seen.captures, counts, strict=True)]
    rows = tuple(r if r is not None else Rows.plain(["unknown"] * n) for r, n in zip(found, counts, strict=True))
    return Colours(kept, removed, position, rows)
