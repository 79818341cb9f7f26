"""Gradients against finite differences and against a network that is differentiated by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import model_adapters as ma
from model_adapters.edits import Gate, ReplaceHeads, ReplaceWeights, SetHidden, Values
from tests.core.by_hand import HEADS, TOKENS, WHOLE, WIDTH, net, slow, tokens
from tests.core.comparing import close, wrapped, wrapped_timm

WANT = {"gradients", "heads", "hidden"}
CLASS = 3


def slopes(model, x, place, shape):
    """The derivative of the class score by what stands at `place`, by autograd through the slow network."""
    added = {}

    def plus(tensor, layer, head=None):
        key = (layer, head)
        added[key] = torch.zeros_like(tensor).requires_grad_()
        return tensor + added[key]

    change = {"hidden": lambda x, layer: plus(x, layer)}.get(place, plus)
    number = slow(model, x, **{place: change})[:, CLASS].sum()
    keys = list(added)
    return dict(zip(keys, torch.autograd.grad(number, [added[key] for key in keys]), strict=True))


@pytest.mark.parametrize("way", WHOLE)
def test_gradients_equal_those_of_the_slow_network(way):
    model, inputs = net(way), tokens()
    capture = ma.capture(model, inputs, want=WANT, target=CLASS)
    x = inputs.tensors["x"]
    weights, outputs = (slopes(model, x, place, None) for place in ("weights", "output"))
    hidden = slopes(model, x, "hidden", None)
    assert len(capture.gradients) == len(capture.head_gradients) == 2
    for site in capture.sites:
        for head in range(HEADS):
            close(torch.from_numpy(capture.gradients[site][head]), weights[site.layer, head])
            close(torch.from_numpy(capture.head_gradients[site][head]), outputs[site.layer, head])
        close(torch.from_numpy(capture.hidden_gradients["vision", site.layer]), hidden[site.layer, None])
    assert max(float(abs(gradient).max()) for gradient in capture.gradients.values()) > 1e-3


def test_gradient_of_weights_predicts_a_replacement():
    """A small step away from the model's own weights moves the class score by the gradient times the step."""
    model, inputs = net(), tokens()
    capture = ma.capture(model, inputs, want={"gradients"}, target=CLASS)
    generator = np.random.default_rng(0)
    for site in capture.sites:
        own = capture.weights[site]
        step = 1e-2 * generator.standard_normal(own.shape).astype(np.float32)
        scores = [
            float(
                ma.run(model, inputs, ReplaceWeights(ma.Where(sites=(site.name,)), Values(own + sign * step)))[0, CLASS]
            )
            for sign in (1, -1)
        ]
        predicted = float((capture.gradients[site] * step).sum())
        assert abs(predicted) > 1e-4
        assert (scores[0] - scores[1]) / 2 == pytest.approx(predicted, rel=0.02, abs=1e-5)


def test_gradient_of_head_outputs_predicts_a_replacement():
    model, inputs = net(), tokens()
    capture = ma.capture(model, inputs, want={"gradients", "heads"}, target=CLASS)
    generator = np.random.default_rng(1)
    site = capture.sites[0]
    own = capture.head_outputs[site]
    step = 1e-2 * generator.standard_normal(own.shape).astype(np.float32)
    scores = [
        float(ma.run(model, inputs, ReplaceHeads(ma.Where(sites=(site.name,)), Values(own + sign * step)))[0, CLASS])
        for sign in (1, -1)
    ]
    assert (scores[0] - scores[1]) / 2 == pytest.approx(float((capture.head_gradients[site] * step).sum()), rel=0.02)


def test_gradient_of_hidden_states_predicts_a_replacement():
    model, inputs = net(), tokens()
    capture = ma.capture(model, inputs, want={"gradients", "hidden"}, target=CLASS)
    generator = np.random.default_rng(2)
    for layer in range(2):
        own = capture.hidden["vision", layer]
        step = 1e-2 * generator.standard_normal(own.shape).astype(np.float32)
        scores = [
            float(
                ma.run(model, inputs, SetHidden(ma.Where(layers=(layer,)), value=Values(own + sign * step)))[0, CLASS]
            )
            for sign in (1, -1)
        ]
        predicted = float((capture.hidden_gradients["vision", layer] * step).sum())
        assert (scores[0] - scores[1]) / 2 == pytest.approx(predicted, rel=0.02)


@pytest.mark.parametrize("way", WHOLE)
def test_gates_have_a_gradient(way):
    """The derivative by a gate is the head's output times its gradient, summed."""
    model, inputs = net(way), tokens(2)
    gates = torch.ones(HEADS, requires_grad=True)
    number = ma.run(model, inputs, Gate(ma.Where(layers=(1,)), gates))[:, CLASS].sum()
    (found,) = torch.autograd.grad(number, gates)
    capture = ma.capture(model, inputs, want=WANT, target=CLASS)
    site = capture.sites[1]
    expected = (capture.head_outputs[site] * capture.head_gradients[site]).sum((0, 2, 3))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4, rtol=1e-3)
    small = 1e-2
    for head in range(HEADS):
        ends = [
            float(ma.run(model, inputs, Gate(ma.Where(layers=(1,), heads=(head,)), 1 + sign * small))[:, CLASS].sum())
            for sign in (1, -1)
        ]
        assert (ends[0] - ends[1]) / (2 * small) == pytest.approx(float(found[head]), rel=0.02, abs=2e-3)


def test_kept_rows_and_heads_of_gradients():
    model, inputs = net(), tokens(2)
    full = ma.capture(model, inputs, want={"gradients"}, target=CLASS)
    some = ma.capture(model, inputs, keep=ma.Keep(queries=(1, 4), heads=(2,)), want={"gradients"}, target=CLASS)
    for site in full.sites:
        np.testing.assert_allclose(some.gradients[site], full.gradients[site][:, [2]][:, :, [1, 4]], atol=1e-6)
        assert some.gradients[site].shape == some.weights[site].shape


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "pvt_v2_b0", "nest_tiny", "vit_small_patch16_dinov3"])
def test_gradients_of_timm_models_sum_as_they_must(name):
    """Scaling all weights of a site scales its output, so both inner products with their gradients agree."""
    model, inputs = wrapped_timm(name)
    target = None if model.classes else lambda features: features.amax(-1).sum()
    capture = ma.capture(model, inputs, want=WANT, target=target)
    moved = 0
    for site in capture.sites:
        by_weights = (capture.weights[site] * capture.gradients[site]).sum()
        by_outputs = (capture.head_outputs[site] * capture.head_gradients[site]).sum()
        np.testing.assert_allclose(by_weights, by_outputs, atol=1e-4, rtol=1e-2)
        moved += abs(by_outputs) > 1e-6
    assert moved > 0


def test_log_probability_of_a_token():
    model, inputs = wrapped("llava")
    token, position = 17, -3
    capture = ma.capture(model, inputs, want=WANT, target=ma.Token(token, position))
    site = next(site for site in capture.sites if site.tower == "decoder")
    own = capture.head_outputs[site]
    step = 1e-2 * np.random.default_rng(3).standard_normal(own.shape).astype(np.float32)
    ends = []
    for sign in (1, -1):
        edit = ReplaceHeads(ma.Where(sites=(site.name,)), Values(own + sign * step))
        ends.append(float(ma.run(model, inputs, edit)[0, position].log_softmax(-1)[token]))
    assert (ends[0] - ends[1]) / 2 == pytest.approx(
        float((capture.head_gradients[site] * step).sum()), rel=0.05, abs=1e-5
    )


@pytest.mark.parametrize("flag", [True, False])
def test_parameters_are_left_alone(flag):
    """No gradient is written on the shared model and no flag is changed."""
    model, inputs = net(), tokens()
    model.module.requires_grad_(flag)
    ma.capture(model, inputs, want=WANT, target=CLASS)
    gate = torch.ones(HEADS, requires_grad=True)
    torch.autograd.grad(ma.run(model, inputs, Gate(value=gate)).sum(), gate)
    assert all(parameter.grad is None and parameter.requires_grad is flag for parameter in model.module.parameters())
    assert torch.is_grad_enabled()


def test_wrong_targets_get_their_sentence():
    model, inputs = net(), tokens()
    for target, sentence in (
        (9, r"targets \[9\] were given for 1 items of 5 classes"),
        ("cat", "class 'cat' was asked for"),
    ):
        with pytest.raises(ValueError, match=sentence):
            ma.capture(model, inputs, want={"gradients"}, target=target)
    with pytest.raises(ValueError, match="leave `reduce` out"):
        ma.capture(model, inputs, keep=ma.Keep(reduce="entropy"), want={"gradients"})


def test_shapes_are_those_of_what_they_belong_to():
    capture = ma.capture(net(), tokens(2), want=WANT, target=lambda logits: logits.square().sum())
    for site in capture.sites:
        assert capture.gradients[site].shape == (2, HEADS, TOKENS, TOKENS)
        assert (
            capture.head_gradients[site].shape == capture.head_outputs[site].shape == (2, HEADS, TOKENS, WIDTH // HEADS)
        )
    assert {key: value.shape for key, value in capture.hidden_gradients.items()} == {
        ("vision", layer): (2, TOKENS, WIDTH) for layer in range(3)
    }
