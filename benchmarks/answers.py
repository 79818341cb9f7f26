"""Reading an answer, its signals, and the fixes of decoding, against a plain `generate` of as many tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import model_adapters as ma
from analysis import fixes
from analysis.fixes.relevant_regions import Match
from analysis.signals import diffused, gather, picture_views
from analysis.signals import signals as every_signal
from analysis.words import answer_of
from analysis.words.word_maps import word_map
from analysis.words.word_shares import answer_shares
from benchmarks.models import LAYERS, lvlm
from benchmarks.timing import Ratio, against

if TYPE_CHECKING:
    from benchmarks.cases import Row

WORDS, CAPTION = 32, 128
"""How long the answers are: one to a question, and a caption in detail, which is what fixes are meant for."""


def _everything_alike(picture: np.ndarray, text: str) -> Match:
    return Match(np.add.outer(*(np.linspace(0, 1, side) for side in picture.shape[:2])))


DECODERS: dict[str, Callable[[], fixes.FixOptions]] = {
    "VCD": fixes.visual_contrastive_decoding,
    "guidance against the mean colour": fixes.image_guidance,
    "PAI": fixes.pay_attention_to_image,
    "DAMRO": fixes.contrast_with_outliers,
    "AGLA, the model as its own matcher": fixes.relevant_regions_added,
    "AGLA, a matcher that costs nothing": partial(fixes.relevant_regions_added, matcher=_everything_alike),
}


def reading() -> Iterator[Row]:
    """All rows kept, the answer taken apart, a map of every word and the shares of every token."""
    for layers in LAYERS:
        model, inputs = lvlm(layers)
        (ratio,) = against(partial(_plain, model, inputs, WORDS), [partial(_read, model, inputs, WORDS)])
        yield _row(f"{model.name}: reading a {WORDS}-word answer, all image rows, a map of every word, shares", ratio, 1.15)


def signals() -> Iterator[Row]:
    """Generation, the readings that signals need (four of them views of the picture), and all signals of all words."""
    for layers in LAYERS:
        model, inputs = lvlm(layers)
        lens = ma.lens(model, inputs)
        for words in (WORDS, CAPTION):
            doubted = partial(_doubted, model, inputs, lens, words)
            (ratio,) = against(partial(_plain, model, inputs, words), [doubted], rounds=3)
            what = f"{model.name}: all signals of a {words}-word answer, its generation and all further passes included"
            yield _row(what, ratio, 3.0)


def decoders() -> Iterator[Row]:
    """A caption under each fix that changes heads or contrasts two looks."""
    named: dict[str, tuple[Callable[[], fixes.FixOptions], float]] = {"VHR": (fixes.vision_heads_reinforced, 1.1)}
    named |= {title: (recipe, 2.1) for title, recipe in DECODERS.items()}
    for layers in LAYERS:
        model, inputs = lvlm(layers)
        runs: list[Callable[[], object]] = [partial(_fixed, model, inputs, recipe) for recipe, _ in named.values()]
        ratios = against(partial(_plain, model, inputs, CAPTION), runs, rounds=3)
        for (title, (_, reach)), ratio in zip(named.items(), ratios, strict=True):
            yield _row(f"{model.name}: {title}, {CAPTION} new tokens", ratio, reach)


def _plain(model: ma.Model, inputs: ma.Inputs, longest: int) -> None:
    generator: Any = model.module.generate
    with torch.no_grad():
        generator(**inputs.tensors, max_new_tokens=longest, do_sample=False)


def _read(model: ma.Model, inputs: ma.Inputs, words: int) -> None:
    answer = answer_of(ma.generate(model, inputs, max_new_tokens=words), ma.asked(model, inputs))
    if len(answer.words) != words:
        raise ValueError(f"an answer of {words} words was to be read. It has {len(answer.words)}.")
    for word in answer.words:
        word_map(answer, word)
    answer_shares(answer)


def _doubted(model: ma.Model, inputs: ma.Inputs, lens: ma.Lens, words: int) -> None:
    generation = ma.generate(model, inputs, max_new_tokens=words)
    without = model.prepare(text=inputs.texts[0])
    picture = inputs.images[0][0]
    views = [model.prepare(image=view, text=inputs.texts[0]) for view in picture_views(np.asarray(picture))]
    noised = inputs.with_tensors(pixel_values=torch.from_numpy(diffused(inputs.tensors["pixel_values"].numpy())))
    evidence = gather(
        generation, ma.asked(model, inputs), partial(ma.reread, model), inputs, blind=(without, ma.asked(model, without)),
        noised=noised, views=views, lens=lens, capture=ma.capture_towers(model, inputs),
    )  # fmt: skip
    found = every_signal(evidence)
    if found.refused:
        raise ValueError(f"signals are missing: {found.refused}")


def _fixed(model: ma.Model, inputs: ma.Inputs, recipe: Callable[[], fixes.FixOptions]) -> None:
    ma.generate(model, inputs, max_new_tokens=CAPTION, keep=ma.Keep(sites="none"), **recipe())


def _row(what: str, ratio: Ratio, reach: float) -> Row:
    from benchmarks.cases import time_row

    return time_row(what, ratio, reach)
