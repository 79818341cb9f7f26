"""DAMRO: contrast with a look at nothing but the tokens that the vision tower's class token attends to most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from analysis.fixes.encoder_tokens import Score, patch_scores
from analysis.fixes.options import FixOptions, options
from analysis.registry import Range, method
from model_adapters.decoding import Contrast, Under
from model_adapters.edits import Block, DropTokens, Edit
from model_adapters.where import Where

Others = Literal["taken out", "hidden"]


@dataclass(frozen=True)
class OnlyOutliers:
    """All image tokens but those with the highest scores of the vision tower are taken out, or hidden from all others."""

    count: int = 10
    score: Score = "single wide head"
    others: Others = "taken out"

    def plan(self, glance: Any) -> tuple[Edit, ...]:
        """Take the others out in front of the decoder, or cut the edges to them in all its layers."""
        scores = patch_scores(glance, -2, self.score)
        if not 1 <= self.count <= len(scores):
            raise ValueError(f"{self.count} image tokens were to be left, but the prompt has {len(scores)}.")
        positions = np.flatnonzero(glance.roles == "image")
        gone = tuple(int(i) for i in np.sort(positions[np.argsort(-scores, kind="stable")[self.count :]]))
        if not gone:
            return ()
        if self.others == "hidden":
            return (Block(Where(tower="decoder", keys=gone)),)
        return (DropTokens(Where(tower="decoder", layers=(0,), queries=gone, phase="prompt"), entry=True),)


@method(
    title="Contrast with encoder outliers",
    kind="fix",
    cites=("gong2024",),
    needs={"generation", "run", "weights"},
    range="keywords for `generate`; two passes for a token, and one of the vision tower before",
    misleads="It takes what the class token looks at for outliers; in a tower without artefacts that is the object itself.",
)
def contrast_with_outliers(
    *,
    alpha: Annotated[float, Range(0, 5)] = 2.0,
    beta: Annotated[float, Range(0.001, 1)] = 0.1,
    count: Annotated[int, Range(1, 1000)] = 10,
    score: Literal["single wide head", "class", "received"] = "single wide head",
    others: Others = "taken out",
) -> FixOptions:
    """Contrast (1 + alpha) l - alpha l', where l' sees only the few image tokens that the class token attends to most.

    The others are taken out of the sequence, as in the release. What is left keeps its positions here, where the release numbers
    it anew, so the scores of that look differ.

    Args:
        alpha: 2 in the release for LLaVA; 0 changes nothing.
        beta: tokens below beta times the best probability are never chosen.
        count: how many image tokens the second branch sees; 10 for LLaVA.
        score: by the last tower layer but one; as one head over the full width (the release), as the mean over heads, or by
            attention received, for towers without a class token (ours).
        others: taken out of the second branch, or hidden from all other tokens, for models whose caches forget: it comes to
            the same.
    """
    return options(decoding=Contrast(Under((OnlyOutliers(count, score, others),)), alpha, beta)) if alpha else options()
