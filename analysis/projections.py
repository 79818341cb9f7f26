"""Points in two dimensions: queries with keys, hidden states, heads; and who lies next to whom in all dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from analysis.patterns import AlignedMaps
from analysis.placing import Watch, by_t_sne, by_umap
from analysis.registry import Range, method
from analysis.results import Embedding
from analysis.token_rows import hidden_of, is_batch, layer_key, rows_of, some_patches_of
from model_adapters import Capture, Site

Projection = Literal["pca", "umap", "t-sne"]


@dataclass(frozen=True, eq=False)
class JointEmbedding:
    """Queries and keys of one head in one space."""

    embedding: Embedding
    """Kinds are "query" and "key"; the index counts tokens through all images."""
    vectors: np.ndarray
    """[P, D] the same points in all dimensions: queries first, then keys."""
    scale: float
    """Queries are multiplied and keys divided by it, which leaves their products as they are."""
    correlation: float
    """Between distance and product over pairs of a query and a key: -1 where near means attended."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Who lies next to whom."""

    index: np.ndarray
    """[P, S] the nearest points, nearest first, without the point itself."""
    distance: np.ndarray
    """[P, S]."""


def project(
    vectors: np.ndarray,
    *,
    by: Projection = "pca",
    neighbours: int = 15,
    seed: int = 0,
    label: str = "",
    watch: Watch | None = None,
) -> Embedding:
    """Points [P, D] in two dimensions: by PCA at once, or by UMAP or t-SNE, which keep neighbourhoods but no distances.

    Args:
        vectors: the points in all dimensions.
        by: how they are placed.
        neighbours: how many UMAP holds together.
        seed: of UMAP and t-SNE.
        label: what the points are.
        watch: told by UMAP and t-SNE which share is done; what it raises stops them.
    """
    vectors = np.asarray(vectors, np.float64)
    if len(vectors) < 4:
        raise ValueError(f"at least 4 points are needed for a projection. Got {len(vectors)}.")
    explained = None
    if by == "pca":
        fitted = PCA(2, svd_solver="covariance_eigh").fit(vectors)
        points, explained = fitted.transform(vectors), float(fitted.explained_variance_ratio_.sum())
    elif by == "t-sne":
        points = by_t_sne(vectors, seed, watch)
    elif by == "umap":
        points = by_umap(vectors, neighbours, seed, watch)
    else:
        raise ValueError(f"by must be 'pca', 'umap' or 't-sne'. Got {by!r} instead.")
    return Embedding(np.asarray(points, np.float64), ("point",) * len(points), np.arange(len(points)), explained, label)


@method(
    title="Joint embedding of queries and keys",
    kind="embedding",
    cites=("yeh2024",),
    needs={"weights", "queries"},
    range="two dimensions; correlation of distance with product from -1 to 1",
    misleads="Two dimensions keep little of a head; trust the correlation and the neighbours rather than the picture.",
)
def query_key_embedding(
    captures: Sequence[Capture],
    site: Site,
    head: int,
    *,
    by: Projection = "pca",
    seed: int = 0,
    watch: Watch | None = None,
) -> JointEmbedding:
    """Which queries and keys of a head lie together: near ones attend to each other, as far as the correlation says.

    Keys are moved so that their middle is that of the queries, which changes no weight, because it adds the same number to
    a whole row. Then queries are multiplied and keys divided by the number for which distance goes best with product. After
    AttentionViz; the choice of that number is our definition.
    """
    queries = np.concatenate([_heads(c, "queries", site)[:, head] for c in captures]).reshape(-1, _width(captures[0], site))
    keys = np.concatenate([_heads(c, "keys", site)[:, head] for c in captures]).reshape(-1, queries.shape[1])
    keys = keys - keys.mean(0) + queries.mean(0)
    scale, correlation = best_scale(queries, keys, seed=seed)
    vectors = np.concatenate([queries * scale, keys / scale])
    found = project(vectors, by=by, seed=seed, watch=watch)
    kinds = ("query",) * len(queries) + ("key",) * len(keys)
    index = np.concatenate([np.arange(len(queries)), np.arange(len(keys))])
    label = f"queries and keys of {site.label}, head {head}"
    return JointEmbedding(Embedding(found.points, kinds, index, found.explained, label), vectors, scale, correlation)


def best_scale(queries: np.ndarray, keys: np.ndarray, *, pairs: int = 4000, seed: int = 0) -> tuple[float, float]:
    """The number by which queries are multiplied and keys divided so that distance goes best with product, and how well."""
    rng = np.random.default_rng(seed)
    q, k = queries[rng.integers(len(queries), size=pairs)], keys[rng.integers(len(keys), size=pairs)]
    products = (q * k).sum(-1)
    longer = float(np.sqrt((keys**2).mean() / max(float((queries**2).mean()), 1e-12)))
    scales = max(np.sqrt(longer), 1e-6) * np.logspace(-1, 1, 41)
    distances = [np.linalg.norm(q * s - k / s, axis=-1) for s in scales]
    correlations = [_correlation(d, products) for d in distances]
    best = int(np.argmin(correlations))
    return float(scales[best]), float(correlations[best])


@method(
    title="Hidden states of a layer",
    kind="embedding",
    needs={"hidden"},
    range="two dimensions",
    misleads="UMAP and t-SNE make groups of noise, too; distances between groups mean nothing there.",
)
def hidden_embedding(
    captures: Sequence[Capture],
    *,
    tower: str = "vision",
    layer: int = -1,
    by: Projection = "pca",
    seed: int = 0,
    watch: Watch | None = None,
) -> Embedding:
    """Which tokens of a layer are alike, over all images; the index counts tokens through all images."""
    states = [hidden_of(c, tower, layer) for c in captures]
    vectors = np.concatenate([s.reshape(-1, s.shape[-1]) for s in states])
    found = project(vectors, by=by, seed=seed, watch=watch)
    kinds: list[str] = []
    for capture, state in zip(captures, states, strict=True):
        rows = rows_of(capture, *layer_key(capture, tower, layer), state.shape[1])
        kinds += (["unknown"] * state.shape[1] if rows is None else [str(r) for r in rows.roles]) * len(state)
    return Embedding(found.points, tuple(kinds), found.index, found.explained, f"{tower} layer {layer}")


@method(
    title="Heads as points",
    kind="embedding",
    cites=("li2023",),
    needs={"weights", "grid"},
    range="two dimensions",
    misleads="Heads with the same pattern may read quite different things from the same places.",
)
def head_embedding(
    maps: AlignedMaps, *, by: Projection = "pca", seed: int = 0, watch: Watch | None = None
) -> Embedding:
    """Which heads have similar patterns."""
    found = project(maps.vectors(), by=by, seed=seed, watch=watch)
    return Embedding(found.points, ("head",) * len(maps.heads), found.index, found.explained, "patterns of heads")


@method(
    title="Nearest neighbours",
    kind="embedding",
    range="cosine distance from 0 to 2, euclidean from 0",
    misleads="There is always a nearest one, however far it is: see the distance.",
)
def nearest(
    vectors: np.ndarray, *, count: Annotated[int, Range(1, 50)] = 5, distance: Literal["cosine", "euclidean"] = "cosine"
) -> Neighbours:
    """The points that lie next to each point, in all dimensions."""
    count = min(count, len(vectors) - 1)
    fitted = NearestNeighbors(n_neighbors=count, metric=distance).fit(vectors)
    distances, index = fitted.kneighbors()
    return Neighbours(index, distances)


@dataclass(frozen=True, eq=False)
class PatchColours:
    """Patch features as colours: alike features, alike colours, in all images."""

    colours: np.ndarray
    """[B, N, 3] from 0 to 1; NaN for tokens that are no patches."""
    explained: np.ndarray
    """[3] share of variance of each colour."""
    layer: int
    tower: str


@method(
    title="Patch features as colours",
    kind="colours",
    cites=("oquab2024",),
    needs={"hidden", "grid"},
    range="red, green and blue from 0 to 1: the first three principal components",
    misleads="Colours mean nothing by themselves, and sinks may take a whole component: remove them or the artefact first.",
)
def patch_colours(
    captures: Sequence[Capture], *, tower: str = "vision", layer: int = -1, artefact: Literal["kept", "removed"] = "kept"
) -> PatchColours:
    """Which patches have similar features, across images: the first three principal components as red, green, blue."""
    features = np.concatenate([hidden_of(c, tower, layer) for c in captures]).astype(np.float64)
    place = layer_key(captures[0], tower, layer)
    patches = some_patches_of(rows_of(captures[0], *place, features.shape[1]), features.shape[1])
    if artefact == "removed":
        if len(features) < 2:
            raise ValueError("at least 2 images are needed to remove what belongs to the position. Got 1.")
        features = features - features.mean(0)
    chosen = features[:, patches]
    fitted = PCA(3, svd_solver="covariance_eigh").fit(chosen.reshape(-1, chosen.shape[-1]))
    codes = fitted.transform(chosen.reshape(-1, chosen.shape[-1]))
    low, high = np.percentile(codes, [1, 99], axis=0)
    colours = np.full((*features.shape[:2], 3), np.nan)
    colours[:, patches] = np.clip((codes - low) / np.maximum(high - low, 1e-12), 0, 1).reshape(*chosen.shape[:2], 3)
    return PatchColours(colours, fitted.explained_variance_ratio_, place[1], tower)


def _heads(capture: Capture, name: Literal["queries", "keys"], site: Site) -> np.ndarray:
    """[B, H, N, D]; heads that share their keys get them each."""
    held = capture.queries if name == "queries" else capture.keys
    if site not in held:
        raise ValueError(f"the {name} of {site.name} are needed; want={{'queries'}} would keep them.")
    array = np.asarray(held[site], np.float64)
    array = array if is_batch(capture) else array[None]
    return array.repeat(site.heads // array.shape[1], 1) if array.shape[1] < site.heads else array


def _width(capture: Capture, site: Site) -> int:
    return _heads(capture, "queries", site).shape[-1]


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    spread = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 0 else 0.0
