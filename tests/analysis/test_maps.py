"""Maps of attention against slow re-implementations, closed forms, null cases and planted truths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analysis import offers
from analysis.flow import attention_flow, max_flows
from analysis.maps import raw_attention, value_weighted_attention
from analysis.relevance import gradient_attention, gradient_attention_relevance, gradient_rollout, token_grad_cam
from analysis.rollout import rolled_out, rollout

from .hand_made import SIZE, grid_rows, layout_of, made, small, stochastic


def test_raw_attention_is_the_class_row_of_the_mean_head():
    capture = small()
    shown = raw_attention(capture, site=1)
    assert np.allclose(shown.values, capture.weights[1].mean(0)[0, 1:])
    assert shown.size == SIZE and list(shown.rows.roles) == ["patch"] * 6


def test_one_head_one_query_and_fusing():
    capture = small()
    assert np.allclose(raw_attention(capture, head=1, query=4).values, capture.weights[-1][1, 4, 1:])
    assert np.allclose(raw_attention(capture, fuse="max", read="mean").values, capture.weights[-1].max(0)[1:, 1:].mean(0))


def test_only_the_rows_that_are_read_have_to_be_kept():
    whole = small()
    rows = [np.array([0, 3])] * 3
    part = made([w[:, [0, 3]] for w in whole.weights.values()], whole.layouts[whole.sites[0]], rows=rows, shapes=[(2, 7, 7)] * 3)
    assert np.allclose(raw_attention(part).values, raw_attention(whole).values)
    assert np.allclose(raw_attention(part, query=3).values, raw_attention(whole, query=3).values)
    with pytest.raises(ValueError, match="5 query rows.*not kept"):
        raw_attention(part, read="mean")
    with pytest.raises(ValueError, match="query row 2 was asked for"):
        raw_attention(part, query=2)
    with pytest.raises(ValueError, match="all 7 query rows"):
        rollout(part)


def test_windows_are_laid_back_where_they_came_from():
    """Two windows over 4 x 1 patches in a shuffled order; each patch attends to itself by a number of its own."""
    order = np.array([2, 0, 3, 1])
    rows = grid_rows(4, 1, prefix=(), order=order)
    weights = np.zeros((1, 4, 2), np.float32)
    weights[0, [0, 1, 2, 3], [0, 1, 0, 1]] = order + 1
    capture = made([weights], layout_of(rows, windows=2), gradients=[np.ones_like(weights)])
    for shown in (raw_attention(capture), gradient_attention(capture)):
        line = shown.raster()[15, [5, 15, 25, 35]]
        assert np.allclose(line / line[0], [1, 2, 3, 4])
    assert np.allclose(raw_attention(capture, query=2).rows.boxes[:, 0], [30, 10])
    assert "square" not in offers(capture) and {"weights", "grid", "gradients"} <= offers(capture)
    with pytest.raises(ValueError, match="lie in windows"):
        rollout(capture)


def test_value_weighting_by_hand_and_its_null_case():
    capture = small()
    lengths = np.linalg.norm(capture.values[-1], axis=-1)
    expected = np.mean([capture.weights[-1][h, 0] * lengths[h] for h in range(2)], axis=0)[1:]
    assert np.allclose(value_weighted_attention(capture).values, expected)
    ones = made(list(capture.weights.values()), capture.layouts[capture.sites[0]], values=[np.ones((2, 7, 1), np.float32)] * 3)
    assert np.allclose(value_weighted_attention(ones).values, raw_attention(ones).values)


def slow_rollout(layers, residual):
    """Sum over all paths through the tokens, written out."""
    count = len(layers[0])
    steps = [residual * np.eye(count) + (1 - residual) * layer for layer in layers]
    result = np.zeros((count, count))
    for path in itertools.product(range(count), repeat=len(layers) + 1):
        result[path[-1], path[0]] += np.prod([steps[n][path[n + 1], path[n]] for n in range(len(layers))])
    return result


def test_rollout_is_the_sum_over_paths_and_stays_stochastic():
    capture = small(columns=2, rows=1)
    layers = [w.astype(float).mean(0) for w in capture.weights.values()]
    product = rolled_out(layers, 0.3)
    assert np.allclose(product, slow_rollout(layers, 0.3), atol=1e-6)
    assert np.allclose(product.sum(1), 1)
    assert np.allclose(rollout(capture, residual=0.3).values, product[0, 1:])


def test_rollout_null_cases():
    rows = grid_rows(3, 2)
    uniform = made([np.full((2, 7, 7), 1 / 7, np.float32)] * 3, layout_of(rows))
    assert np.ptp(rollout(uniform).values) < 1e-9
    identity = made([np.tile(np.eye(7, dtype=np.float32), (2, 1, 1))] * 3, layout_of(rows))
    assert np.allclose(rollout(identity).values, 0)
    assert np.allclose(rollout(small(), residual=1.0).values, 0)


def test_rollout_follows_a_planted_path():
    """The class token reads patch 2 in the last layer, and patch 2 read patch 5 in the first."""
    first, last = np.eye(7, dtype=np.float32), np.eye(7, dtype=np.float32)
    first[3], last[0] = np.eye(7)[6], np.eye(7)[3]
    capture = made([first[None], last[None]], layout_of(grid_rows(3, 2)))
    assert np.allclose(rollout(capture, residual=0).values, [0, 0, 0, 0, 0, 1])
    backwards = made([last[None], first[None]], layout_of(grid_rows(3, 2)))
    assert np.allclose(rollout(backwards, residual=0).values, [0, 0, 1, 0, 0, 0])


def as_vit_explain_does(layers, fuse, discard):
    """Fuse; drop the lowest of the whole matrix but its first number; add the identity; halve; divide columns by row sums."""
    count = layers[0].shape[-1]
    result = np.eye(count)
    for heads in layers:
        matrix = [[getattr(np, fuse)([float(h[q, k]) for h in heads]) for k in range(count)] for q in range(count)]
        order = sorted((matrix[q][k], q * count + k) for q in range(count) for k in range(count))
        for _, place in order[: int(count * count * discard)]:
            if place != 0:
                matrix[place // count][place % count] = 0.0
        halved = [[(matrix[q][k] + (q == k)) / 2 for k in range(count)] for q in range(count)]
        sums = [sum(row) for row in halved]
        result = np.array([[halved[q][k] / sums[k] for k in range(count)] for q in range(count)]) @ result
    return result[0, 1:] / result[0, 1:].max()


@pytest.mark.parametrize("fuse", ["mean", "max", "min"])
@pytest.mark.parametrize("discard", [0.0, 0.5, 0.9])
def test_a_rollout_can_be_that_of_vit_explain(fuse, discard):
    capture = small(columns=4, rows=3)
    layers = list(capture.weights.values())
    shown = rollout(capture, fuse=fuse, discard=discard, recipe="vit-explain").values
    assert np.allclose(shown / shown.max(), as_vit_explain_does(layers, fuse, discard), atol=5e-7)
    ours = rollout(capture, fuse=fuse, discard=discard).values
    same = fuse == "mean" and discard == 0
    assert np.allclose(shown, ours, atol=1e-6) == same


def test_rollout_warns_of_a_patch_that_attention_is_parked_on():
    """Layer 0 gives one patch most of its attention; the later layers are even, so the last one shows nothing of it."""
    rows = grid_rows(6, 5)
    even = np.full((2, 31, 31), 1 / 31, np.float32)
    parked = even.copy()
    parked[:, :, 12] = 1.2
    parked /= parked.sum(-1, keepdims=True)
    shown = rollout(made([parked, even, even], layout_of(rows)))
    times = f"{31 * 1.2 / (1.2 + 30 / 31):.0f} times"
    assert shown.note == f"One patch receives {times} its share of attention in layer 0; rollout follows it, whatever it shows."
    assert shown.values.argmax() == 11
    assert rollout(made([even] * 3, layout_of(rows))).note == ""
    to_class = np.concatenate([parked[..., 12:13], parked[..., :12], parked[..., 13:]], -1)
    assert rollout(made([to_class, even], layout_of(rows))).note == ""  # the class token is no patch


def test_discarding_keeps_only_the_highest():
    capture = small()
    kept = rollout(capture, discard=0.95, residual=0)
    tops = [w.mean(0).argmax(1) for w in capture.weights.values()]
    end = tops[0][tops[1][tops[2][0]]]
    assert np.allclose(kept.values, np.eye(7)[end, 1:])


def slow_flow(layers, share, token):
    """The maximum flow as a linear programme."""
    from scipy.optimize import linprog

    count, depth = len(share), len(layers)
    size = count + depth * count * count
    edge = lambda d, q, k: count + (d * count + q) * count + k  # noqa: E731
    gain = np.zeros(size)
    gain[[edge(depth - 1, q, token) for q in range(count)]] = -1
    balance = []
    for d in range(depth):
        for q in range(count):
            row = np.zeros(size)
            row[[edge(d, q, k) for k in range(count)]] = 1
            if d == 0:
                row[q] = -1
            else:
                row[[edge(d - 1, p, q) for p in range(count)]] = -1
            balance.append(row)
    widths = np.concatenate([share, *[layer.ravel() for layer in reversed(layers)]])
    return -linprog(gain, A_ub=np.array(balance), b_ub=np.zeros(len(balance)), bounds=[(0, w) for w in widths]).fun


def test_flow_is_the_optimum_of_the_linear_programme():
    capture = small(columns=3, rows=1)
    layers = [0.5 * np.eye(4) + 0.5 * w.astype(float).mean(0) for w in capture.weights.values()]
    share = np.array([0.5, 0.25, 0.25, 0])
    assert np.allclose(max_flows(layers, share), [slow_flow(layers, share, t) for t in range(4)], atol=1e-5)
    assert np.allclose(attention_flow(capture).values, max_flows(layers, np.eye(4)[0])[1:])


def test_flow_of_one_layer_is_its_row_and_large_models_are_refused():
    capture = small(layers=1)
    assert np.allclose(attention_flow(capture, residual=0).values, capture.weights[0].mean(0)[0, 1:], atol=1e-6)
    large = made([np.full((1, 226, 226), 1 / 226, np.float32)], layout_of(grid_rows(15, 15)))
    with pytest.raises(ValueError, match="51076 edges.*Use the rollout"):
        attention_flow(large)


def test_relevance_adds_every_path_of_positive_steps():
    """R = product of (I + step): the sum over all subsets of layers."""
    capture = small()
    steps = [np.maximum(0, g * w).mean(0) for g, w in zip(capture.gradients.values(), capture.weights.values(), strict=True)]
    expected = np.zeros((7, 7))
    for used in itertools.product((False, True), repeat=3):
        product = np.eye(7)
        for step, use in zip(steps, used, strict=True):
            product = step @ product if use else product
        expected += product
    assert np.allclose(gradient_attention_relevance(capture).values, expected[0, 1:], atol=1e-5)
    assert np.allclose(gradient_attention_relevance(capture, first_layer=-1).values, steps[-1][0, 1:], atol=1e-6)
    assert not np.allclose(gradient_attention_relevance(capture).values, rollout(capture).values)


def test_gradient_rollout_null_and_stochastic():
    capture = small()
    nothing = made(
        list(capture.weights.values()), capture.layouts[capture.sites[0]], gradients=[-np.ones((2, 7, 7), np.float32)] * 3
    )
    assert np.allclose(gradient_rollout(nothing).values, 0)
    assert np.allclose(gradient_attention_relevance(nothing).values, 0)
    even = made(list(capture.weights.values()), capture.layouts[capture.sites[0]], gradients=[np.ones((2, 7, 7), np.float32)] * 3)
    assert np.allclose(gradient_rollout(even).values, rollout(even).values)


def test_gradient_attention_of_one_layer_by_hand():
    capture = small()
    product = capture.gradients[1][0] * capture.weights[1][0]
    assert np.allclose(gradient_attention(capture, site=1, head=0).values, np.maximum(product, 0).sum(0)[1:], atol=1e-5)
    assert np.allclose(gradient_attention(capture, site=1, head=0, signed=True).values, product.sum(0)[1:], atol=1e-5)


def test_grad_cam_by_hand():
    rng = np.random.default_rng(1)
    hidden, gradient = ({("vision", n): rng.standard_normal((7, 4)) for n in range(4)} for _ in range(2))
    capture = small(hidden=hidden, hidden_gradients=gradient)
    importance = gradient["vision", 1][1:].mean(0)
    expected = [max(0.0, float(hidden["vision", 1][t] @ importance)) for t in range(1, 7)]
    assert np.allclose(token_grad_cam(capture, layer=1).values, expected)


def test_permuting_patches_permutes_every_map():
    capture, order = small(), np.array([0, 4, 2, 6, 1, 3, 5])
    rows = capture.layouts[capture.sites[0]].queries.take(order)
    turn = lambda arrays: [a[:, order][:, :, order] for a in arrays.values()]  # noqa: E731
    turned = made(turn(capture.weights), layout_of(rows), gradients=turn(capture.gradients))
    for explain in (raw_attention, rollout, attention_flow, gradient_attention_relevance, gradient_rollout, gradient_attention):
        assert np.allclose(explain(turned).raster(), explain(capture).raster(), atol=1e-5), explain.__name__


def test_errors_say_what_would_work():
    capture = small()
    with pytest.raises(ValueError, match="there is in \\['vision'\\]"):
        rollout(capture, tower="language")
    with pytest.raises(ValueError, match="Capture with want={'gradients'}"):
        gradient_attention(made(list(capture.weights.values()), capture.layouts[capture.sites[0]]))
    with pytest.raises(ValueError, match="head 7"):
        raw_attention(capture, head=7)
    batch = made(
        [stochastic(np.random.default_rng(0), 4, 2, 7, 7)], layout_of(grid_rows(3, 2)), rows=[np.arange(7)], shapes=[(2, 7, 7)]
    )
    with pytest.raises(ValueError, match="one by one"):
        raw_attention(batch)


def test_a_method_is_refused_with_its_sentence():
    from analysis import find

    capture = made([stochastic(np.random.default_rng(0), 1, 6, 6)], layout_of(grid_rows(3, 2, prefix=())))
    assert find("rollout").why_not(offers(capture)) is None
    assert find("gradient_rollout").why_not(offers(capture)) == "Gradient-weighted rollout needs gradients of a target."
