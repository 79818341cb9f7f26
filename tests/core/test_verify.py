"""The check at load: what it tells, what it refuses, and how little it costs."""

from __future__ import annotations

import pytest
import torch

import model_adapters as ma
from tests.core.by_hand import Attention, Net, net, tokens
from tests.core.comparing import wrapped, wrapped_timm
from tests.sweep.families import EXCEPTIONS

REFUSED = {
    "convnext_atto": "convnext_atto has no attention (ConvNeXt): there is nothing to look at.",
    "focalnet_tiny_srf": "focalnet_tiny_srf has no attention (FocalNet): there is nothing to look at.",
    "mambaout_femto": "mambaout_femto has no attention (MambaOut): there is nothing to look at.",
    "efficientvit_b0": "(LiteMLA): linear attention has no weights",
}


@pytest.mark.parametrize("name", REFUSED)
def test_models_without_weights_are_refused(name):
    model, inputs = wrapped_timm(name)
    report = ma.verify(model, inputs)
    assert not report.passed and report.sites == 0 and model.report is report
    assert REFUSED[name] in report.sentence
    assert f"timm:{name}" in EXCEPTIONS


def test_wrap_raises_the_sentence_of_a_refusal():
    with pytest.raises(ma.AdapterError, match="convnext_atto has no attention"):
        ma.wrap(wrapped_timm("convnext_atto")[0].module, name="convnext_atto")


class HandmadeAttention(Attention):
    """Exponentials divided by their sum: no function that a tap could meet."""

    def _sdpa(self, q, k, v):
        raised = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).exp()
        return (raised / raised.sum(-1, keepdim=True)) @ v


def handmade(blocks=(0, 1)) -> ma.Model:
    module = Net("sdpa")
    for number in blocks:
        module.blocks[number].attn = HandmadeAttention()
    return ma.wrap(module.eval(), name="handmade", verify=False)


def test_attention_that_is_hidden_is_refused():
    report = ma.verify(handmade(), tokens())
    assert not report.passed
    assert "computes no attention weights that can be seen: blocks.0.attn (HandmadeAttention)" in report.sentence


def test_attention_that_is_hidden_in_some_blocks_is_told():
    report = ma.verify(handmade((1,)), tokens())
    assert report.passed and report.sites == 1
    assert "1 of 2 attention computations are seen; not seen: blocks.1.attn (HandmadeAttention)" in report.notes[0]
    assert "1 of 2 attention computations are seen" in report.sentence


@pytest.mark.parametrize(
    "make", [lambda: (net(), tokens()), lambda: wrapped("llava"), lambda: wrapped_timm("swin_tiny_patch4_window7_224")]
)
def test_report_says_what_was_found(make):
    model, inputs = make()
    report = ma.verify(model, inputs)
    assert report.passed and model.report is report
    assert report.sites == len(report.seen) == len(ma.capture(model, inputs).sites)
    assert report.seen == ma.capture(model, inputs).sites
    assert report.unchanged and report.row_sums < 1e-5 and report.identity < 1e-5 < report.uniform
    assert not report.hidden_effect and report.unseen == () and report.seconds > 0
    assert f"{report.sites} attention computations seen" in report.sentence and "same to the bit" in report.sentence


def test_untrained_weights_that_hide_the_effect_are_told():
    """A fresh network whose branches are scaled by zero: attention moves nothing yet."""
    model, inputs = net(), tokens()
    with torch.no_grad():
        for block in model.module.blocks:
            block.attn.proj.weight.zero_()
    report = ma.verify(model, inputs)
    assert report.passed and report.hidden_effect and "only inside" in report.sentence


@pytest.mark.parametrize(
    "make", [lambda: (net(), tokens()), lambda: wrapped("llava"), lambda: wrapped_timm("pvt_v2_b0")]
)
def test_few_passes_are_enough(make):
    model, inputs = make()
    calls = []
    handle = model.module.register_forward_pre_hook(lambda module, args: calls.append(module))
    ma.verify(model, inputs)
    handle.remove()
    assert 3 <= len(calls) <= 6


def test_verify_leaves_the_model_and_the_generator_alone():
    model, inputs = net(), tokens()
    state, plain = torch.get_rng_state(), model.forward(inputs)
    ma.verify(model, inputs)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(model.forward(inputs), plain)
