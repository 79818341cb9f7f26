"""Noise on groups of image tokens, layer by layer: against hooks, by hand, with no noise, and with a planted token."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import model_adapters as ma
from analysis.words import Answer, answer_runner
from analysis.words.patch_importance import patch_importance
from tests.words.told import Told, at, made_up, told
from tests.zoo import hf

FIRST = at(0)


def run_of(case: Told):
    return answer_runner(ma.run, case.model, ma.continued(case.model, case.inputs, case.ids), len(case.ids))


@pytest.mark.parametrize("name", ["llava", "qwen2_vl"])
def test_noise_by_hand(name):
    """Against noise that a hook of torch adds before a layer."""
    case = told(name)
    found = patch_importance(case.whole, run_of(case), FIRST, grid=2, draws=2, seed=5)
    middles = case.answer.prompt.boxes.reshape(-1, 2, 2).mean(1) / np.array(case.answer.sizes[0])
    image = case.answer.prompt.placed & case.answer.image
    draw, ids = np.random.default_rng(5), case.ids
    base = float(torch.tensor(case.answer.logits).double().softmax(-1)[0, ids[0]])
    for layer in found.layers:
        for cell in range(4):
            half = middles >= 0.5
            places = np.flatnonzero(image & (half[:, 1] == (cell // 2)) & (half[:, 0] == (cell % 2)))
            left = []
            for _ in range(2):
                module, _ = hf.build(name)
                noise = draw.uniform(-1, 1, (len(places), case.capture.hidden["decoder", layer].shape[1]))

                def disturb(_, args, kwargs, noise=noise, places=places):
                    hidden = (args[0] if args else kwargs["hidden_states"]).clone()
                    hidden[:, places] += torch.tensor(noise, dtype=hidden.dtype)
                    return ((hidden, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": hidden})

                module.model.language_model.layers[layer].register_forward_pre_hook(disturb, with_kwargs=True)
                with torch.no_grad():
                    logits = module(**ma.continued(case.model, case.inputs, ids).tensors).logits[0]
                left.append(float(logits[-len(ids) - 1].double().softmax(-1)[ids[0]]))
            slow = (base - max(left)) / base * 100
            assert found.values[found.layers.index(layer), cell] == pytest.approx(slow, abs=0.05)
    assert np.abs(found.values).max() > 0.1
    for row, shown in enumerate(found.maps):
        assert set(shown.values.round(9)) <= set(found.values[row].round(9))


def test_without_noise_nothing_is_lost():
    case = told("llava")
    found = patch_importance(case.whole, run_of(case), FIRST, grid=2, draws=2, noise=0)
    np.testing.assert_allclose(found.values, 0, atol=1e-4)


def planted() -> tuple[Answer, object]:
    """Three image tokens, two layers: what is added to dimension 0 of the middle one at layer 1 lowers the word."""
    hidden = {layer: np.zeros((6, 4)) for layer in range(3)}
    answer = made_up([[np.full((1, 5), 0.2)] * 2], np.zeros((1, 4)), [3], image=3, hidden=hidden)

    def run(edits):
        scores = np.zeros((1, 4))
        for edit in edits:
            if edit.where.layers == (1,):
                scores[0, 3] -= abs(float(edit.value.array[2, 0]))
        return scores

    return answer, run


def test_a_planted_token_is_found_where_it_matters():
    answer, run = planted()
    found = patch_importance(answer, run, grid=3, draws=3, noise=2.0, seed=1)
    assert found.layers == (0, 1) and found.values.shape == (2, 9)
    there = np.isfinite(found.values)
    assert there.sum() == 2 * 3, "cells without tokens say nothing"
    draw = np.random.default_rng(1)
    noises = [[[draw.uniform(-2, 2, (1, 4))[0, 0] for _ in range(3)] for _ in range(3)] for _ in range(2)]
    least = min(abs(one) for one in noises[1][1])
    left = np.exp(-least) / (np.exp(-least) + 3)
    important = sorted(found.values[1][there[1]])
    np.testing.assert_allclose(important, [0, 0, (0.25 - left) / 0.25 * 100], atol=1e-9)
    np.testing.assert_allclose(found.values[0][there[0]], 0, atol=1e-12)
    assert found.maps[1].values.argmax() == 1 and found.maps[1].values.shape == (3,)
    np.testing.assert_allclose(found.by_layer().values, [0, important[-1] / 3])
    for state in answer.capture.hidden.values():
        assert not np.asarray(state).any(), "the states that were read are left as they are"


def test_progress_and_chosen_layers():
    answer, run = planted()
    shares: list[float] = []
    found = patch_importance(answer, run, grid=3, draws=1, layers=[1], progress=shares.append)
    assert found.layers == (1,) and shares == pytest.approx([1 / 3, 2 / 3, 1])
    with pytest.raises(ValueError, match=r"layers must be of \(0, 1\)"):
        patch_importance(answer, run, layers=[2])
    with pytest.raises(ValueError, match="Read the answer again"):
        patch_importance(told("llava").answer, run_of(told("llava")), FIRST)
