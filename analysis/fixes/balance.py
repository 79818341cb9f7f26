"""Fixing imbalanced attention: informative image tokens are raised more than outliers, with guidance against no image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
import torch

from analysis.fixes.encoder_tokens import patch_scores
from analysis.fixes.options import FixOptions, options
from analysis.registry import Range, method
from model_adapters.decoding import Contrast, Imageless
from model_adapters.edits import Boost, Edit
from model_adapters.errors import AdapterError
from model_adapters.site import Keep
from model_adapters.where import Scope, Where

Heads = Literal["alike", "by their attention to the image"]


@dataclass(frozen=True)
class HeadBoost(Boost):
    """A boost whose alpha is multiplied by a number for each head."""

    factors: tuple[float, ...] = ()

    def __call__(self, scores: torch.Tensor, scope: Scope) -> torch.Tensor:
        """Scores [B, W, H, q, K] with the chosen ones raised, by more in some heads than in others."""
        raised = super().__call__(scores, scope)
        factors = torch.tensor(self.factors, dtype=scores.dtype, device=scores.device)[:, None, None]
        return torch.where(torch.isinf(scores), scores, scores + factors * (raised - scores))


@dataclass(frozen=True)
class TwoBoosts:
    """Tokens are sorted by the vision tower: the first layer names the local ones, the last but one the outliers."""

    local: float = 0.7
    outlier: float = 0.3
    share: float = 0.25
    first_layer: int = 2
    score: Literal["class", "received"] = "class"
    heads: Heads = "alike"

    def plan(self, glance: Any) -> tuple[Edit, ...]:
        """One boost for each of the two groups."""
        inside, outside = sorted_tokens(patch_scores(glance, 0, self.score), patch_scores(glance, -2, self.score), self.share)
        positions, layers = np.flatnonzero(glance.roles == "image"), tuple(range(self.first_layer, glance.depth))
        found: list[Edit] = []
        for chosen, alpha in ((inside, self.local), (outside, self.outlier)):
            if chosen.any() and alpha and layers:
                keys = tuple(int(i) for i in positions[chosen])
                where = Where(tower="decoder", layers=layers, queries="last", keys=keys)
                found += [Boost(where, alpha)] if self.heads == "alike" else self._by_head(glance, where, alpha)
        return tuple(found)

    def _by_head(self, glance: Any, where: Where, alpha: float) -> list[Edit]:
        """One boost per layer, stronger in heads that look at the image more."""
        seen = head_factors(glance)
        return [HeadBoost(replace(where, layers=(n,)), alpha, seen[n]) for n in where.layers or () if n in seen]


def head_factors(glance: Any) -> dict[int, tuple[float, ...]]:
    """Per layer of the decoder what each head gives to the image in the deciding row, over the mean of the layer's heads."""
    capture = glance.capture(keep=Keep(queries="last"))
    found = {}
    for site, weights in capture.weights.items():
        if site.tower != "decoder" or weights.shape[-1] != len(glance.roles):
            continue
        mass = np.asarray(weights[:, -1], np.float64)[:, glance.roles == "image"].sum(-1)
        found[site.layer] = tuple(float(m) for m in mass / max(mass.mean(), 1e-12))
    if not found:
        raise AdapterError(f"{glance.model.name} has no decoder layer that sees its whole prompt, so no head can be measured.")
    return found


def sorted_tokens(early: np.ndarray, late: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """[I] bool twice: local tokens (the top share of the early scores, without outliers), and outliers of the late ones."""
    local = np.zeros(len(early), bool)
    local[np.argsort(-early, kind="stable")[: round(share * len(early))]] = True
    low, high = np.quantile(late, [0.25, 0.75])
    outlier = late > high + 1.5 * (high - low)
    return local & ~outlier, outlier


@method(
    title="Balanced attention to image tokens",
    kind="fix",
    cites=("arif2025",),
    needs={"generation", "run", "weights"},
    range="keywords for `generate`; two passes for a token, one where the guidance is 1, and two over the prompt before",
    misleads="Heads are raised alike, as in the released code; the modulation of heads that its abstract names is an option.",
)
def balanced_attention(
    *,
    local: Annotated[float, Range(0, 5)] = 0.7,
    outlier: Annotated[float, Range(0, 5)] = 0.3,
    share: Annotated[float, Range(0, 1)] = 0.25,
    guidance: Annotated[float, Range(1, 5)] = 2.0,
    first_layer: Annotated[int, Range(0, 200)] = 2,
    score: Literal["class", "received"] = "class",
    heads: Heads = "alike",
    without: Literal["left out", "hidden"] = "left out",
) -> FixOptions:
    """Scores S + a |S| of the deciding row, with one a for informative image tokens and a smaller one for outliers.

    The paper also raises heads by how sensitive they are to the image. Its code does not, and its formula is not known to us:
    with heads "by their attention to the image" a is multiplied by a head's attention to the image over the mean of its layer.

    Args:
        local: a of the tokens that the class token attends to most in the tower's first layer.
        outlier: a of those with outlying attention (above Q3 + 1.5 IQR) in its last layer but one. Also a boost, as released.
        share: how many are local: a quarter.
        guidance: g (l - l_u) + l_u against no image; 2 in the release, 1 leaves scores as they are.
        first_layer: the release edits from layer 2 to the last.
        score: by the class token, or by attention received, for towers without one (ours).
        heads: all alike (the release), or more where they look at the image more when the first token is decided (ours).
        without: the image is left out of the second prompt (the release), or hidden, for models that need one.
    """
    edits = (TwoBoosts(local, outlier, share, first_layer, score, heads),) if local or outlier else ()
    return options(edits=edits, decoding=Contrast(Imageless(without), guidance - 1, 0.1) if guidance != 1 else None)
