"""All evidence on one answer: what the model is run on is prepared by whoever knows the model, and handed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from analysis.signals.divergence import scores_of
from analysis.signals.table import Evidence
from analysis.words.answer import Answer, Asked, answer_in, answer_of
from analysis.words.encoder_decoder import encoder_attention
from analysis.words.logit_lens import Lens
from analysis.words.runs import hidden_image
from model_adapters import Capture, Generation, Keep

Reread = Callable[..., Capture]
"""(inputs, answer, keep=..., want=...) -> the pass over prompt and answer: `model_adapters.reread` of one model."""


def gather(
    generation: Generation,
    asked: Asked,
    reread: Reread,
    inputs: Any,
    *,
    blind: tuple[Any, Asked] | Literal["hide"] | None = None,
    noised: Any = None,
    views: Sequence[Any] = (),
    lens: Lens | None = None,
    capture: Capture | None = None,
) -> Evidence:
    """Read an answer again in every way that is given, one pass each.

    Args:
        generation: the answer.
        asked: what is known of its prompt.
        reread: reads prompt and answer in one pass.
        inputs: the prompt.
        blind: the prompt without the image, and what is known of it; or "hide" the image's tokens from all others, for
            models that cannot be asked without an image.
        noised: the prompt with a noised image (`diffused`).
        views: the prompt with views of the image (`picture_views`).
        lens: the decoder's lens.
        capture: of the prompt, with the weights of the vision tower.
    """
    if not generation.tokens:
        return Evidence(answer_of(generation, asked))
    ids = [token.id for token in generation.tokens]
    sites = tuple(site.name for site in generation.sites)
    keep, few = _deciding(sites, asked, ids), len(ids) + 1
    answer = answer_in(reread(inputs, generation, keep=keep, want={"hidden", "heads"}, scores=few), ids, asked)

    def scores(other: Any) -> np.ndarray:
        return scores_of(reread(other, ids, keep=Keep(sites="none"), scores=few), len(ids))

    without = None if blind is None else _without_image(answer, asked, reread, inputs, blind)
    return Evidence(
        answer,
        blind=None if without is None else without.logits,
        noised=None if noised is None else scores(noised),
        views=np.stack([scores(view) for view in views]) if len(views) else None,
        lens=lens,
        blind_answer=without,
        encoder=None if capture is None else encoder_attention(capture, asked.rows),
    )


def _without_image(answer: Answer, asked: Asked, reread: Reread, inputs: Any, blind: tuple[Any, Asked] | str) -> Answer:
    ids, sites = answer.ids.tolist(), tuple(site.name for site in answer.sites)
    few = len(ids) + 1
    if isinstance(blind, str):
        keep = _deciding(sites, asked, ids)
        return answer_in(reread(inputs, ids, keep=keep, edits=hidden_image(answer), want={"heads"}, scores=few), ids, asked)
    keep = _deciding(sites, blind[1], ids)
    return answer_in(reread(blind[0], ids, keep=keep, want={"heads"}, scores=few), ids, blind[1])


def _deciding(sites: tuple[str, ...], asked: Asked, ids: list[int]) -> Keep:
    """The rows that an answer was decided by, and no others: signals need no more."""
    if not sites:
        raise ValueError("the generation kept no attention, so its decoder is not known: generate with keep=Keep().")
    first = len(asked.rows) - 1
    return Keep(sites=sites, queries=tuple(range(first, first + len(ids))))
