"""Comparisons: closed forms, what must not matter, and refusals with their reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ortho_group

from analysis.compare import (
    attention_change,
    head_difference,
    map_difference,
    rank_change,
    row_of_attention,
    why_not_comparable,
)
from analysis.layer_similarity import layer_cka, linear_cka
from analysis.maps import raw_attention
from analysis.results import HeadMatrix, TokenMap
from model_adapters import Site

from .hand_made import SIZE, grid_rows, layout_of, made, small

SITES = (Site("a", layer=0), Site("b", layer=1))


def heads(values) -> HeadMatrix:
    return HeadMatrix(np.array(values, float), SITES, label="x")


def test_a_capture_does_not_differ_from_itself_and_a_moved_weight_is_found():
    capture = small()
    assert why_not_comparable(capture, small()) is None
    assert (attention_change(capture, capture).values == 0).all()
    weights = [w.copy() for w in capture.weights.values()]
    weights[1][1] = np.roll(weights[1][1], 1, axis=-1)
    moved = made(weights, capture.layouts[capture.sites[0]])
    change = attention_change(capture, moved).values
    by_hand = np.mean([0.5 * abs(capture.weights[1][1][q] - weights[1][1][q]).sum() for q in range(7)])
    assert change[1, 1] == pytest.approx(by_hand) and np.count_nonzero(change) == 1
    opposite = [np.tile(np.eye(7, dtype=np.float32)[:, order], (1, 1, 1)) for order in (np.arange(7), np.roll(np.arange(7), 1))]
    layout = capture.layouts[capture.sites[0]]
    assert attention_change(made(opposite[:1], layout), made(opposite[1:], layout)).values[0, 0] == 1


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (small(layers=2), "3 attentions kept, hand made has 2"),
        (small(heads=3), "have shape \\(2, 7, 7\\), those of .* \\(3, 7, 7\\)"),
        (small(columns=2, rows=3), "lie at other places"),
        (small(columns=3, rows=3), "have shape"),
        (made([np.ones((2, 7, 7), np.float32)] * 3, layout_of(grid_rows(3, 2)), tower="language"), "keeps no attention"),
    ],
)
def test_captures_that_do_not_fit_are_refused_with_the_reason(other, reason):
    with pytest.raises(ValueError, match=f"cannot be compared: .*{reason}"):
        attention_change(small(), other)


def test_kept_rows_must_be_the_same():
    whole = small()
    rows = [[np.array(r)] * 3 for r in ([0, 1], [0, 2])]
    one, two = (made([w[:, :2] for w in whole.weights.values()], whole.layouts[whole.sites[0]], rows=r) for r in rows)
    assert "other query rows" in why_not_comparable(one, two)


def test_difference_of_maps_is_antisymmetric_and_reads_other_grids():
    one, two = raw_attention(small(0)), raw_attention(small(1))
    difference = map_difference(one, two)
    assert np.allclose(difference.values, one.values / one.values.sum() - two.values / two.values.sum())
    assert np.allclose(difference.values, -map_difference(two, one).values) and difference.signed
    assert np.allclose(map_difference(one, two, scale=False).values, one.values - two.values)
    coarse = TokenMap(np.array([1.0, 2, 3, 4]), grid_rows(2, 2, (40, 40), prefix=()), (40, 40))
    quarters = np.array([1.0, 2, 3, 4]).reshape(2, 2).repeat(2, 0).repeat(2, 1).ravel() / 4
    fine = TokenMap(quarters, grid_rows(4, 4, (40, 40), prefix=()), (40, 40))
    for scale in (True, False):
        assert np.allclose(map_difference(coarse, fine, scale=scale).values, 0)
        assert np.allclose(map_difference(fine, coarse, scale=scale).values, 0)
    assert np.array_equal(map_difference(fine, coarse, on="second").values, -map_difference(coarse, fine).values)
    with pytest.raises(ValueError, match="of one image"):
        map_difference(one, coarse)
    part = TokenMap(fine.values[:8], fine.rows.take(np.arange(8)), fine.size)
    left = map_difference(coarse, part, scale=False).values
    assert np.allclose(left[:2], 0) and np.isnan(left[2:]).all()
    with pytest.raises(ValueError, match="no token of the first map"):
        map_difference(replace(coarse, values=coarse.values[2:], rows=coarse.rows.take(np.arange(2, 4))), part)
    assert SIZE == one.size


def shared_out(values, boxes, onto, size, steps=420):
    """From the definition, pixel by pixel of a fine raster: each box spreads its value evenly over its pixels."""
    width, height = size
    scale = np.array([steps / width, steps / height] * 2)
    found = np.zeros(len(onto))
    for value, box in zip(values, np.round(boxes * scale).astype(int), strict=True):
        spread = np.zeros((steps, steps))
        spread[box[1] : box[3], box[0] : box[2]] = value / ((box[2] - box[0]) * (box[3] - box[1]))
        for n, (x0, y0, x1, y1) in enumerate(np.round(onto * scale).astype(int)):
            found[n] += spread[y0:y1, x0:x1].sum()
    return found


def test_a_map_is_carried_to_another_grid_by_area_and_keeps_its_total():
    rng = np.random.default_rng(3)
    one, two = (TokenMap(rng.random(n * m), grid_rows(n, m, (84, 60), prefix=()), (84, 60)) for n, m in ((6, 5), (7, 4)))
    found = map_difference(one, two, scale=False).values
    expected = one.values - shared_out(two.values, two.rows.boxes, one.rows.boxes, one.size)
    assert np.allclose(found, expected, atol=1e-6)
    assert found.sum() == pytest.approx(one.values.sum() - two.values.sum(), abs=1e-5)
    scaled = map_difference(one, two).values
    assert scaled.sum() == pytest.approx(0, abs=1e-5)
    assert np.allclose(scaled, one.values / one.values.sum() - (one.values - expected) / two.values.sum(), atol=1e-6)


def test_two_images_are_laid_over_each_other_where_it_is_asked():
    one = TokenMap(np.arange(6.0), grid_rows(3, 2, (60, 40), prefix=()), (60, 40))
    two = TokenMap(np.arange(6.0)[::-1], grid_rows(3, 2, (90, 20), prefix=()), (90, 20))
    assert np.allclose(map_difference(one, two, scale=False, stretch=True).values, np.arange(6) - np.arange(6)[::-1])


def test_a_row_of_a_window_is_nothing_outside_of_it():
    capture = small(columns=4, rows=2)
    layout = layout_of(grid_rows(4, 2, prefix=()), windows=2)
    weights = np.random.default_rng(0).random((2, 8, 4)).astype(np.float32)
    windowed = made([weights], layout)
    found = row_of_attention(windowed, windowed.sites[0], head=1, query=5)
    assert found.values.tolist() == [0, 0, 0, 0, *weights[1, 5].astype(float).tolist()]
    whole = row_of_attention(capture, capture.sites[1], query=3)
    assert np.allclose(whole.values, capture.weights[capture.sites[1]].mean(0)[3, 1:])
    with pytest.raises(ValueError, match="query row 99"):
        row_of_attention(capture, capture.sites[0], query=99)


def test_differences_of_heads_and_ranks():
    one, two = heads([[4, 3], [2, 1]]), heads([[1, 3], [2, 4]])
    assert head_difference(one, two).values.tolist() == [[3, 0], [0, -3]]
    assert rank_change(one, two).values.tolist() == [[-3, 0], [0, 3]]
    assert rank_change(one, heads([[8, 6], [4, 2]])).values.tolist() == [[0, 0], [0, 0]]
    gap = heads([[4, np.nan], [2, 1]])
    assert np.isnan(rank_change(gap, gap).values[0, 1])
    for other in (gap, replace(one, values=one.values[:, :1])):
        with pytest.raises(ValueError, match="same layers and heads"):
            head_difference(one, other)


def slow_cka(first, second):
    """From the definition: HSIC of centred Gram matrices."""
    points = len(first)
    centre = np.eye(points) - 1 / points
    hsic = lambda k, m: np.trace(k @ centre @ m @ centre)  # noqa: E731
    k, m = first @ first.T, second @ second.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@pytest.mark.parametrize("points", [6, 50])
def test_cka_is_its_definition_and_blind_to_rotation_scale_and_shift(points):
    rng = np.random.default_rng(0)
    one, two = rng.standard_normal((points, 8)), rng.standard_normal((points, 5))
    assert linear_cka(one, two) == pytest.approx(slow_cka(one, two))
    turned = 3 * one @ ortho_group.rvs(8, random_state=0) + 7
    assert linear_cka(one, turned) == pytest.approx(1)
    assert linear_cka(turned, two) == pytest.approx(linear_cka(one, two))
    assert np.isnan(linear_cka(one, np.ones((points, 3))))


def test_independent_features_have_low_cka():
    rng = np.random.default_rng(1)
    assert linear_cka(rng.standard_normal((2000, 8)), rng.standard_normal((2000, 8))) < 0.02
    assert linear_cka(rng.standard_normal((6, 200)), rng.standard_normal((6, 200))) > 0.5  # what `misleads` warns of


def test_layers_find_their_like():
    rng = np.random.default_rng(2)
    states = [[rng.standard_normal((7, 4)) for _ in range(4)] for _ in range(30)]
    captures = [small(hidden={("vision", n): h for n, h in enumerate(image)}) for image in states]
    turn = ortho_group.rvs(4, random_state=1)
    order = [2, 0, 3, 1]
    others = [small(hidden={("vision", n): image[order[n]] @ turn for n in range(4)}) for image in states]
    found = layer_cka(captures, others)
    assert found.values.argmax(1).tolist() == [order.index(n) for n in range(4)] and found.values.max() == pytest.approx(1)
    assert np.diag(layer_cka(captures, captures).values) == pytest.approx(np.ones(4))
    with pytest.raises(ValueError, match="same images"):
        layer_cka(captures, others[:3])
    short = [replace(c, hidden={key: h[:, :5] if h.ndim == 3 else h[:5] for key, h in c.hidden.items()}) for c in captures]
    with pytest.raises(ValueError, match=r"has \d+ tokens per image, the second 5\. Two models with the same grid"):
        layer_cka(captures, short)
    mixed = [replace(c, hidden={**c.hidden, key: s.hidden[key]}) for c, s in zip(captures, short, strict=True)
             for key in list(c.hidden)[:1]]  # fmt: skip
    part = layer_cka(captures, mixed).values
    assert np.isnan(part[:, 0]).all() and np.array_equal(part[:, 1:], layer_cka(captures, captures).values[:, 1:])
    with pytest.raises(ValueError, match="want={'hidden'}"):
        layer_cka([small()], [small()])
