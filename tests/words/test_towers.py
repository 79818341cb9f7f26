"""The vision tower without the decoder, and scores of a few tokens only: the same numbers as of a whole pass."""

from __future__ import annotations

import numpy as np
import pytest

import model_adapters as ma
from analysis.words import answer_in
from analysis.words.encoder_decoder import encoder_attention
from tests.words.test_every_family import FAMILIES
from tests.words.told import told


@pytest.mark.parametrize("family", FAMILIES)
def test_the_towers_alone_are_those_of_a_whole_pass(family):
    case = told(family)
    whole = ma.capture(case.model, case.inputs, want={"queries", "hidden"})
    ran = []
    hooks = [
        case.model.module.get_submodule(name).register_forward_pre_hook(lambda *_, name=name: ran.append(name))
        for name in case.model.tap_labels.blocks
        if case.model.tap_labels.tower(name) == "decoder"
    ]
    alone = ma.capture_towers(case.model, case.inputs, want={"queries", "hidden"})
    for hook in hooks:
        hook.remove()
    assert len(ran) <= 1 and alone.logits.size == 0
    assert list(alone.sites) == [site for site in whole.sites if site.tower != "decoder"]
    assert list(alone.hidden) == [key for key in whole.hidden if key[0] != "decoder"]
    for site in alone.sites:
        assert np.array_equal(alone.weights[site], whole.weights[site])
        assert np.array_equal(alone.queries[site], whole.queries[site])
    for key, states in alone.hidden.items():
        assert np.array_equal(states, whole.hidden[key])
    if case.asked.rows.placed.any():
        found, other = (encoder_attention(made, case.asked.rows) for made in (alone, whole))
        assert np.array_equal(found, other, equal_nan=True)
    again = ma.capture(case.model, case.inputs)  # a pass that was broken off leaves nothing behind
    assert np.array_equal(again.logits, whole.logits)


def test_gradients_need_the_decoder():
    case = told("llava")
    with pytest.raises(ValueError, match="needs the decoder"):
        ma.capture_towers(case.model, case.inputs, want={"gradients"})


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_of_the_last_tokens_are_the_last_scores(family):
    case = told(family)
    whole = ma.capture(case.model, case.inputs, keep=ma.Keep(sites="none"))
    few = ma.capture(case.model, case.inputs, keep=ma.Keep(sites="none"), scores=3)
    assert few.logits.shape == (3, whole.logits.shape[1])
    np.testing.assert_allclose(few.logits, whole.logits[-3:], atol=1e-5)
    count = len(case.ids)
    one, other = (
        answer_in(ma.reread(case.model, case.inputs, case.generation, scores=n), case.ids, case.asked) for n in (None, count + 1)
    )
    np.testing.assert_allclose(one.logits, other.logits, atol=1e-5)
    with pytest.raises(ValueError, match="a pass over"):
        answer_in(ma.reread(case.model, case.inputs, case.ids, scores=count), case.ids, case.asked)


def test_no_scores_and_scores_with_a_target_are_refused():
    case = told("llava")
    with pytest.raises(ValueError, match="at least 1"):
        ma.capture(case.model, case.inputs, scores=0)
    with pytest.raises(ValueError, match="without a target"):
        ma.capture(case.model, case.inputs, scores=2, target=ma.Token(1, 0))
    tower = ma.load("timm:test_vit", weights="random")
    with pytest.raises(ValueError, match="an LVLM's last tokens"):
        ma.capture(tower, tower.prepare(image=case.inputs.images[0][0]), scores=2)
