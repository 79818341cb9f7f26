"""Sinks, massive activations and the position artefact: planted ones are found, and none where there are none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax

import model_adapters as ma
from analysis.edit_effects import effect
from analysis.massive import massive_activations, massive_dimensions
from analysis.position_artefact import cleaned_attention, position_artefact
from analysis.registry import METHODS
from analysis.sink_whatifs import interventions, sink_whatifs, usual_sink
from analysis.sinks import sinks_by_attention, sinks_by_massive_dimensions, sinks_by_norm, strongest_parking, token_norms
from analysis.thresholds import outlier_threshold
from model_adapters import Keep
from model_adapters.edits import Block, SetHidden
from tests.analysis.pattern_captures import hand_made, random_weights, uniform

T, D = 26, 32


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def states(rng, images=None):
    return rng.standard_normal((T, D) if images is None else (images, T, D)).astype(np.float32)


def with_hidden(*hidden):
    batch = hidden[0].ndim == 3
    weights = uniform(T)
    return hand_made([np.repeat(weights[None], len(hidden[0]), 0) if batch else weights], grid=(5, 5), hidden=list(hidden))


def test_threshold_is_median_plus_six_deviations_of_the_logs(rng):
    numbers = np.exp(rng.standard_normal(500))
    logs = sorted(np.log(numbers))
    middle = (logs[249] + logs[250]) / 2
    deviations = sorted(abs(x - middle) for x in logs)
    found = outlier_threshold(numbers)
    assert found.value == pytest.approx(np.exp(middle + 6 * (deviations[249] + deviations[250]) / 2))
    assert found.counts.sum() == 500 and len(found.edges) == len(found.counts) + 1
    assert outlier_threshold(numbers, given=3.0).value == 3.0


def test_norms_are_lengths_of_hidden_states(rng):
    first, second = states(rng), states(rng)
    norms = token_norms(with_hidden(first, second))
    assert norms.values.shape == (2, 1, T) and norms.layers == (0, 1)
    assert norms.values[1, 0, 7] == pytest.approx(np.sqrt(sum(float(x) ** 2 for x in second[7])), rel=1e-5)
    assert norms.rows[0].roles[0] == "class"


def test_planted_sinks_are_found_by_norm_and_ranked(rng):
    hidden = states(rng, 3)
    hidden[1, [4, 9]] *= np.array([[20], [40]])
    hidden[:, 0] *= 100  # the class token is large in every image and no sink
    found = sinks_by_norm(with_hidden(hidden))
    assert found.of_image(1) == (9, 4) and found.of_image(0) == () and found.share == pytest.approx(2 / (3 * T))
    assert 0 in sinks_by_norm(with_hidden(hidden), among="all", threshold=200.0).of_image(0)
    assert sinks_by_norm(with_hidden(hidden), threshold=1e6).share == 0


def test_noise_has_no_sinks(rng):
    assert sinks_by_norm(with_hidden(states(rng))).share == 0
    assert sinks_by_attention(hand_made([uniform(T)], grid=(5, 5))).share == 0
    assert sinks_by_massive_dimensions(with_hidden(states(rng))).share == 0
    assert massive_dimensions(with_hidden(states(rng))) == ()


def test_planted_column_is_a_sink_by_attention(rng):
    weights = random_weights(rng, 4, T, 0.3)
    weights[:, :, 11] += 2
    weights /= weights.sum(-1, keepdims=True)
    found = sinks_by_attention(hand_made([weights], grid=(5, 5)))
    assert found.of_image() == (11,)
    assert found.score[0, 11] == pytest.approx(T * np.mean([[weights[h, q, 11] for q in range(T)] for h in range(4)]), rel=1e-5)
    assert found.score.mean() == pytest.approx(1, rel=1e-5)


def test_a_sink_of_the_first_layer_is_found_by_default_and_its_layer_is_said(rng):
    first, second, even = random_weights(rng, 4, T, 0.3), random_weights(rng, 4, T, 0.3), uniform(T)
    first[:, :, [11, 4]] += np.array([4, 3.6])
    second[:, :, 11] += 0.8
    planted = [w / w.sum(-1, keepdims=True) for w in (first, second)]
    capture = hand_made([*planted, even], grid=(5, 5))
    found = sinks_by_attention(capture)
    assert found.of_image() == (11, 4) and found.layer == 0 and len(found.by_layer) == 3
    assert found.layers_of(11) == (0, 1) and found.layers_of(4) == (0,) and found.layers_of(7) == ()
    assert found.score[0, 11] == pytest.approx(T * max(w[:, :, 11].mean() for w in planted), rel=1e-4)
    assert sinks_by_attention(capture, layer=-1).share == 0 and sinks_by_attention(capture, layer=0).of_image() == (11, 4)
    assert sinks_by_attention(capture, layer=0).layers_of(4) == (0,)
    both = np.stack([planted[0], np.roll(planted[0], 2, -1)])
    batch = hand_made([both, np.full_like(both, 1 / T)], grid=(5, 5))
    assert [sinks_by_attention(batch).of_image(n) for n in (0, 1)] == [(11, 4), (13, 6)]
    assert sinks_by_attention(batch).layers_of(13, image=1) == (0,) and sinks_by_attention(batch).layers_of(13, image=0) == ()


def test_no_layer_has_a_sink_where_attention_is_even_or_only_uneven(rng):
    assert sinks_by_attention(hand_made([uniform(T)] * 3, grid=(5, 5))).share == 0
    assert strongest_parking(hand_made([uniform(T)] * 3, grid=(5, 5))).times == pytest.approx(1)
    weights = random_weights(rng, 4, T, 0.1)
    weights[:, :, 11] += 0.04
    weights /= weights.sum(-1, keepdims=True)
    capture = hand_made([uniform(T), weights], grid=(5, 5))
    assert sinks_by_attention(capture, least=1.0).of_image() != () and sinks_by_attention(capture).share == 0
    place = strongest_parking(capture)
    assert (place.token, place.layer) == (11, 1) and place.times == pytest.approx(T * weights[:, :, 11].mean(), rel=1e-4)


def test_massive_scalar_is_named_with_its_place(rng):
    hidden = states(rng)
    hidden[6, 17] = -3000
    found = massive_activations(with_hidden(states(rng), hidden))
    assert (found.tokens[1, 0], found.dims[1, 0], found.values[1, 0]) == (6, 17, -3000)
    assert found.is_massive.sum() == 1 and found.ratios[1, 0] == pytest.approx(3000 / np.median(np.abs(hidden)), rel=1e-4)
    for rule in ("published", "model"):
        assert massive_dimensions(with_hidden(states(rng), hidden), rule=rule) == (17,)
    assert sinks_by_massive_dimensions(with_hidden(states(rng), hidden)).of_image() == (6,)


def test_large_but_not_a_thousand_times_is_not_massive(rng):
    hidden = 100 * states(rng)
    hidden[6, 17] = 5000
    assert not massive_activations(with_hidden(hidden)).is_massive.any()


def test_position_artefact_is_what_was_planted(rng):
    artefact = rng.standard_normal((T, D)) * 2
    artefact[1:] -= artefact[1:].mean(0)
    captures = [with_hidden((artefact + rng.standard_normal((T, D))).astype(np.float32)) for _ in range(200)]
    found = position_artefact(captures)
    assert np.abs(found.mean[1:] - artefact[1:]).max() < 0.4
    # Each scalar has variance 4 by position and 1 by image: 4 / 5 is explained.
    assert found.explained == pytest.approx(0.8, abs=0.03)
    cleaned = [found.removed(c.hidden["vision", 0]) for c in captures]
    assert np.abs(np.mean(cleaned, 0)[1:] - found.centre).max() < 1e-5


def test_pure_content_has_no_position_artefact(rng):
    found = position_artefact([with_hidden(states(rng)) for _ in range(10)])
    assert found.explained < 0.05
    with pytest.raises(ValueError, match="at least 2 images"):
        position_artefact([with_hidden(states(rng))])


def test_cleaned_maps_drop_sinks_and_divide_by_the_usual(rng):
    weights = random_weights(rng, 2, T)
    capture = hand_made([weights], grid=(5, 5))
    site = capture.sites[0]
    raw = cleaned_attention(capture, site, mode="raw")
    assert raw.values == pytest.approx(weights.mean(0)[0, 1:])
    without = cleaned_attention(capture, site, mode="sinks removed", sinks=(3, 8))
    assert len(without.values) == 23 and without.values.sum() == pytest.approx(1)
    planted = rng.uniform(0.9, 1.1, (2, T, T)).astype(np.float32)
    planted[:, :, [3, 8]] = 4
    planted /= planted.sum(-1, keepdims=True)
    found = cleaned_attention(hand_made([planted], grid=(5, 5)), site, mode="sinks removed")
    assert np.allclose(found.values, np.delete(planted.mean(0)[0], [0, 3, 8]) / np.delete(planted.mean(0)[0], [0, 3, 8]).sum())
    relative = cleaned_attention(capture, site, mode="relative", head=1)
    slow = [weights[1, 0, k] / np.mean([weights[1, q, k] for q in range(1, T)]) for k in range(1, T)]
    assert relative.values == pytest.approx(slow, rel=1e-4)
    assert cleaned_attention(capture, site, others=[capture]).values == pytest.approx(np.ones(25))
    with pytest.raises(ValueError, match="1 everywhere"):
        cleaned_attention(capture, site, query="mean")


def test_effect_of_nothing_is_nothing_and_of_something_is_by_hand(rng):
    before, after = rng.standard_normal((2, 6, 4))
    same = effect(before, before)
    assert (same.kl, same.flips, same.probability_drop, same.accuracy) == (0, 0, 0, 1)
    p, q = softmax(before, -1), softmax(after, -1)
    found = effect(before, after, labels=np.zeros(6, int))
    assert found.kl == pytest.approx(np.mean([sum(p[i] * np.log(p[i] / q[i])) for i in range(6)]))
    assert found.probability_drop == pytest.approx(np.mean(p[:, 0] - q[:, 0]))
    assert found.accuracy == np.mean(after.argmax(-1) == 0)


def only_token_five_matters(edits):
    tokens = [e.where.keys if isinstance(e, Block) else e.where.queries for e in edits]
    return np.array([[0.0, 5.0]]) if any(t != "all" and 5 in t for t in tokens) else np.array([[5.0, 0.0]])


def test_what_if_tells_the_token_that_matters_from_random_ones():
    found = sink_whatifs([only_token_five_matters] * 2, [(5,), ()], range(1, 26), dims=(3,), draws=20)
    assert [w.name for w in found] == ["block the columns", "zero the massive dimensions"]
    assert all(w.sinks.flips == 1 and w.rank == 0 and len(w.random) == 20 for w in found)
    nothing = sink_whatifs([only_token_five_matters], [(7,)], [7, 8, 9])
    assert nothing[0].sinks.kl == 0 and nothing[0].rank == 1
    with pytest.raises(ValueError, match="no sinks"):
        sink_whatifs([only_token_five_matters], [(5,)], [5])


def test_added_tokens_have_their_random_control_too():
    found = sink_whatifs([only_token_five_matters], [(5,)], range(1, 26), dims=(3,), draws=20, added=True)
    assert [w.name for w in found if "add" in w.name] == [
        "block the columns and add empty tokens", "move the massive dimensions to added tokens",
    ]  # fmt: skip
    assert all(w.sinks.flips == 1 and w.rank == 0 and len(w.random) == 20 for w in found)


def test_moving_massive_dimensions_to_added_tokens_is_what_a_loop_over_the_blocks_gives(tiny_vit):
    model = ma.wrap(tiny_vit, name="tiny")
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    edits = interventions((5, 6), (1, 2), layer=1, added=True)
    with torch.no_grad():
        stream = tiny_vit.blocks[0](tiny_vit._pos_embed(tiny_vit.patch_embed(x)))
        new = torch.zeros(1, 2, 32)
        for dim in (1, 2):
            new[..., dim] = max(stream[0, [5, 6], dim], key=abs)
            stream[0, [5, 6], dim] = 0
        expected = tiny_vit.forward_head(tiny_vit.norm(tiny_vit.blocks[1](torch.cat([stream, new], 1))[:, :-2]))
    found = ma.run(model, ma.Inputs({"x": x}), edits["move the massive dimensions to added tokens"])
    assert torch.allclose(found, expected, atol=1e-5) and not torch.allclose(found, tiny_vit(x), atol=1e-4)


def test_what_ifs_on_a_model(tiny_vit):
    model = ma.wrap(tiny_vit, name="tiny")
    inputs = ma.Inputs(tensors={"x": torch.randn(1, 3, 32, 32)}, batch=1)
    capture = ma.capture(model, inputs, keep=Keep(sites="none"), want={"hidden"})
    means = usual_sink([capture], [(5, 6)], layer=1)
    edits = interventions((5, 6), (1, 2), layer=1, means=means)
    before = ma.run(model, inputs).numpy()
    moved = {name: effect(before, ma.run(model, inputs, e).numpy()).kl for name, e in edits.items()}
    assert len(moved) == 3 and all(kl > 1e-9 for kl in moved.values())
    kept = SetHidden(edits["set them to their mean"][0].where, dims=(1, 2), value=edits["set them to their mean"][0].value)
    alone = ma.capture(model, inputs, edits=(kept,), keep=Keep(sites="none"), want={"hidden"}).hidden["vision", 1]
    assert alone[5, [1, 2]] == pytest.approx(means[[1, 2]], abs=1e-5)


def test_methods_say_what_they_need():
    assert "hidden states" in METHODS["sinks_by_norm"].why_not({"weights", "square"})
    assert METHODS["sinks_by_norm"].why_not({"hidden"}) is None
