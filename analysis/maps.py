"""Attention itself as a map: raw, and weighted by the length of what is attended to."""

from __future__ import annotations

import numpy as np

from analysis.attention_rows import Fuse, Reader, fused, kept_weights, on_layer, reading, site_of
from analysis.registry import method
from analysis.results import TokenMap
from model_adapters import Capture, Layout, Rows, Site


@method(
    title="Raw attention",
    kind="map",
    cites=("dosovitskiy2021",),
    needs={"weights", "grid"},
    range="0 to 1 per token",
    misleads="It shows where one layer mixes tokens that are mixtures already; being attended to is not mattering.",
)
def raw_attention(
    capture: Capture,
    *,
    site: Site | str | int = -1,
    head: int | None = None,
    query: int | None = None,
    image: int = 0,
    fuse: Fuse = "mean",
    read: Reader = "auto",
) -> TokenMap:
    """How much of one layer's attention goes to each place on the image.

    Windowed layers are laid back onto the image: each place gets what the queries of its own window give it.

    Args:
        capture: with the weights of the site.
        site: which attention; the last kept by default.
        head: one head; all of them fused by default.
        query: one query row; by default the rows that `read` names.
        image: which of several images.
        fuse: how heads are put together.
        read: whose view is shown where no query is given.
    """
    chosen = site_of(capture, site)
    weights, kept = kept_weights(capture, chosen)
    values, rows = view(fused(_heads(weights, head, chosen), fuse), kept, capture.layouts[chosen], query, read)
    return on_layer(capture, chosen, values, rows, image=image, label="attention")


@method(
    title="Value-weighted attention",
    kind="map",
    cites=("kobayashi2020",),
    needs={"weights", "values", "grid"},
    range="0 and above",
    misleads="The length of a value says nothing of its direction: long values may cancel, or lie where nobody reads them.",
)
def value_weighted_attention(
    capture: Capture,
    *,
    site: Site | str | int = -1,
    head: int | None = None,
    query: int | None = None,
    image: int = 0,
    fuse: Fuse = "mean",
    read: Reader = "auto",
) -> TokenMap:
    """Attention times the length of the attended value: how much each place really adds to the head's output.

    After Kobayashi et al.; the output projection is left out, so lengths are those of the value vectors. Options are
    those of `raw_attention`.
    """
    chosen = site_of(capture, site)
    layout = capture.layouts[chosen]
    weights, kept = kept_weights(capture, chosen)
    weights = _heads(weights * _value_lengths(capture, chosen, layout.windows)[:, kept], head, chosen)
    values, rows = view(fused(weights, fuse), kept, layout, query, read)
    return on_layer(capture, chosen, values, rows, image=image, label="attention x value")


def view(weights: np.ndarray, kept: np.ndarray, layout: Layout, query: int | None, read: Reader) -> tuple[np.ndarray, Rows]:
    """What the chosen query rows see: values and the key rows they belong to.

    One row sees the keys of its window; a mean is taken within each window, so every window keeps its own scale.

    Args:
        weights: [Q, K] weights of the kept rows.
        kept: [Q] the numbers of these rows.
        layout: of the site.
        query: one row number; None for those that `read` names.
        read: whose view.
    """
    if query is not None:
        if query not in kept:
            raise ValueError(
                f"query row {query} was asked for, but {len(kept)} rows from {kept.min()} to {kept.max()} were kept."
            )
        return weights[int(np.flatnonzero(kept == query)[0])], layout.keys_of(query)
    share = reading(layout.queries, read)
    if missing := set(np.flatnonzero(share)) - set(kept.tolist()):
        raise ValueError(f"{len(missing)} query rows of read={read!r} were not kept. Use Keep(queries='all'), or give a row.")
    windows = share.reshape(layout.windows, -1)
    total = windows.sum(1, keepdims=True)
    windows = np.divide(windows, total, out=np.zeros_like(windows), where=total > 0)
    row_window = kept // windows.shape[1]
    values = np.zeros((layout.windows, weights.shape[1]))
    np.add.at(values, row_window, windows.ravel()[kept][:, None] * weights)
    return values.ravel(), layout.keys


def _heads(weights: np.ndarray, head: int | None, site: Site) -> np.ndarray:
    if head is None:
        return weights
    if not 0 <= head < len(weights):
        raise ValueError(f"head {head} of {site.name} was asked for, but heads 0 to {len(weights) - 1} were kept.")
    return weights[head : head + 1]


def _value_lengths(capture: Capture, site: Site, windows: int) -> np.ndarray:
    """[H, Q, K]-broadcastable lengths of the values that each query row meets."""
    if site not in capture.values:
        raise ValueError(f"the values of {site.name} are needed. Capture with want={{'values'}}.")
    lengths = np.linalg.norm(capture.values[site].astype(np.float64), axis=-1)
    _, queries, keys = capture.shapes[site]
    if len(lengths) != len(capture.weights[site]):
        raise ValueError(f"{site.name} has values of {len(lengths)} heads but weights of {len(capture.weights[site])}.")
    return np.repeat(lengths.reshape(len(lengths), windows, keys), queries // windows, axis=1)
