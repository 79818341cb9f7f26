"""Contrastive decoding against whole passes without a cache, mixed by hand."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

import model_adapters as ma
from model_adapters.contrast import mixed
from model_adapters.contrast_looks import kept_share
from model_adapters.edits import Boost
from tests.fixes.small import LONGEST, NOTHING, QUESTION, asked, ids, next_scores
from tests.zoo.shake import scene

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
ALL = ("llava", "llava_next", "qwen2_5_vl", "internvl", "instructblip", "paligemma")
LOOKS = (ma.Noised(seed=3), ma.Blank("grey"), ma.Imageless(), ma.Imageless("hidden"))
BOOST = Boost(ma.Where(tower="decoder", queries="last", keys="image"), 2.0)
HIDE = ma.edits.Block(ma.Where(tower="decoder", keys="image"))


def by_hand(model, inputs, look):
    """The other prompt and its edits, made anew."""
    if isinstance(look, ma.Noised):
        beta = np.array([(5e-3 - 1e-5) / (1 + np.exp(-x)) + 1e-5 for x in np.linspace(-6, 6, 1000)])
        left = np.prod(1 - beta[: look.step + 1])
        pixels = inputs.tensors["pixel_values"]
        noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(look.seed))
        return inputs.with_tensors(pixel_values=np.sqrt(left) * pixels + np.sqrt(1 - left) * noise), ()
    if isinstance(look, ma.Blank):
        return model.prepare(image=np.full_like(np.asarray(scene()), 128), text=QUESTION), ()
    return (inputs, (HIDE,)) if look.how == "hidden" else (model.prepare(text=QUESTION), ())


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize(("alpha", "beta", "rule"), [(2.0, 0.3, "subtract"), (3.0, None, "add")])
@pytest.mark.parametrize("name", ["llava", "qwen2_vl"])
def test_every_token_is_the_best_of_the_mixture(name, alpha, beta, rule, look):
    model, inputs = asked(name)
    other, edits = by_hand(model, inputs, look)
    said: list[int] = []
    for found in ids(name, decoding=ma.Contrast(look, alpha, beta, rule)):
        own, less = next_scores(model, inputs, said), next_scores(model, other, said, edits)
        mixture = (1 + alpha) * own - alpha * less if rule == "subtract" else own + alpha * less
        if beta is not None:
            mixture[own < np.log(beta) + own.max()] = -np.inf
        assert mixture[found] >= mixture.max() - 1e-3
        said.append(found)
    assert len(said) == LONGEST


@pytest.mark.parametrize("name", [*ALL, "bundled:lvlm"])
def test_without_weight_the_answer_is_the_greedy_one_and_the_model_is_left_as_it_was(name):
    greedy = ids(name)
    for look in LOOKS:
        try:
            assert ids(name, decoding=ma.Contrast(look, 0.0)) == greedy
        except ma.AdapterError as error:
            assert name in ("instructblip", "paligemma") and look == ma.Imageless()
            assert "cannot be asked without an image" in str(error) and "'hidden'" in str(error)
    assert ids(name) == greedy


def test_the_second_branch_is_read_under_its_own_edits_and_the_first_under_the_others():
    model, inputs = asked("llava")
    found = ma.generate(model, inputs, max_new_tokens=2, edits=BOOST, decoding=ma.Contrast(ma.Under((HIDE,)), 1.5, None))
    first = found.tokens[0]
    own, less = next_scores(model, inputs, [], (BOOST,)), next_scores(model, inputs, [], (HIDE,))
    assert first.id == int((2.5 * own - 1.5 * less).argmax())
    np.testing.assert_allclose(first.log_probability, own[first.id], atol=1e-4)
    assert found.edits == (BOOST,) and len(first.weights) == ma.decoder_depth(model)
    assert found.tokens[1].weights[0].shape[-1] == len(found.prompt) + 1


def test_a_branch_under_the_same_edits_changes_nothing():
    assert ids("qwen2_vl", edits=BOOST, decoding=ma.Contrast(ma.Under((BOOST,)), 5.0, None)) == ids("qwen2_vl", edits=BOOST)


def test_a_mixture_can_be_sampled_from_and_is_repeatable():
    drawn = ma.Contrast(ma.Blank(), 1.0, None, then=ma.Sample(temperature=2.0, seed=4))
    assert ids("llava", decoding=drawn) == ids("llava", decoding=drawn)
    others = [ids("llava", decoding=replace(drawn, then=ma.Sample(temperature=2.0, seed=s))) for s in range(4)]
    assert any(answer != ids("llava", decoding=drawn) for answer in others)


def test_what_a_token_costs_is_counted(monkeypatch):
    model, inputs = asked("llava")
    language = model.module.model.language_model
    forward, passes = language.forward, []

    def counted(*args, **kwargs):
        passes.append(1)
        return forward(*args, **kwargs)

    monkeypatch.setattr(language, "forward", counted)
    for decoding in (ma.Greedy(), ma.Contrast(ma.Noised())):
        passes.clear()
        ma.generate(model, inputs, max_new_tokens=3, keep=NOTHING, decoding=decoding)
        assert len(passes) == 3 * decoding.passes


def test_a_failing_branch_fails_the_answer_and_leaves_no_thread():
    before = threading.active_count()
    bad = ma.edits.Gate(ma.Where(tower="decoder", heads=(99,)))
    with pytest.raises(ValueError, match="heads \\[99\\]"):
        ids("llava", decoding=ma.Contrast(ma.Under((bad,))))
    with pytest.raises(ValueError, match="heads \\[99\\]"):
        ids("llava", edits=bad, decoding=ma.Contrast(ma.Noised()))
    assert threading.active_count() == before


def test_the_mixture_keeps_what_is_forbidden_forbidden():
    own, other = torch.tensor([[2.0, 1.0, -torch.inf]]), torch.tensor([[0.0, -torch.inf, -torch.inf]])
    found = mixed(own, other, ma.Contrast(alpha=1.0, beta=None))
    assert torch.isinf(found[0, 2]) and found[0, 2] < 0 and found[0, 1] == torch.inf
    neither = mixed(own, other, ma.Contrast(alpha=1.0, beta=0.9))
    assert (neither[0, 1:] == -torch.inf).all() and torch.isfinite(neither[0, 0])


def test_noise_grows_with_its_step():
    assert kept_share(0) == pytest.approx(1, abs=1e-4) and kept_share(0) > kept_share(500) > kept_share(999) > 0
    assert kept_share(500) ** 0.5 == pytest.approx(0.86, abs=0.005)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ma.Noised(1000), "step must be between 0 and 999"),
        (lambda: ma.Blank("red"), "fill must be"),
        (lambda: ma.Imageless("gone"), "how must be"),
        (lambda: ma.Contrast(beta=0), "beta must be above 0"),
        (lambda: ma.Contrast(rule="times"), "rule must be"),
        (lambda: ma.Contrast(then=ma.Beam()), "followed greedily or sampled"),
    ],
)
def test_what_makes_no_sense_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_prompt_that_was_not_prepared_here_has_no_other_picture():
    model, inputs = asked("llava")
    bare = ma.Inputs(inputs.tensors)
    with pytest.raises(ma.AdapterError, match="One picture and its text"):
        ma.generate(model, bare, decoding=ma.Contrast(ma.Blank()))
    with pytest.raises(ma.AdapterError, match="'hidden' works"):
        ma.generate(model, bare, decoding=ma.Contrast(ma.Imageless()))
    text = model.prepare(text=QUESTION)
    with pytest.raises(ma.AdapterError, match="no pixels"):
        ma.generate(model, text, decoding=ma.Contrast(ma.Noised()))
