"""Answers in a batch are those that are given one by one."""

from __future__ import annotations

import numpy as np
import pytest

import model_adapters as ma
from tests.words.told import model_of
from tests.zoo.shake import scene

FAMILIES = ("bundled:lvlm", "llava", "llava_next", "qwen2_5_vl", "internvl", "instructblip", "paligemma")
TEXTS = ("Is there a red ball?", "Describe the image.", "What colour is the cross on the left of the purple ring?")
NEW = 6


def prompts(model: ma.Model) -> list[ma.Inputs]:
    """Of different lengths, and about pictures of different shapes."""
    sizes = ((320, 200), (200, 260), (240, 240))
    return [model.prepare(image=scene(size), text=text) for size, text in zip(sizes, TEXTS, strict=True)]


@pytest.mark.parametrize("name", FAMILIES)
def test_batch_and_single_agree(name):
    model = model_of(name)
    given = prompts(model)
    assert len({p.tensors["input_ids"].shape[1] for p in given}) > 1
    together = ma.answers(model, given, max_new_tokens=NEW)
    for one, prompt in zip(together, given, strict=True):
        alone = ma.generate(model, prompt, max_new_tokens=NEW, keep=ma.Keep(sites="none"))
        assert [t.id for t in one.tokens] == [t.id for t in alone.tokens]
        assert (one.text, one.prompt, one.roles) == (alone.text, alone.prompt, alone.roles)
        for a, b in zip(one.tokens, alone.tokens, strict=True):
            np.testing.assert_allclose(a.logits, b.logits, atol=2e-3)
            assert a.probability == pytest.approx(b.probability, rel=1e-2)


def test_a_batch_of_one_is_the_prompt_itself():
    model = model_of("bundled:lvlm")
    (prompt, *_) = prompts(model)
    (one,) = ma.answers(model, [prompt], max_new_tokens=NEW)
    assert [t.id for t in one.tokens] == [t.id for t in ma.generate(model, prompt, max_new_tokens=NEW).tokens]


def test_what_does_not_fit_one_batch_gets_a_sentence():
    model = model_of("bundled:lvlm")
    (prompt, *_) = prompts(model)
    with pytest.raises(ValueError, match="must hold the same"):
        ma.answers(model, [prompt, model.prepare(text="is there a ball?")])
    with pytest.raises(ValueError, match="The list is empty"):
        ma.answers(model, [])
    with pytest.raises(ValueError, match="prepared by itself"):
        ma.answers(model, [model.prepare(image=[scene(), scene()], text=["a ball?", "a boat?"])])
    with pytest.raises(ValueError, match="at least 1"):
        ma.answers(model, [prompt], max_new_tokens=0)
    with pytest.raises(ma.AdapterError, match="does not write on from its prompts"):
        ma.answers(ma.load("bundled:vit"), [prompt])


def test_a_model_that_is_led_astray_by_padding_is_refused(monkeypatch):
    model = model_of("llava")
    given = prompts(model)
    keep = type(model.module).prepare_inputs_for_generation

    def unmasked(self, *args, **kwargs):
        made = keep(self, *args, **kwargs)
        return {**made, "attention_mask": None, "position_ids": None}

    monkeypatch.setattr(type(model.module), "prepare_inputs_for_generation", unmasked)
    with pytest.raises(ma.AdapterError, match="reads a padded prompt otherwise"):
        ma.answers(model, given, max_new_tokens=2)
