"""The lens, and prompt and answer in one pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import model_adapters as ma
from tests.words.told import model_of, told
from tests.zoo import hf
from tests.zoo.shake import scene

FAMILIES = ("llava", "llava_next", "qwen2_vl", "qwen2_5_vl", "internvl", "instructblip", "paligemma", "gemma3", "git")


@pytest.mark.parametrize("name", FAMILIES)
def test_at_the_last_layer_the_lens_gives_the_models_scores(name):
    case = told(name)
    last = max(n for tower, n in case.capture.hidden if tower == "decoder")
    states = case.capture.hidden["decoder", last]
    made = ma.lens(case.model, case.inputs)(states)
    np.testing.assert_allclose(made, case.capture.logits[-len(states) :], atol=1e-4 * np.abs(case.capture.logits).max() + 1e-5)


def test_the_lens_is_norm_and_unembedding():
    case = told("qwen2_vl")
    states = torch.randn(3, case.capture.hidden["decoder", 0].shape[-1])
    language = case.model.module.model.language_model
    scaled = states * torch.rsqrt((states**2).mean(-1, keepdim=True) + language.norm.variance_epsilon) * language.norm.weight
    expected = scaled @ case.model.module.lm_head.weight.T
    np.testing.assert_allclose(ma.lens(case.model, case.inputs)(states.numpy()), expected.detach(), atol=1e-4)


def test_the_bundled_model_has_a_lens():
    case = told("bundled:lvlm")
    last = case.capture.hidden["decoder", 6]
    np.testing.assert_allclose(ma.lens(case.model, case.inputs)(last), case.capture.logits, atol=1e-3)


def test_a_model_that_is_read_otherwise_is_refused():
    model = model_of("gemma3n")
    with pytest.raises(ma.AdapterError, match="not a norm and an unembedding"):
        ma.lens(model, model.prepare(image=scene(), text="A dog?"))


@pytest.mark.parametrize("name", FAMILIES)
def test_one_pass_decides_as_the_generation_did(name):
    case = told(name)
    start = len(case.asked.rows)
    assert len(case.capture.logits) == start + len(case.ids)
    for step, token in enumerate(case.generation.tokens):
        np.testing.assert_allclose(case.capture.logits[start - 1 + step], token.logits, atol=5e-4)


def test_a_pass_that_says_otherwise_is_refused():
    case = told("llava")
    other = told("llava", "What colour is the cross?")
    with pytest.raises(ma.AdapterError, match="other probabilities in one pass than word by word"):
        ma.reread(case.model, other.inputs, case.generation)


def test_a_model_that_counts_its_places_otherwise_when_it_writes_is_refused():
    case = told("kosmos-2")
    with pytest.raises(ma.AdapterError, match="What needs no second pass still works"):
        case.whole  # noqa: B018
    assert case.answer.rows[2][0].shape[-1] == len(case.asked.rows) + 2


def test_an_edited_pass_is_not_held_to_the_generation():
    case = told("llava")
    edit = ma.edits.Uniform(where=ma.Where(tower="decoder"))
    changed = ma.reread(case.model, case.inputs, case.generation, edits=edit, keep=ma.Keep(sites="none"))
    assert np.abs(changed.logits - case.capture.logits).max() > 1e-3


def test_only_answers_of_one_lvlm_prompt_are_read():
    case = told("llava")
    batch = case.model.prepare(image=[scene(), scene()], text=["a", "b"])
    with pytest.raises(ValueError, match="one at a time"):
        ma.asked(case.model, batch)
    module, processor = hf.build("clip")
    dual = ma.wrap(module, processor, name="clip", kind="dual", verify=False)
    with pytest.raises(ma.AdapterError, match="only the answers of an LVLM"):
        ma.lens(dual, dual.prepare(image=scene(), text=["a"]))


def test_no_answer_leaves_the_prompt_as_it_is():
    case = told("qwen2_vl")
    same = ma.continued(case.model, case.inputs, [])
    assert {n: t.shape for n, t in same.tensors.items()} == {n: t.shape for n, t in case.inputs.tensors.items()}


def test_a_tokenizer_is_needed_to_spell():
    case = told("llava")
    bare = ma.wrap(case.model.module, None, name="bare", kind="lvlm", verify=False)
    with pytest.raises(ma.AdapterError, match="without a tokenizer"):
        ma.spelling(bare)
