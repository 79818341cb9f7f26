"""Importances against finite differences, slow formulas, null cases and planted truths."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import softmax

import model_adapters as ma
from analysis import importance_exact, importance_free, importance_gradient
from analysis.answer_changes import changes
from analysis.importance_partial import part_edit, partial_pruning, parts_of
from analysis.intervals import mean_interval
from analysis.registry import METHODS
from analysis.runs import runner, scorer
from model_adapters import BySite, Site, Where
from model_adapters.ablation import ablate
from model_adapters.edits import Gate
from tests.analysis.pattern_captures import grid_layout, hand_made, uniform
from tests.core.by_hand import BLOCKS, HEADS, net, slow, tokens

SITES = tuple(Site(f"blocks.{n}.attn", layer=n, heads=h) for n, h in enumerate((3, 2)))
BASE = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])


def planted(edits):
    """Head 1 of layer 0 holds class 0 up by 3; head 0 of layer 1 holds class 1 down by 0.5; the others do nothing."""
    logits = BASE.copy()
    for edit in edits:
        for head in edit.where.heads:
            if (edit.where.sites, head) == (("blocks.0.attn",), 1):
                logits[:, 0] -= 3
            if (edit.where.sites, head) == (("blocks.1.attn",), 0):
                logits[:, 1] += 0.5
    return logits


def test_changes_equal_their_formulas():
    p, q = softmax(BASE, -1), softmax(BASE - [3, 0, 0], -1)
    labels = np.array([0, 2])
    found = {m: changes(BASE, BASE - [3, 0, 0], labels, m)
             for m in ("probability drop", "loss change", "Jensen-Shannon distance", "rank change", "flip")}  # fmt: skip
    middle = (p + q) / 2
    divergence = 0.5 * (p * np.log2(p / middle)).sum(-1) + 0.5 * (q * np.log2(q / middle)).sum(-1)
    assert found["Jensen-Shannon distance"] == pytest.approx(np.sqrt(divergence))
    assert found["probability drop"] == pytest.approx([p[0, 0] - q[0, 0], p[1, 2] - q[1, 2]])
    assert found["loss change"] == pytest.approx([np.log(p[0, 0] / q[0, 0]), np.log(p[1, 2] / q[1, 2])])
    assert found["rank change"].tolist() == [2, 0] and found["flip"].tolist() == [1, 0]
    for measure in found:
        assert changes(BASE, BASE, labels, measure).tolist() == [0, 0]
    with pytest.raises(ValueError, match="per image"):
        changes(BASE, BASE, np.array([0, 3]), "flip")


def test_nearly_equal_answers_have_a_distance():
    draw = np.random.default_rng(0)
    logits = draw.standard_normal((2000, 10))
    found = changes(logits, logits + 1e-9 * draw.standard_normal(logits.shape), None, "Jensen-Shannon distance")
    assert np.isfinite(found).all() and found.max() < 1e-6


def test_certain_and_opposite_answers_are_one_apart():
    sure = np.array([[1000.0, 0]])
    assert changes(sure, sure[:, ::-1], None, "Jensen-Shannon distance") == pytest.approx([1])


def test_planted_heads_are_found_and_missing_heads_stay_missing():
    done = importance_exact.masked(planted, SITES)
    found = importance_exact.ablation_importance(done, np.array([0, 0]), measure="loss change", rounds=50)
    assert found.ranking()[0] == (SITES[0], 1) and found.signed
    assert np.isnan(found.values[1, 2]) and np.isfinite(found.values).sum() == 5
    assert found.values[0, 0] == 0 and found.values[1, 0] > 0
    assert (found.low <= found.values + 1e-12)[0].all() and (found.values <= found.high + 1e-12)[0].all()
    flips = importance_exact.ablation_importance(done, measure="flip")
    assert flips.values[0, 1] == 0.5 and np.isnan(flips.values[1, 2])


def test_one_image_has_no_interval():
    single = importance_exact.masked(lambda edits: planted(edits)[:1], SITES)
    assert importance_exact.ablation_importance(single).low is None


def test_classes_have_heads_of_their_own():
    each = importance_exact.effects(importance_exact.masked(planted, SITES), np.array([0, 1]), measure="probability drop")
    found = importance_exact.by_class(each, np.array([0, 1]), SITES)
    assert found.classes.tolist() == [0, 1] and found.images.tolist() == [1, 1]
    assert found.of(0).ranking()[0] == (SITES[0], 1) and found.of(1).ranking()[-1] == (SITES[1], 0)
    with pytest.raises(ValueError, match="class 7"):
        found.of(7)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    draw, hits = np.random.default_rng(0), 0
    for _ in range(100):
        low, high = mean_interval(draw.standard_normal((40, 1)), rounds=200)
        hits += int(low[0] <= 0 <= high[0])
    assert 85 <= hits <= 99


def test_the_layers_output_is_read_by_role():
    moved = np.zeros((2, 1, 3, 2))
    moved[1, 0, 0], moved[1, 0, 1:, 0] = (0.5, 0.1), (0.2, 0.4)
    site = Site("a", heads=2)
    done = SimpleNamespace(sites=(site,), base=BASE[:1], logits=np.zeros((1, 2, 1, 3)), moved=(moved,))
    roles = ["class", "patch", "patch"]
    assert importance_exact.layer_change(done, roles).values.tolist() == [[0, 0.5]]
    assert importance_exact.layer_change(done, roles, tokens="patches").values == pytest.approx(np.array([[0, 0.3]]))
    assert importance_exact.layer_change(done, roles, distance="cosine").values.tolist() == [[0, 0.1]]
    with pytest.raises(ValueError, match="moved=True"):
        importance_exact.layer_change(replace_moved(done), roles)


def replace_moved(done):
    return SimpleNamespace(**{**vars(done), "moved": (None,)})


def test_fast_ablation_and_plain_runs_give_the_same_importance():
    model, inputs = net(), tokens(4)
    sites = tuple(ma.capture(model, inputs).sites)
    fast = importance_exact.ablation_importance(ablate(model, inputs), rounds=20)
    plain = importance_exact.ablation_importance(importance_exact.masked(runner(ma.run, model, inputs), sites), rounds=20)
    assert np.allclose(fast.values, plain.values, atol=1e-5) and np.ptp(fast.values) > 0.01


# ---- one backward


def captured(model, inputs, target=lambda logits: logits[:, 2].sum()):
    return ma.capture(model, inputs, want={"heads", "gradients"}, target=target)


def test_gate_gradients_equal_finite_differences():
    model, inputs = net(), tokens(3)
    model.module.double()
    x = inputs.with_tensors(x=inputs.tensors["x"].double())
    found = importance_gradient.gate_gradients(captured(model, x))
    step = 1e-4
    for layer in range(BLOCKS):
        for head in range(HEADS):
            ends = [slow(model, x.tensors["x"], output=lambda o, at, h, s=s, p=(layer, head): o * (1 + s) if (at, h) == p else o)
                    for s in (step, -step)]  # fmt: skip
            difference = (ends[0] - ends[1])[:, 2] / (2 * step)
            assert found[:, layer, head] == pytest.approx(difference.numpy(), rel=1e-3, abs=1e-4)


def test_a_gate_that_requires_a_gradient_agrees():
    model, inputs = net(), tokens(2)
    gate = torch.ones(HEADS, requires_grad=True)
    logits = ma.run(model, inputs, Gate(Where(layers=(1,)), gate))
    (gradient,) = torch.autograd.grad(logits[:, 2].sum(), gate)
    found = importance_gradient.gate_gradients(captured(model, inputs))
    assert found[:, 1].sum(0) == pytest.approx(gradient.numpy(), rel=1e-4, abs=1e-5)


def test_the_square_over_a_batch_is_nvits_score_of_the_output_projection():
    model, inputs = net(), tokens(3)
    weights = [block.attn.proj.weight.requires_grad_() for block in model.module.blocks]
    gradients = torch.autograd.grad(model.forward(inputs)[:, 2].sum(), weights)
    found = importance_gradient.squared_gradient(captured(model, inputs), squared="batch").values
    for layer, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
        by_head = (weight * gradient).detach().unflatten(1, (HEADS, -1)).sum((0, 2)) ** 2
        assert found[layer] == pytest.approx(by_head.numpy(), rel=1e-3)
        weight.requires_grad_(False)


def with_heads(outputs, gradients):
    capture = hand_made([uniform(3, 2)], grid=(1, 3), prefix=())
    site = capture.sites[0]
    return replace(capture, head_outputs=BySite({site: outputs}), head_gradients=BySite({site: gradients}))


def test_sizes_per_token_are_never_below_the_size_of_the_sum():
    draw = np.random.default_rng(0)
    outputs, gradients = draw.standard_normal((2, 4, 2, 3, 5))
    capture = with_heads(outputs, gradients)
    products = (outputs * gradients).sum(-1)
    token = importance_gradient.gate_gradient(capture, layer_normalised=False).values[0]
    gate = importance_gradient.gate_gradient(capture, per="gate", layer_normalised=False).values[0]
    assert token == pytest.approx(np.abs(products).mean((0, 2))) and gate == pytest.approx(np.abs(products.sum(2)).mean(0))
    assert (token * 3 >= gate - 1e-12).all() and (token * 3 > gate + 1e-3).any()
    assert np.linalg.norm(importance_gradient.gate_gradient(capture).values[0]) == pytest.approx(1)
    signed = importance_gradient.gate_times_gradient(capture).values[0]
    assert signed == pytest.approx(products.sum(2).mean(0))
    fisher = importance_gradient.squared_gradient(capture).values[0]
    assert fisher == pytest.approx((products.sum(2) ** 2).mean(0))
    assert (fisher >= signed**2).all()


def test_a_head_without_gradient_has_no_importance_and_layers_share_everything():
    draw = np.random.default_rng(1)
    outputs, gradients = draw.standard_normal((2, 2, 3, 5))
    gradients[0] = 0
    capture = with_heads(outputs, gradients)
    assert importance_gradient.gate_gradient(capture).values[0, 0] == 0
    assert importance_gradient.layer_relevance(capture).values.tolist() == [1]
    with pytest.raises(ValueError, match="nothing to share"):
        importance_gradient.layer_relevance(with_heads(outputs, 0 * gradients))
    shares = importance_gradient.layer_relevance(captured(net(), tokens(2))).values
    assert len(shares) == BLOCKS and shares.sum() == pytest.approx(1) and (shares > 0).all()


def test_straight_lines_are_guessed_exactly():
    """Where the answer is linear in the gate, gate times gradient is the drop of the target."""
    model, inputs = net(), tokens(2)
    last = model.module.blocks[-1]
    last.mlp, model.module.head = torch.nn.Identity(), model.module.head
    last.norm2 = torch.nn.Identity()
    sites = tuple(ma.capture(model, inputs).sites)
    done = importance_exact.masked(runner(ma.run, model, inputs), sites)
    drop = (done.base - done.logits)[1, :, :, 2].mean(1)
    assert importance_gradient.gate_times_gradient(captured(model, inputs)).values[1] == pytest.approx(drop, rel=1e-3, abs=1e-5)


# ---- without a backward


def test_confidence_leaves_out_what_it_says():
    a = np.zeros((1, 6, 6), np.float32)
    a[0, :, 0], a[0, :, 3], a[0, :, 4] = 0.5, 0.3, 0.2
    capture = hand_made([a], grid=(2, 2), prefix=("class", "register"))
    found = [importance_free.confidence(capture, **o).values[0, 0]
             for o in ({"without_prefix": False}, {}, {"without_sinks": True, "sinks": (3,)})]  # fmt: skip
    assert found == pytest.approx([0.5, 0.3, 0.2])
    assert importance_free.confidence(hand_made([uniform(4)], grid=(2, 2), prefix=())).values[0, 0] == 0.25
    with pytest.raises(ValueError, match="no key"):
        importance_free.confidence(capture, without_sinks=True, sinks=range(6))


def test_weight_norms_compare_within_a_module_only():
    draw = np.random.default_rng(0)
    small, large = draw.standard_normal((3, 4, 5)), 1000 * draw.standard_normal((2, 4, 5))
    found = importance_free.weight_norms({SITES[0]: {"output": small}, SITES[1]: {"output": large}})
    assert np.nanmean(found.values, axis=1) == pytest.approx([1, 1])
    sizes = np.sqrt((small**2).sum((1, 2)))
    assert found.values[0] == pytest.approx(sizes / sizes.mean())
    with pytest.raises(ValueError, match="'query'"):
        importance_free.weight_norms({SITES[0]: {"output": small}}, module="query")


# ---- parts of a head


def test_parts_of_a_map_are_cut_as_named():
    layout = grid_layout(2, 3, ("class",))
    model, inputs = net(), tokens(2, count=7)
    site = ma.capture(model, inputs).sites[0]
    assert parts_of(layout, 1) == ("whole head", "class row", "class column", "patch to patch", "ring 0", "ring 1")
    place = {i: divmod(i - 1, 3) for i in range(1, 7)}
    far = np.array([[max(abs(np.subtract(place[i], place[j]))) if i and j else -1 for j in range(7)] for i in range(7)])
    patch = (np.arange(7)[:, None] > 0) & (np.arange(7) > 0)
    pruned = {
        "class row": np.arange(7)[:, None] == 0, "class column": np.arange(7) == 0, "patch to patch": patch,
        "ring 0": far == 0, "ring 1": far == 1, "ring 2": far == 2, "whole head": np.array(True),
    }  # fmt: skip
    for name, gone in pruned.items():
        for renormalise in (False, True):
            gone_there = torch.from_numpy(np.broadcast_to(gone, (7, 7)).copy())

            def cut(w, layer, head, gone=gone_there, again=renormalise):
                if (layer, head) != (0, 2):
                    return w
                left = torch.where(gone, 0.0, w)
                total = left.sum(-1, keepdim=True)
                return torch.where(total > 0, left / total.clamp_min(1e-20), left) if again else left

            expected = slow(model, inputs.tensors["x"], weights=cut)
            found = ma.run(model, inputs, part_edit(site, layout, name, 2, renormalise))
            assert torch.allclose(found, expected, atol=1e-4), name
            assert float((expected - model.forward(inputs)).abs().max()) > 1e-4


def test_partial_pruning_measures_every_part():
    layout = grid_layout(2, 3, ("class",))
    model, inputs = net(), tokens(3, count=7)
    site = ma.capture(model, inputs).sites[1]
    run = runner(ma.run, model, inputs)
    found = partial_pruning(run, site, layout, heads=(0, 3), most_hops=1, rounds=20)
    assert found.values.shape == (2, 6) and (found.low <= found.high).all()
    whole = changes(run(()), run((Gate(Where(sites=(site.name,), heads=(3,)), 0.0),)), None, "loss change").mean()
    assert found.values[1, 0] == pytest.approx(whole)
    nothing = partial_pruning(lambda edits: BASE, site, layout, rounds=20)
    assert not nothing.values.any() and nothing.values.shape[0] == HEADS
    with pytest.raises(ValueError, match="no_such"):
        part_edit(site, layout, "no_such", 0)


# ---- bridges


def test_silencing_twice_is_silencing_once_and_all_heads_leave_the_bias():
    model, inputs = net(), tokens(2)
    gate = Gate(Where(layers=(0,), heads=(1,)), 0.0)
    run = runner(ma.run, model, inputs)
    assert np.array_equal(run((gate, gate)), run((gate,)))
    everything = run((Gate(Where(layers=(0,)), 0.0),))
    block = model.module.blocks[0]
    x = inputs.tensors["x"] + block.attn.proj.bias
    x = x + block.mlp(block.norm2(x))
    expected = model.module.head(model.module.blocks[1](x).mean(1))
    assert np.allclose(everything, expected.detach().numpy(), atol=1e-5)


def test_scores_of_pictures(tiny_vit, picture):
    model = ma.wrap(tiny_vit, name="tiny", verify=False)
    pictures = np.stack([np.asarray(picture), 255 - np.asarray(picture)])
    score = scorer(ma.run, model, (1, 3))
    logits = ma.run(model, model.prepare(image=[picture, 255 - np.asarray(picture)])).softmax(-1).numpy()
    assert score(pictures.astype(float)) == pytest.approx([logits[0, 1], logits[1, 3]], rel=1e-5)
    with pytest.raises(ValueError, match="B, height, width, 3"):
        score(pictures[0])


def test_every_importance_is_registered_with_its_sentences():
    names = ("ablation_importance layer_change partial_pruning gate_gradient gate_times_gradient squared_gradient "
             "layer_relevance confidence weight_norms").split()  # fmt: skip
    for name in names:
        assert METHODS[name].misleads and METHODS[name].range and METHODS[name].summary and METHODS[name].cites
    assert METHODS["gate_gradient"].why_not({"weights"}) == "Gate gradient (Michel) needs gradients of a target."
