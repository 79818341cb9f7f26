"""Two prompts read layer by layer: one pass of each, whatever is decided."""

from __future__ import annotations

from functools import wraps

import numpy as np
import pytest
import torch
from torch.overrides import _get_current_function_mode_stack

import model_adapters as ma
from analysis.fixes import vision_heads_reinforced
from model_adapters.edits import Gate
from model_adapters.planned import decided
from model_adapters.side_by_side import Pair, settled_by_a_pass
from model_adapters.trail import _observers
from tests.fixes.small import NOTHING, QUESTION, asked

FAMILIES = ("bundled:lvlm", "llava", "qwen2_5_vl", "internvl")


def gate(layer: int, heads: tuple[int, ...]) -> Gate:
    return Gate(ma.Where(tower="decoder", layers=(layer,), heads=heads, queries="last"), 3.0)


def side_by_side(model: ma.Model, inputs: ma.Inputs, other: tuple, layers: tuple[int, ...], decide) -> dict:
    """What is decided at each of these layers."""
    pair = Pair(model, other, layers, decide)
    settled_by_a_pass(model, inputs, (pair.edit,))
    return pair.decided


def said(model: ma.Model, inputs: ma.Inputs, layer: int, edits: tuple = ()) -> np.ndarray:
    """[H, D]: what the heads of a layer say in the last row, from a pass of its own."""
    capture = ma.capture(model, inputs, edits=edits, keep=ma.Keep(queries="last"), want={"heads"})
    return next(out[:, -1] for s, out in capture.head_outputs.items() if s.tower == "decoder" and s.layer == layer)


@pytest.mark.parametrize("name", FAMILIES)
def test_both_prompts_are_seen_as_in_passes_of_their_own(name):
    model, inputs = asked(name)
    blind = model.prepare(text=QUESTION)
    met = []

    def decide(layer, seen, less):
        met.append((layer, seen, less))
        return gate(layer, (layer, 0)) if layer else gate(0, (1,))

    found = side_by_side(model, inputs, (blind, ()), (0, 1), decide)
    assert list(found) == [layer for layer, *_ in met] == [0, 1]
    for layer, seen, less in met:
        before = tuple(found[one] for one in range(layer))
        np.testing.assert_allclose(seen, said(model, inputs, layer, before), atol=1e-5)
        np.testing.assert_allclose(less, said(model, blind, layer, before), atol=1e-5)


def test_each_prompt_is_read_once(monkeypatch):
    model, inputs = asked("llava")
    passes = []
    forward = model.module.forward
    monkeypatch.setattr(model.module, "forward", lambda **given: passes.append(given["input_ids"].shape[1]) or forward(**given))
    gates = decided(model, inputs, vision_heads_reinforced()["edits"])
    assert len(gates) == ma.decoder_depth(model)
    assert passes == [inputs.tensors["input_ids"].shape[1], model.prepare(text=QUESTION).tensors["input_ids"].shape[1]]


@pytest.mark.parametrize("decoding", [ma.Greedy(), ma.Beam(2), ma.Contrast(ma.Blank(), 1.0, 0.1)], ids=lambda d: type(d).__name__)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_generation_decides_as_a_pass_before_it_would(name, decoding):
    model, inputs = asked(name)
    fix = vision_heads_reinforced(alpha=3.0)["edits"]
    before = decided(model, inputs, fix)
    as_it_reads = ma.generate(model, inputs, max_new_tokens=5, keep=NOTHING, edits=fix, decoding=decoding)
    with_gates = ma.generate(model, inputs, max_new_tokens=5, keep=NOTHING, edits=before, decoding=decoding)
    assert as_it_reads.edits == before == with_gates.edits
    assert [t.id for t in as_it_reads.tokens] == [t.id for t in with_gates.tokens]
    for one, other in zip(as_it_reads.tokens, with_gates.tokens, strict=True):
        np.testing.assert_allclose(one.logits, other.logits, atol=1e-4)


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_two_plans_decide_one_after_the_other_at_every_layer(name):
    model, inputs = asked(name)
    plans = vision_heads_reinforced(alpha=3.0)["edits"] + vision_heads_reinforced(alpha=0.5, without="hidden")["edits"]
    found = ma.generate(model, inputs, max_new_tokens=4, keep=NOTHING, edits=plans)
    assert [gate.value for gate in found.edits] == [3.0] * (len(found.edits) // 2) + [0.5] * (len(found.edits) // 2)
    again = ma.generate(model, inputs, max_new_tokens=4, keep=NOTHING, edits=found.edits)
    for one, other in zip(found.tokens, again.tokens, strict=True):
        np.testing.assert_allclose(one.logits, other.logits, atol=1e-4)


def test_a_generation_that_decides_reads_each_prompt_once(monkeypatch):
    model, inputs = asked("llava")
    lengths = []
    forward = model.module.forward

    @wraps(forward)
    def counted(*args, **given):
        lengths.append(given["input_ids"].shape[1])
        return forward(*args, **given)

    monkeypatch.setattr(model.module, "forward", counted)
    ma.generate(model, inputs, max_new_tokens=3, keep=NOTHING, **vision_heads_reinforced())
    assert lengths == [inputs.tensors["input_ids"].shape[1], model.prepare(text=QUESTION).tensors["input_ids"].shape[1], 1, 1]


def test_a_generation_that_is_stopped_while_deciding_leaves_nothing_open(monkeypatch):
    model, inputs = asked("qwen2_5_vl")
    plain = ma.generate(model, inputs, max_new_tokens=3, keep=NOTHING)

    def fail(*given):
        raise KeyError("stopped")

    monkeypatch.setattr("analysis.fixes.strong_heads.chosen_heads", fail)
    with pytest.raises(KeyError, match="stopped"):
        ma.generate(model, inputs, max_new_tokens=3, keep=NOTHING, **vision_heads_reinforced())
    assert torch.is_grad_enabled() and not _get_current_function_mode_stack() and not _observers.get()
    again = ma.generate(model, inputs, max_new_tokens=3, keep=NOTHING)
    for one, other in zip(plain.tokens, again.tokens, strict=True):
        np.testing.assert_array_equal(one.logits, other.logits)


def test_deciding_nothing_leaves_the_model_and_its_answers_as_they_were():
    model, inputs = asked("qwen2_5_vl")
    before = ma.generate(model, inputs, max_new_tokens=3, keep=NOTHING)
    found = side_by_side(model, inputs, (inputs, ()), (0, 1), lambda layer, seen, less: None)
    assert found == {0: None, 1: None}
    after = ma.generate(model, inputs, max_new_tokens=3, keep=NOTHING)
    for one, other in zip(before.tokens, after.tokens, strict=True):
        np.testing.assert_array_equal(one.logits, other.logits)


def test_the_same_prompt_twice_says_the_same():
    model, inputs = asked("llava")
    apart = []
    side_by_side(model, inputs, (inputs, ()), (0, 1), lambda layer, seen, less: apart.append(np.abs(seen - less).max()))
    assert apart == [0, 0]


def test_what_goes_wrong_is_raised_and_leaves_nothing_open():
    model, inputs = asked("llava")
    broken = inputs.with_tensors(pixel_values=torch.zeros(1, 3, 5, 5))
    with pytest.raises((RuntimeError, ValueError)):
        side_by_side(model, inputs, (broken, ()), (0, 1), lambda layer, seen, less: None)

    def fail(layer, seen, less):
        raise KeyError("nothing to decide")

    with pytest.raises(KeyError, match="nothing to decide"):
        side_by_side(model, inputs, (inputs, ()), (0, 1), fail)
    with pytest.raises(ValueError, match="layer 7 of the decoder has no attention"):
        side_by_side(model, inputs, (inputs, ()), (0, 7), lambda layer, seen, less: None)
    assert torch.is_grad_enabled() and not _get_current_function_mode_stack() and not _observers.get()


def test_a_pass_that_is_left_early_leaves_gradients_on():
    model, inputs = asked("llava")
    side_by_side(model, inputs, (inputs, ()), (0,), lambda layer, seen, less: None)
    assert torch.is_grad_enabled() and not _get_current_function_mode_stack()
