"""Whatever way attention is written: the weights are right and an edit does what it does by hand, or the reason is told."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings

import model_adapters as ma
from model_adapters.edits import Gate
from tests.core.generated import CHANGES, SEEN, TOKENS, WINDOWED, Recipe, built, by_hand, recipes

_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def inputs(recipe: Recipe, batch: int) -> ma.Inputs:
    x = torch.randn(batch, TOKENS, recipe.heads * recipe.width, generator=torch.Generator().manual_seed(7))
    return ma.Inputs({"x": x}, batch=batch, many=batch > 1)


def windows_only(weights: torch.Tensor) -> torch.Tensor:
    """[B, H, T, T] with empty corners -> [B, H, T, T / 2]: the keys of each row's own window."""
    half = TOKENS // 2
    return torch.cat([weights[..., :half, :half], weights[..., half:, half:]], -2)


def check(recipe: Recipe) -> None:
    model = ma.wrap(built(recipe), name="drawn", verify=False)
    report = ma.verify(model, inputs(recipe, 1))
    if recipe.writing not in SEEN:
        assert not report.passed and f"({recipe.name}): its weights are not made by a softmax" in report.sentence, report.sentence
        return
    assert report.passed, report.sentence
    assert any("changes its weights after the softmax" in note for note in report.notes) == changes(recipe, report)
    for batch in (1, 2):
        given_inputs = inputs(recipe, batch)
        plain, seen = by_hand(model.module, recipe, given_inputs.tensors["x"], torch.ones(recipe.heads))
        try:
            capture = ma.capture(model, given_inputs, want={"values"})
        except ma.AdapterError as error:
            assert batch == 2 and "one at a time" in str(error), error
            continue
        torch.testing.assert_close(torch.from_numpy(capture.logits).view_as(plain), plain, atol=1e-5, rtol=1e-4)
        for site, expected in zip(capture.sites, seen, strict=True):
            expected = windows_only(expected) if recipe.fold in WINDOWED else expected
            found = torch.from_numpy(capture.weights[site]).view(batch, *capture.weights[site].shape[-3:])
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        gate = torch.ones(recipe.heads)
        gate[-1] = 0.0
        edited = ma.run(model, given_inputs, Gate(ma.Where(heads=(recipe.heads - 1,)), 0.0))
        expected, _ = by_hand(model.module, recipe, given_inputs.tensors["x"], gate)
        torch.testing.assert_close(edited, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(), Recipe(post="twice"), Recipe(post="talking", heads=3), Recipe(post="sink"), Recipe(order="heads last"),
        Recipe(order="k q", name="Mixer"), Recipe(fold="(h b)", declares=False), Recipe(post="turned"), Recipe(fold="h b"),
    ],
    ids=lambda recipe: f"{recipe.fold}, {recipe.order}, {recipe.post}",
)  # fmt: skip
@pytest.mark.parametrize("batch", [1, 2])
def test_gradients_are_those_of_the_weights_that_are_used(recipe, batch):
    model = ma.wrap(built(recipe), verify=False)
    assert ma.verify(model, inputs(recipe, 1)).passed
    given_inputs = inputs(recipe, batch)
    found = ma.capture(model, given_inputs, want={"gradients", "queries"}, target=lambda logits: logits[:, 0].sum())
    answer, seen = by_hand(model.module, recipe, given_inputs.tensors["x"], torch.ones(recipe.heads))
    expected = torch.autograd.grad(answer[:, 0].sum(), seen)
    for site, gradient in zip(found.sites, expected, strict=True):
        shown = torch.from_numpy(found.gradients[site]).view(gradient.shape)
        torch.testing.assert_close(shown, gradient, atol=1e-5, rtol=1e-3)
        assert found.queries[site].shape == found.keys[site].shape, "hand-written attention yields queries and keys"
    q, k, _ = model.module.blocks[0]["mix"].sides(model.module.blocks[0]["norm"](given_inputs.tensors["x"]))
    for kept, side in ((found.queries, q), (found.keys, k)):
        torch.testing.assert_close(torch.from_numpy(kept[0]).view(side.shape), side.detach(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("post", ["none", "talking"])
def test_rounding_to_half_precision_is_no_change_of_the_weights(post):
    model = ma.wrap(Halved(built(Recipe(post=post, heads=3))), verify=False)
    report = ma.verify(model, inputs(Recipe(heads=3), 1))
    assert any("changes its weights" in note for note in report.notes) == (post == "talking"), report.notes


class Halved(torch.nn.Module):
    """A network in bfloat16, whose softmax is made in float32 and rounded back, as transformers writes it."""

    def __init__(self, net):
        super().__init__()
        self.net = net.bfloat16()
        for block in net.blocks:
            mix = block["mix"]
            mix._softmax = lambda scores, dim: scores.softmax(dim, dtype=torch.float32).to(scores.dtype)

    def forward(self, x):
        return self.net(x.bfloat16())


def changes(recipe: Recipe, report: ma.verify.Report) -> bool:
    """Whether the recipe changes weights; the best few of so few may be all that count, and talk of one head is a factor."""
    told = any("changes its weights" in note for note in report.notes)
    return told if recipe.post == "again" else recipe.post in CHANGES


@settings(max_examples=60, deadline=None, suppress_health_check=_QUIET, derandomize=True)
@given(recipes())
@example(Recipe(fold="(h b)"))
@example(Recipe(fold="(h b)", declares=False, name="TokenMixer"))
@example(Recipe(order="heads last", name="Mixer"))
@example(Recipe(order="k q"))
@example(Recipe(post="sink"))
@example(Recipe(post="twice"))
@example(Recipe(post="talking", heads=3, name="Block"))
def test_attention_however_it_is_written(recipe):
    check(recipe)


@pytest.mark.sweep
@settings(max_examples=500, deadline=None, suppress_health_check=_QUIET)
@given(recipes())
def test_attention_however_it_is_written_many_times(recipe):
    check(recipe)
