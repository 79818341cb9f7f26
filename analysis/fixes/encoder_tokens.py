"""Image tokens of the decoder, scored by what the vision tower's own attention says of their patches."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from model_adapters import AdapterError, Capture, Site

Score = Literal["class", "single wide head", "received"]


def patch_scores(glance: Any, layer: int, score: Score) -> np.ndarray:
    """[I]: one score per image token of the prompt, in their order.

    "class" is the class token's attention, mean over heads; "single wide head" is the softmax of the class token's query with
    all keys as one head over the full width; "received" the attention received from all patches, for towers without a class
    token.
    """
    if not (glance.roles == "image").any():
        raise AdapterError(f"The prompt of {glance.model.name} holds no image token that could be scored: ask about a picture.")
    capture = glance.towers(want={"queries"})
    sites = [site for site in capture.sites if site.tower == "vision"]
    if not sites:
        raise AdapterError(f"{glance.model.name} has no vision tower whose attention could be read.")
    site = sites[layer]
    weights = capture.weights[site]
    roles = capture.layouts[site].keys.roles
    if weights.shape[1] != weights.shape[2]:
        raise AdapterError(
            f"The vision tower of {glance.model.name} cuts the picture into tiles or windows, so no one row scores all patches."
        )
    patch, head = roles == "patch", np.flatnonzero(roles == "class")
    tokens = int((glance.roles == "image").sum())
    if patch.sum() != tokens:
        raise AdapterError(f"{glance.model.name} makes {tokens} image tokens of {patch.sum()} patches; one each is needed.")
    if score == "received":
        return np.asarray(weights, np.float64).mean(0)[patch][:, patch].mean(0)
    if not len(head):
        raise AdapterError(
            f"The vision tower of {glance.model.name} has no class token whose attention scores the patches; 'received' works."
        )
    if score == "single wide head" and not (site in capture.queries and site in capture.keys):
        raise AdapterError(
            f"{glance.model.name} does not show the queries and keys of its vision tower, of which one wide head is made: it "
            'computes its attention by hand. score="class" needs none, and attn_implementation="sdpa" shows them.'
        )
    row = wide_row(capture, site, int(head[0])) if score == "single wide head" else weights[:, head[0]].mean(0)
    return np.asarray(row, np.float64)[patch]


def wide_row(capture: Capture, site: Site, query: int) -> np.ndarray:
    """[K]: the attention of one query if all heads were one, with the scale of the full width."""
    asks, keys = (np.asarray(values[site], np.float64) for values in (capture.queries, capture.keys))
    scores = np.einsum("hd,hkd->k", asks[:, query], keys) / np.sqrt(asks.shape[0] * asks.shape[2])
    raised = np.exp(scores - scores.max())
    return raised / raised.sum()
