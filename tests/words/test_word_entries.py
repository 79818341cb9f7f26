"""The signals in the trust benchmark: each mention gets the signals of its own picture."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import model_adapters as ma
from analysis.registry import METHODS
from analysis.signals import CombinedScore, Evidence, gather, signals
from tests.words.told import at
from world.datasets import SceneStream
from world.hallucination import mentioned
from world.trust import word_entries
from world.trust.registry import Mention, entries
from world.trust.word_entries import COMBINED, SCORE, SCORED, Listener, picture_of
from world.trust.word_scores import PROMPT, describe


@pytest.fixture(scope="module")
def ear():
    return Listener()


def said(ear: Listener, index: int) -> tuple[ma.Generation, list[int]]:
    generation = describe(ear.model, SCORED[index], index, {}, ma.Keep())
    return generation, [step for step, token in enumerate(generation.tokens) if mentioned(token.text)]


def test_mentions_get_the_signals_of_their_own_picture(ear):
    for index in (0, 2, 1):  # in order, with one left out, and back again
        generation, steps = said(ear, index)
        values = ear.values(Mention(steps[-1], generation, 1))
        inputs = ear.model.prepare(image=picture_of(SCORED[index]), text=PROMPT)
        asked = ma.asked(ear.model, inputs)
        evidence = gather(generation, asked, partial(ma.reread, ear.model), inputs, lens=ma.lens(ear.model, inputs))
        for name in ("undecided", "unseen_by_lens", "low_alignment", "spread_image_map", "over_trust"):
            expected = signals(Evidence(evidence.answer, lens=evidence.lens), [at(steps[-1])], [name]).values[0, 0]
            assert values[name] == pytest.approx(expected, rel=1e-4), (index, name)


def test_an_answer_about_another_picture_is_refused(ear):
    stranger = describe(ear.model, SceneStream(77)[0], 0, {}, ma.Keep())
    with pytest.raises(ValueError, match="none of the next scenes"):
        Listener(SceneStream(78)).values(Mention(3, stranger, 0))


def test_the_shipped_score_is_of_these_signals(ear):
    score = CombinedScore.load(SCORE)
    assert score.names == COMBINED and score.model == "bundled:lvlm" and score.auroc > 0.6
    generation, steps = said(ear, 0)
    row = np.array([ear.values(Mention(steps[0], generation, 0))[name] for name in score.names])
    assert 0 < float(score(row)[0]) < 1
    assert score.explain(row).values.sum() == pytest.approx(score.explain(row).total)


def test_every_entry_is_a_registered_method():
    mine = [e for e in entries("signal", "lvlm") if e.function.__module__ == word_entries.__name__]
    assert len(mine) == 14 and all(entry.method in METHODS for entry in mine)
