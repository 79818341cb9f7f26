"""Where the rows of attention lie, as weights of one sum per head: what the strength of a head is made of, inside the layer.

Everything that is linear in the attention (how far, how many hops, to whom) is a product of its rows with fixed arrays,
so one pass through the layer makes all of them and no matrix leaves it. Distances are told as shares of the diagonal of a
square picture, so that they do not depend on the size of the photograph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from analysis.strength_rows import distances, hops
from model_adapters import Capture, Layout, Reduction, Site
from model_adapters.scratch import Scratch

RECEIVED = ("patches", "class", "others")
"""Whose rows are added up per key, in this order."""
_MOST = 64 * 2**20
_CACHED = 2**19
"""Bytes of logarithms that are made at a time: they stay in a processor's cache beside the weights."""


@dataclass(frozen=True, eq=False)
class SitePlaces:
    """The fixed arrays of one site."""

    sums: torch.Tensor
    """[3, Q] which rows belong to patches, the class token, others."""
    pairs: torch.Tensor
    """[F, Q, K] float32: distance, self, and each ring of hops; zero in rows that are no patches."""
    patches: int
    windows: int
    keys: int
    class_keys: np.ndarray
    register_keys: np.ndarray
    patch_keys: np.ndarray
    class_rows: int

    @property
    def width(self) -> int:
        """How many numbers each head has."""
        return 3 * self.keys + len(self.pairs) + 1


def places_of(capture: Capture, site: Site, rings: tuple[int, ...]) -> SitePlaces:
    """The arrays of a site, from the layout of a capture of one picture."""
    layout = capture.layouts[site]
    queries, keys = capture.shapes[site][1:]
    if len(layout.queries) != queries or len(layout.keys) // layout.windows != keys:
        raise ValueError(f"{site.name} runs over {queries} x {keys} tokens, but its layout knows {len(layout.queries)}.")
    if queries * keys * (2 + len(rings)) * 4 > _MOST:
        raise ValueError(f"{site.name} has {queries} x {keys} pairs of tokens: too many for its distances to be held at once.")
    patches = layout.queries.placed
    classes = np.asarray(layout.queries.roles == "class")
    sums = np.stack([patches, classes, ~patches & ~classes]).astype(np.float32)
    first = layout.keys.take(np.arange(keys))
    return SitePlaces(
        torch.from_numpy(sums), torch.from_numpy(_pairs(layout, patches, rings)), int(patches.sum()), layout.windows, keys,
        first.where("class"), first.where("register"), np.flatnonzero(first.placed), int(classes.sum()),
    )  # fmt: skip


def _pairs(layout: Layout, patches: np.ndarray, rings: tuple[int, ...]) -> np.ndarray:
    per = len(layout.queries) // layout.windows
    diagonal = float(np.hypot(*layout.size)) or 1.0
    found = []
    for window in range(layout.windows):
        own = np.arange(window * per, (window + 1) * per)
        queries, keys = layout.queries.take(own), layout.keys_of(int(own[0]))
        away, steps = distances(queries, keys), hops(queries, keys)
        same = np.isclose(queries.boxes[:, None], keys.boxes[None], equal_nan=False, atol=1e-3).all(-1)
        if len(queries) == len(keys):
            same &= np.eye(len(queries), dtype=bool)
        parts = [np.nan_to_num(away) / diagonal, same, *[steps == ring for ring in rings]]
        found.append(np.stack(parts).astype(np.float32) * patches[own][:, None])
    return np.concatenate(found, 1)


def strength_reduction(places: dict[str, SitePlaces]) -> Reduction:
    """Rows of weights [B, H, Q, K] -> sums [B, H, 3 K + F + 1]: received by key three times, pairs, entropy."""
    scratch = Scratch()

    def reduce(rows: torch.Tensor, site: Site, numbers: torch.Tensor) -> torch.Tensor:
        here = places[site.name]
        whole = len(numbers) == here.sums.shape[1]
        sums, pairs = (t.to(rows.device) for t in (here.sums, here.pairs))
        sums, pairs = (sums, pairs) if whole else (sums[:, numbers], pairs[:, numbers])
        flat = rows.flatten(2)
        received = torch.matmul(sums, rows).flatten(2)
        linear = F.linear(flat, pairs.flatten(1))
        entropy = _entropies(rows, sums[0], scratch)
        return torch.cat([received, linear, entropy[..., None]], -1)

    return Reduction("strength", reduce, merge="sum", placed=True)


def _entropies(rows: torch.Tensor, patches: torch.Tensor, scratch: Scratch) -> torch.Tensor:
    """[B, H]: the entropies of the patches' rows added up.

    `torch.special.entr` takes three times as long, and logarithms that do not stay in a processor's cache twice as long.
    """
    heads = max(1, _CACHED * rows.shape[1] // max(rows.numel() * 4, 1))
    found = [
        torch.log(part, out=scratch.like(part.shape, part.device)).mul_(part).sum(-1) @ patches for part in rows.split(heads, 1)
    ]
    made = torch.cat(found, 1)
    if not bool(torch.isfinite(made).all()):  # a weight of exactly nothing has no logarithm
        made = torch.log(rows.clamp(min=1e-30)).mul_(rows).sum(-1) @ patches
    return made.neg_()
