"""The rows of generated tokens are those of one full pass over prompt and answer."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import model_adapters as ma
from model_adapters.edits import Block, Gate, Uniform
from tests.core.comparing import wrapped

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
NEW = 5
DECODERS = ("llava", "llava_next", "qwen2_5_vl", "mllama", "gemma3", "internvl")
ENCODER_DECODERS = ("florence2", "t5gemma2")


@pytest.fixture(scope="module", params=DECODERS)
def answered(request):
    model, inputs = wrapped(request.param)
    return model, inputs, ma.generate(model, inputs, max_new_tokens=NEW)


def longer(inputs: ma.Inputs, ids: list[int]) -> ma.Inputs:
    """Prompt and answer as one prompt; token types and masks go on as text."""
    more = {}
    answer = torch.tensor([ids], dtype=torch.long)
    for name, value in inputs.tensors.items():
        if name == "input_ids":
            more[name] = torch.cat([value, answer], 1)
        elif name in ("attention_mask", "mm_token_type_ids", "token_type_ids"):
            more[name] = torch.cat([value, torch.full_like(answer, int(name == "attention_mask"))], 1)
        elif name == "cross_attention_mask":
            more[name] = torch.cat([value, value[:, -1:].expand(-1, len(ids), *value.shape[2:])], 1)
    return inputs.with_tensors(**more)


def forced(model, inputs, generation, edits=()):
    """The capture of one pass over the prompt and all but the last token of the answer."""
    return ma.capture(model, longer(inputs, [token.id for token in generation.tokens[:-1]]), edits=edits)


def assert_rows(generation, capture, length, within=1e-5):
    for step, token in enumerate(generation.tokens):
        assert set(token.weights) == set(generation.sites)
        for site, row in token.weights.items():
            whole = capture.weights[site][:, length - 1 + step]
            end = whole.shape[1] if "cross" in site.name else length + step
            seen = slice(end - row.shape[1], end)  # a sliding cache holds the last keys only
            np.testing.assert_allclose(row, whole[:, seen], atol=within, rtol=0)
            assert not np.delete(whole, np.r_[seen], axis=1).any()
        np.testing.assert_allclose(token.logits, capture.logits[length - 1 + step], atol=2e-4)


def test_rows_equal_those_of_a_full_pass(answered):
    model, inputs, generation = answered
    assert_rows(generation, forced(model, inputs, generation), inputs.tensors["input_ids"].shape[1])


def test_probability_is_that_of_the_token_in_its_logits(answered):
    generation = answered[2]
    assert len(generation.tokens) == NEW
    for token in generation.tokens:
        shares = np.exp(token.logits.astype(np.float64) - token.logits.max())
        assert token.probability == pytest.approx(shares[token.id] / shares.sum(), rel=1e-4)
        assert token.log_probability == pytest.approx(np.log(token.probability), abs=1e-4)
        assert token.id == int(token.logits.argmax())


def test_text_and_prompt_are_told(answered):
    model, inputs, generation = answered
    ids = [token.id for token in generation.tokens]
    assert generation.text == model.processor.tokenizer.decode(ids, skip_special_tokens=True)
    assert len(generation.prompt) == len(generation.roles) == inputs.tensors["input_ids"].shape[1]
    count = next(iter(generation.tokens[2].weights.values())).shape[1]
    assert generation.keys(2, count) == (*generation.roles, "answer", "answer")[-count:]


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_encoder_decoder_rows_equal_those_of_a_full_pass(name):
    model, inputs = wrapped(name)
    generation = ma.generate(model, inputs, max_new_tokens=NEW)
    with torch.no_grad():
        sequence = model.module.generate(**inputs.tensors, max_new_tokens=NEW, do_sample=False)
    assert sequence[0, -NEW:].tolist() == [token.id for token in generation.tokens]
    capture = ma.capture(model, inputs.with_tensors(decoder_input_ids=sequence[:, :-1]))
    for step, token in enumerate(generation.tokens):
        assert any("cross" in site.name or "encoder_attn" in site.name for site in token.weights) or name == "t5gemma2"
        for site, row in token.weights.items():
            whole = capture.weights[site][:, sequence.shape[1] - 1 - NEW + step]
            whole = whole[whole > 0].reshape(len(whole), -1)
            np.testing.assert_allclose(np.sort(row[row > 0]), np.sort(whole.ravel()), atol=1e-5)


# ---- ways of decoding


@pytest.fixture(scope="module")
def llava():
    return wrapped("llava")


def test_sampling_repeats_with_its_seed_and_leaves_the_generator_alone(llava):
    model, inputs = llava
    torch.manual_seed(5)
    before = torch.get_rng_state()
    answers = [
        [token.id for token in ma.generate(model, inputs, max_new_tokens=8, decoding=ma.Sample(seed=seed)).tokens]
        for seed in (1, 1, 2)
    ]
    assert torch.equal(torch.get_rng_state(), before)
    assert answers[0] == answers[1] != answers[2]


def test_sampled_probability_is_that_of_the_model_before_any_filter(llava):
    model, inputs = llava
    generation = ma.generate(model, inputs, max_new_tokens=4, decoding=ma.Sample(temperature=3.0, top_k=5, seed=3))
    assert_rows(generation, forced(model, inputs, generation), inputs.tensors["input_ids"].shape[1])
    assert all(0 < token.probability < 1 for token in generation.tokens)


@pytest.mark.parametrize("beams", [2, 4])
@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_rows_of_a_beam_search_are_those_of_the_winning_beam(name, beams):
    model, inputs = wrapped(name)
    generation = ma.generate(model, inputs, max_new_tokens=6, decoding=ma.Beam(beams))
    with torch.no_grad():
        plain = model.module.generate(**inputs.tensors, max_new_tokens=6, num_beams=beams, do_sample=False)
    ids = [token.id for token in generation.tokens]
    assert plain[0, -len(ids) :].tolist() == ids
    assert_rows(generation, forced(model, inputs, generation), inputs.tensors["input_ids"].shape[1])


def test_an_answer_that_ends_at_once(llava):
    model, inputs = llava
    first = ma.generate(model, inputs, max_new_tokens=1).tokens[0].id
    usual = model.module.generation_config
    model.module.generation_config = copy.deepcopy(usual)
    try:
        model.module.generation_config.eos_token_id = first
        for decoding in (ma.Greedy(), ma.Beam(2)):
            generation = ma.generate(model, inputs, max_new_tokens=NEW, decoding=decoding)
            assert len(generation.tokens) >= 1
            if decoding == ma.Greedy():
                assert [token.id for token in generation.tokens] == [first]
                assert_rows(generation, forced(model, inputs, generation), inputs.tensors["input_ids"].shape[1])
    finally:
        model.module.generation_config = usual


def test_kept_sites_and_heads(llava):
    model, inputs = llava
    full = ma.generate(model, inputs, max_new_tokens=3)
    site = full.sites[1]
    some = ma.generate(model, inputs, max_new_tokens=3, keep=ma.Keep(sites=(site,), heads="mean", dtype="float16"))
    for one, other in zip(full.tokens, some.tokens, strict=True):
        assert tuple(other.weights) == (site,)
        np.testing.assert_allclose(other.weights[site][0], one.weights[site].mean(0), atol=1e-3)


# ---- edits


def rows_by_step(model, inputs, edits):
    return [token.weights for token in ma.generate(model, inputs, max_new_tokens=3, edits=edits).tokens]


@pytest.mark.parametrize(("phase", "edited"), [("prompt", (0,)), ("new", (1, 2)), ("both", (0, 1, 2))])
def test_edits_act_in_their_part_of_a_generation(phase, edited, llava):
    model, inputs = llava
    rows = rows_by_step(model, inputs, Uniform(ma.Where(tower="decoder", phase=phase)))
    for step, weights in enumerate(rows):
        flat = [float(row.std()) < 1e-6 for row in weights.values()]
        assert all(flat) if step in edited else not any(flat)


@pytest.mark.parametrize("role", ["image", "text", "answer"])
def test_roles_are_blocked_while_answering(role, llava):
    model, inputs = llava
    rows = rows_by_step(model, inputs, Block(ma.Where(tower="decoder", queries="text", keys=role)))
    image = inputs.tensors["input_ids"][0].numpy() == model.config.image_token_id
    for step, weights in enumerate(rows):
        for row in weights.values():
            keys = np.concatenate([np.where(image, "image", "text"), ["answer"] * step])
            groups = {"image": keys == "image", "answer": keys == "answer", "text": keys != "image"}
            assert not row[:, groups[role]].any()
            if role == "image":
                np.testing.assert_allclose(row.sum(-1), 1, atol=1e-5)


def test_edits_of_new_tokens_equal_a_full_pass_with_the_same_rows_edited(llava):
    """A gate on the answer's rows alone, once through the cache and once in one pass."""
    model, inputs = llava
    length = inputs.tensors["input_ids"].shape[1]
    generation = ma.generate(
        model, inputs, max_new_tokens=4, edits=Gate(ma.Where(tower="decoder", heads=(1,), phase="new"), 0.2)
    )
    rows = tuple(range(length, length + 3))
    capture = forced(model, inputs, generation, Gate(ma.Where(tower="decoder", heads=(1,), queries=rows), 0.2))
    assert_rows(generation, capture, length)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"max_new_tokens": 0}, "at least 1. Got 0"),
        ({"keep": ma.Keep(reduce="entropy")}, "needs no reduction"),
    ],
)
def test_wrong_arguments_get_their_sentence(options, sentence, llava):
    with pytest.raises(ValueError, match=sentence):
        ma.generate(*llava, **options)


def test_other_kinds_do_not_generate():
    model, inputs = wrapped("vit")
    with pytest.raises(ma.AdapterError, match="does not generate text"):
        ma.generate(model, inputs)
    for make, sentence in (
        (lambda: ma.Beam(1), "at least 2. Got 1"),
        (lambda: ma.Sample(temperature=0), "above 0. Got 0"),
    ):
        with pytest.raises(ValueError, match=sentence):
            make()
