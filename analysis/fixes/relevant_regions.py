"""AGLA: scores of the picture with what does not concern the question painted over are added."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image

from analysis.explain import explain
from analysis.fixes.options import FixOptions, options
from analysis.registry import Range, method
from analysis.subject import Subject
from model_adapters import AdapterError, Keep
from model_adapters.decoding import Contrast


@dataclass(frozen=True, eq=False)
class Match:
    """How a picture and a text go together, as a matcher says it."""

    relevance: np.ndarray
    """[rows, columns] over the picture: higher where it is what the text speaks of."""
    score: float | None = None
    """0 to 1: how well they match as wholes; None where the matcher does not say."""


Matcher = Callable[[np.ndarray, str], Match]
"""(picture [height, width, 3] uint8, text) -> what a model that matches both makes of them."""
Judge = Literal["the model itself", "bundled:clip"]


@dataclass(frozen=True)
class RelevantOnly:
    """The picture with its least relevant share painted black, by the model's own attention and gradients or by a matcher."""

    dropped: float = 0.25
    matcher: Matcher | None = None
    judge: Judge = "the model itself"

    def picture(self, glance: Any) -> np.ndarray:
        """[height, width, 3] uint8."""
        if not (glance.roles == "image").any():
            raise AdapterError(f"The prompt of {glance.model.name} holds no image, so none of it can be painted over.")
        matcher = self.matcher
        if matcher is None and self.judge != "the model itself":
            matcher = dual_matcher(partial(glance.judged, self.judge))
        if matcher is not None:
            found = matcher(glance.image, glance.inputs.texts[0])
            return blackened(glance.image, found.relevance, self.dropped if found.score is None else found.score / 2)
        boxes = glance.rows.boxes[glance.roles == "image"]
        if not np.isfinite(boxes).any():
            raise AdapterError(
                f"The image tokens of {glance.model.name} have no place in the picture, so none of it can be painted over."
            )
        return painted(glance.image, boxes, question_relevance(glance), self.dropped)


def question_relevance(glance: Any) -> np.ndarray:
    """[I]: weight times positive gradient of the likeliest token, over heads and question rows, in the middle layer."""
    middle = glance.depth // 2
    capture = glance.capture(want={"gradients"}, keep=Keep(sites=(middle,)))
    site = next((s for s in capture.gradients if s.tower == "decoder" and s.layer == middle), None)
    if site is None:
        raise AdapterError(f"Layer {middle} of the decoder of {glance.model.name} has no attention with gradients.")
    rows, keys = glance.roles == "question", glance.roles == "image"
    relevance = capture.weights[site] * np.maximum(capture.gradients[site], 0)
    return np.asarray(relevance[:, rows][:, :, keys].mean((0, 1)), np.float64)


def painted(picture: np.ndarray, boxes: np.ndarray, relevance: np.ndarray, dropped: float) -> np.ndarray:
    """Black where no token of the more relevant share lies; pixels that no token holds stay."""
    drop = np.zeros(len(relevance), bool)
    drop[np.argsort(relevance, kind="stable")[: round(dropped * len(relevance))]] = True
    out, kept = (np.zeros(picture.shape[:2], bool) for _ in range(2))
    for box, gone in zip(boxes, drop, strict=True):
        if np.isfinite(box).all():
            x0, y0, x1, y1 = (round(float(v)) for v in box)
            (out if gone else kept)[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return np.where((out & ~kept)[..., None], 0, picture).astype(np.uint8)


def blackened(picture: np.ndarray, relevance: np.ndarray, dropped: float) -> np.ndarray:
    """Black where a map [rows, columns] is lowest, stretched over the picture; pixels as relevant as the last kept one stay."""
    if relevance.ndim != 2 or not np.isfinite(relevance).all():
        raise ValueError(f"a matcher must give a finite map [rows, columns]. Got shape {relevance.shape}.")
    wide = Image.fromarray(relevance.astype(np.float32)).resize(picture.shape[1::-1], Image.Resampling.BILINEAR)
    values = np.asarray(wide)
    last = min(1 - np.clip(dropped, 0, 1), 1 - 1e-5)
    keep = values >= -np.sort(-values, axis=None)[int(last * values.size)]
    return np.where(keep[..., None], picture, 0).astype(np.uint8)


def dual_matcher(look: Callable[[np.ndarray, str], Subject], method: str = "gradient_attention_relevance") -> Matcher:
    """A dual encoder such as CLIP as a matcher: `dual_matcher(lambda picture, text: ma.subject(clip, picture, [text]))`.

    Args:
        look: picture and text to a subject that scores the text.
        method: of kind "map": where the picture raised that score.
    """

    def match(picture: np.ndarray, text: str) -> Match:
        return Match(np.nan_to_num(explain(look(picture, text), method, target=0).raster()))

    return match


@method(
    title="Relevant regions added",
    kind="fix",
    cites=("an2025",),
    needs={"generation", "pixels", "gradients"},
    range="keywords for `generate`; two passes for a token, and one with gradients over the prompt before",
    misleads="Without a matcher the model that may be making things up says itself which regions matter; in the paper BLIP does.",
)
def relevant_regions_added(
    *,
    alpha: Annotated[float, Range(0, 5)] = 2.0,
    beta: Annotated[float, Range(0.001, 1)] = 0.5,
    dropped: Annotated[float, Range(0, 1)] = 0.25,
    judge: Judge = "the model itself",
    matcher: Matcher | None = None,
) -> FixOptions:
    """Scores l + alpha l', where l' sees the picture with its least relevant share painted black.

    The sum is not divided by 1 + alpha, so it is also colder than the model. By default the regions come from the very model
    whose answer is in doubt; a dual encoder can judge them instead.

    Args:
        alpha: 2 in the release; 0 changes nothing.
        beta: tokens below beta times the best probability are never chosen; 0.5 in the release.
        dropped: the share painted over, where no matcher says how well image and text match; the release takes half of that.
        judge: who says which regions matter: the model itself, in its middle layer, or the bundled dual encoder, which knows the
            drawn scenes and their words only.
        matcher: any other judge: a model that says where the image is what the text speaks of (`dual_matcher`, or one of BLIP as
            in the release).
    """
    return options(decoding=Contrast(RelevantOnly(dropped, matcher, judge), alpha, beta, "add")) if alpha else options()
