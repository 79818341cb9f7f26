"""When the image enters an answer: shares of attention by layer, the exit curve, and what each layer would say."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

import model_adapters as ma
from analysis.results import Curve
from analysis.words import Answer, Word, answer_in, answer_runner
from analysis.words.exit_curve import ExitCurve, exit_curve
from analysis.words.group_flow import GroupFlow, group_flow
from analysis.words.logit_lens import Lens, LensReading, PatchWords, answer_lens, lens_word_map, patch_words
from analysis.words.word_shares import word_shares
from ui.jobs import Progress

if TYPE_CHECKING:
    from analysis.results import TokenMap
    from ui.results.answering import Answered

Who = Literal["question", "word", "answer"]
"""Whose attention the bands show."""
KEEP = ma.Keep(heads="mean")
"""Means over heads are taken inside the layer: flows need no single head, and all rows of all heads may not fit."""
STAYS = 0.99
"""The share of tokens that must stay the likeliest without the image."""


@dataclass(frozen=True, eq=False)
class Reading:
    """An answer read again with all rows and the states of all layers."""

    answer: Answer
    groups: GroupFlow
    seconds: float
    """Of one plain pass over prompt and answer."""

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers of the bands."""
        return self.groups.layers


@dataclass(frozen=True, eq=False)
class Bands:
    """What one reader takes from each group of tokens, layer by layer."""

    shares: np.ndarray
    """[L, G]; rows sum to 1."""
    tokens: np.ndarray
    """[G]: the share of the tokens that each group holds: what even attention would give it."""
    layers: tuple[int, ...]
    groups: tuple[str, ...]
    reader: str
    """Who asks, for people."""

    @property
    def image(self) -> np.ndarray:
        """[L]: the share of the image."""
        return self.shares[:, self.groups.index("image")]


@dataclass(frozen=True, eq=False)
class Spoken:
    """What each layer would say, word by word."""

    reading: LensReading
    words: tuple[Word, ...]
    """[W] whose first tokens the columns are."""
    lens: Lens

    @property
    def steps(self) -> list[int]:
        """[W] columns of the reading."""
        return [word.steps[0] for word in self.words]

    @property
    def probability(self) -> np.ndarray:
        """[S, W]: how likely the first token of the word that was said already was."""
        return np.exp(self.reading.log_probabilities[:, self.steps])

    @property
    def decided(self) -> np.ndarray:
        """[W]: the layer from whose input on the word stays the likeliest; -1 if it never is."""
        return self.reading.decided()[self.steps]

    def settled(self) -> Curve:
        """The share of the words that are decided by each layer: an exit there would not change them."""
        layers, decided = np.array(self.reading.layers), self.decided
        shares = np.array([((decided >= 0) & (decided <= layer)).mean() for layer in layers])
        return Curve(layers, shares, label="words that are decided", step_label="input of layer")


def reading(answered: Answered, progress: Progress) -> Reading:
    """Prompt and answer in one pass; refused where it would not fit."""
    model, inputs, ids = answered.model, answered.inputs, answered.answer.ids.tolist()
    if not ids:
        raise ValueError("The answer is empty, so nothing flows into it. Another question works, or a longer answer.")
    longer = ma.continued(model, inputs, ids)
    cost = ma.estimate(model, longer, KEEP, {"hidden"})
    if not cost.fits:
        raise ValueError(
            f"Flows need the rows of all {len(answered.asked.rows) + len(ids)} tokens: {cost}. A smaller picture or a shorter "
            "answer works."
        )
    progress.step(0.2, str(cost))
    start = time.perf_counter()
    capture = ma.reread(model, inputs, answered.generation, keep=KEEP, want={"hidden"})
    answer = answer_in(capture, ids, answered.asked)
    return Reading(answer, group_flow(answer), min(cost.seconds, time.perf_counter() - start))


def bands(found: Reading, who: Who, word: Word) -> Bands:
    """Whose attention goes where, mean over heads.

    Args:
        found: the answer, read again.
        who: all tokens of the question or of the answer, or the row that one word was decided by.
        word: which word.
    """
    groups = found.groups
    if who != "word":
        shares = groups.values[:, groups.groups.index(who)]
        if not np.isfinite(shares).any():
            raise ValueError(f"The prompt holds no token of the {who}, so none of its attention can be shown.")
        return Bands(shares, groups.counts / groups.counts.sum(), groups.layers, groups.groups, f"the {who}")
    own = word_shares(found.answer, word)
    layers = tuple(site.layer for site in own.sites)
    return Bands(np.nanmean(own.values, 1), own.counts / own.counts.sum(), layers, own.groups, f"“{word.text}”")


def exits(answered: Answered, found: Reading, progress: Progress) -> ExitCurve:
    """The answer with the image hidden from each layer on."""
    model, answer = answered.model, found.answer
    run = answer_runner(ma.run, model, ma.continued(model, answered.inputs, answer.ids.tolist()), len(answer))
    return exit_curve(answer, run, progress=progress.step)


def spoken(answered: Answered, found: Reading) -> Spoken:
    """What each layer would say at every word."""
    lens = ma.lens(answered.model, answered.inputs)
    words = tuple(word for word in found.answer.words if word.kind == "word" and word.steps) or found.answer.words
    if not words:
        raise ValueError("The answer holds no word, so no layer can be asked for one.")
    return Spoken(answer_lens(found.answer, lens, top=5), words, lens)


def patches(found: Reading, said: Spoken, layer: int, image: int) -> PatchWords:
    """Which token each patch would be followed by."""
    return patch_words(found.answer, said.lens, layer=layer, top=3, image=image)


def word_patches(found: Reading, said: Spoken, word: Word, layer: int, image: int) -> TokenMap:
    """How likely one word is at each patch."""
    return lens_word_map(found.answer, said.lens, word, layer=layer, image=image)


def images(answer: Answer) -> int:
    """How many pictures lie among the tokens of the prompt; a video counts as one."""
    return max(len(answer.sizes), 1)
