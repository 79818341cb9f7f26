"""What of the features belongs to the position rather than to the image, and maps freed of it and of sinks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.registry import method
from analysis.results import TokenMap
from analysis.sinks import sinks_by_attention
from analysis.token_rows import attention_of, hidden_of, layer_key, patches_of, rows_of, some_patches_of
from model_adapters import Capture, Rows, Site


@dataclass(frozen=True, eq=False)
class PositionArtefact:
    """The mean feature of each position over images."""

    mean: np.ndarray
    """[N, D], the overall mean left out."""
    centre: np.ndarray
    """[D] the overall mean."""
    explained: float
    """Share of the variance of the features that the position alone explains, corrected for the number of images."""
    rows: Rows | None

    def removed(self, features: np.ndarray) -> np.ndarray:
        """Features [..., N, D] without the part that belongs to their position."""
        return features - self.mean


@method(
    title="Position artefact",
    kind="token",
    cites=("yang2024",),
    needs={"hidden"},
    range="share of variance explained: around 0 where position says nothing, up to 1",
    misleads="A cheap stand-in for the published denoiser; photographs with the sky on top make position look like an artefact.",
)
def position_artefact(captures: Sequence[Capture], *, tower: str = "vision", layer: int = -1) -> PositionArtefact:
    """The part of the patch features that is the same for every image at a position, and how much of them it explains."""
    features = np.concatenate([hidden_of(c, tower, layer) for c in captures])
    images, tokens, _ = features.shape
    if images < 2:
        raise ValueError("at least 2 images are needed to tell position from content. Got 1.")
    rows = rows_of(captures[0], *layer_key(captures[0], tower, layer), tokens)
    patches = some_patches_of(rows, tokens)
    centre = features[:, patches].mean((0, 1))
    mean = np.where(patches[:, None], features.mean(0) - centre, 0)
    within = ((features - features.mean(0))[:, patches] ** 2).sum() / (images - 1)
    between = (mean[patches] ** 2).sum() * images
    # The mean over images of pure noise still varies by 1 / images of the noise: that much is taken off.
    position = max(0.0, float(between - within) / images)
    return PositionArtefact(mean, centre, position / max(position + float(within), 1e-12), rows)


@method(
    title="Attention map without sinks",
    kind="map",
    cites=("darcet2024",),
    needs={"weights", "square", "grid", "class_token"},
    range="shares of the row; relative: 1 where a patch gets what it always gets",
    misleads="Relative maps raise patches that nothing attends to; read them beside the raw one.",
)
def cleaned_attention(
    capture: Capture,
    site: Site,
    *,
    sinks: tuple[int, ...] | None = None,
    mode: Literal["raw", "sinks removed", "relative"] = "relative",
    query: Literal["class", "mean"] = "class",
    head: int | None = None,
    image: int = 0,
    others: Sequence[Capture] = (),
) -> TokenMap:
    """Where the query attends, as it is, without the sink tokens, or relative to what each patch receives anyway.

    Sinks are, unless given, the patches that receive much more attention than the others in this layer.
    Relative divides by the mean over `others` (maps of the same query on other images), or, without any, by what the
    patch receives from all patches of this image: our definition.
    """
    layout = capture.layouts[site]
    chosen = patches_of(layout.keys, len(layout.keys)) & layout.keys.placed
    values = _row(capture, site, query, head)[image]
    if mode == "sinks removed":
        found = sinks_by_attention(capture, tower=site.tower, layer=site.layer).of_image(image) if sinks is None else sinks
        chosen[list(found)] = False
        values = values / values[chosen].sum()
    if mode == "relative":
        values = values / np.maximum(_usual(capture, site, query, head, others)[image if not others else 0], 1e-12)
    return TokenMap(values[chosen], layout.keys.take(np.flatnonzero(chosen)), layout.size, label=f"attention, {mode}")


def _row(capture: Capture, site: Site, query: str, head: int | None) -> np.ndarray:
    weights = attention_of(capture, site)
    weights = weights.mean(1) if head is None else weights[:, head]
    roles = capture.layouts[site].queries.roles[np.asarray(capture.rows[site])]
    chosen = np.isin(roles.astype(str), ("class",) if query == "class" else ("patch", "image"))
    if not chosen.any():
        raise ValueError(f"rows of role {query!r} are needed at {site.name}. The kept rows are {sorted(set(roles))}.")
    return weights[:, chosen].mean(1)


def _usual(capture: Capture, site: Site, query: str, head: int | None, others: Sequence[Capture]) -> np.ndarray:
    if others:
        return np.concatenate([_row(c, site, query, head) for c in others]).mean(0, keepdims=True)
    if query == "mean":
        raise ValueError("the mean over patches divided by itself is 1 everywhere; give `others`, or query='class'.")
    return _row(capture, site, "mean", head)
