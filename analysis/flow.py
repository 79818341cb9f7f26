"""Attention flow: how much could stream from the reading token down to each input token, through all layers."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import maximum_flow

from analysis.attention_rows import Reader, on_image, reading, tower_size, tower_weights
from analysis.registry import Range, method
from analysis.results import TokenMap
from analysis.rollout import mixed
from model_adapters import Capture

SCALE = 2**24
"""Capacities are whole numbers; a row of attention sums to this many."""
LARGEST = 50_000
"""Edges of the graph beyond which the flow is refused: it is solved once per token."""


@method(
    title="Attention flow",
    kind="map",
    cites=("abnar2020",),
    needs={"weights", "square", "grid", "small"},
    range="0 to 1 per token",
    misleads="Flows to two tokens may use the same weights, so values do not add up; it knows no class and no MLP.",
)
def attention_flow(
    capture: Capture,
    *,
    tower: str = "vision",
    image: int = 0,
    residual: Annotated[float, Range(0, 1, 0.05)] = 0.5,
    read: Reader = "auto",
) -> TokenMap:
    """The most that could stream from each input token to the reading token if weights were the widths of pipes.

    Only for small models: one maximum flow is solved per token.

    Args:
        capture: with the weights of all layers.
        tower: which tower.
        image: which of several images.
        residual: the share of the skip connection.
        read: whose view is shown.
    """
    layers, rows = tower_weights(capture, tower)
    edges = len(layers) * len(rows) ** 2
    if edges > LARGEST:
        raise ValueError(
            f"attention flow of {len(layers)} layers of {len(rows)} tokens has {edges} edges; up to {LARGEST} are solved. "
            "Use the rollout, or a smaller image."
        )
    values = max_flows([mixed(weights.mean(0), residual) for weights in layers], reading(rows, read))
    return on_image(values, rows, tower_size(capture, tower), image=image, label="attention flow")


def max_flows(layers: list[np.ndarray], share: np.ndarray) -> np.ndarray:
    """[N]: the maximum flow from the top rows, fed by their shares, down to each token below the first layer."""
    count = len(share)
    graph, source = _graph(layers, share)
    bottom = len(layers) * count
    return np.array([maximum_flow(graph, source, bottom + token).flow_value for token in range(count)]) / SCALE


def _graph(layers: list[np.ndarray], share: np.ndarray) -> tuple[csr_array, int]:
    """Nodes are (depth from the top, token), and one source behind the top."""
    count = len(share)
    source = (len(layers) + 1) * count
    starts, ends = [np.full(count, source)], [np.arange(count)]
    widths = [share]
    for depth, layer in enumerate(reversed(layers)):
        query, key = np.indices(layer.shape)
        starts.append((depth * count + query).ravel())
        ends.append(((depth + 1) * count + key).ravel())
        widths.append(layer.ravel())
    whole = np.round(np.concatenate(widths) * SCALE).astype(np.int32)
    pairs = (np.concatenate(starts).astype(np.int32), np.concatenate(ends).astype(np.int32))
    graph = csr_array(coo_array((whole, pairs), shape=(source + 1, source + 1)))
    graph.eliminate_zeros()
    return graph, source
