"""Strength measures against slow loops, closed forms, null cases and planted truths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis import strength, strength_maps, trends
from analysis.registry import METHODS
from model_adapters import BySite, Layout, Rows
from tests.analysis.pattern_captures import CELL, grid_layout, grid_rows, hand_made, random_weights, uniform

PREFIX = ("class", "register")
GRID = (3, 4)
TOKENS = 14
RNG = np.random.default_rng(0)
RANDOM = [random_weights(RNG, 3, TOKENS), random_weights(RNG, 2, TOKENS)]


def random_capture():
    return hand_made(RANDOM, grid=GRID, prefix=PREFIX)


def place(token):
    return divmod(token - len(PREFIX), GRID[1])


def hop(i, j):
    (a, b), (c, d) = place(i), place(j)
    return max(abs(a - c), abs(b - d))


PATCHES = range(len(PREFIX), TOKENS)


@pytest.mark.parametrize("per_pair", [False, True])
def test_rings_equal_a_slow_loop(per_pair):
    found = strength.ring_profile(random_capture(), per_pair=per_pair)
    assert found.steps.tolist() == [0, 1, 2, 3]
    for layer, weights in enumerate(RANDOM):
        for head, a in enumerate(weights):
            for k in found.steps:
                rows = []
                for i in PATCHES:
                    ring = [a[i, j] for j in PATCHES if hop(i, j) == k]
                    if per_pair and ring:
                        rows.append(sum(ring) / len(ring))
                    elif not per_pair:
                        rows.append(sum(ring))
                assert found.values[layer, head, k] == pytest.approx(np.mean(rows), rel=1e-5)
    assert np.isnan(found.values[1, 2]).all(), "the second layer has two heads"
    for k in found.steps:
        one = strength.ring_strength(random_capture(), hop=int(k), per_pair=per_pair).values
        assert np.allclose(one, found.values[..., k], equal_nan=True)


def test_ring_masses_add_up_to_what_the_prefix_leaves():
    profile = strength.ring_profile(random_capture()).values.sum(-1)
    left = 1 - sum(strength.attention_share(random_capture(), to=to).values for to in ("class", "registers"))
    assert np.allclose(profile, left, atol=1e-6, equal_nan=True)


def test_even_attention_is_the_same_per_pair_at_every_hop():
    found = strength.ring_profile(hand_made([uniform(TOKENS)], grid=GRID, prefix=PREFIX), per_pair=True)
    assert np.allclose(found.values, 1 / TOKENS, atol=1e-7)


def test_a_planted_neighbour_is_found_at_its_hop():
    a = np.zeros((1, TOKENS, TOKENS), np.float32)
    for i in PATCHES:
        row, column = place(i)
        a[0, i, len(PREFIX) + row * GRID[1] + (column + 2) % GRID[1]] = 1
    found = strength.ring_profile(hand_made([a], grid=GRID, prefix=PREFIX))
    assert found.values[0, 0].tolist() == [0, 0, 1, 0]


def test_hops_do_not_cross_tiles():
    capture = hand_made([uniform(12)], grid=GRID, prefix=())
    rows = capture.layouts[capture.sites[0]].queries
    tiled = Rows(rows.roles, rows.boxes, rows.image, np.arange(12, dtype=np.int16) % 2, rows.frame)
    capture = replace(capture, layouts={capture.sites[0]: Layout(tiled, tiled, tiled, size=(64, 48))})
    assert strength.ring_profile(capture).values.sum() == pytest.approx(0.5)


def test_even_attention_looks_as_far_as_the_mean_distance_of_fourteen_by_fourteen_patches():
    """116.49 px for 14 x 14 patches of 16 px."""
    found = strength.attention_distance(hand_made([uniform(196)], grid=(14, 14), prefix=()))
    assert found.values[0, 0] == pytest.approx(116.49, abs=0.005)
    itself = strength.attention_distance(hand_made([np.eye(196, dtype=np.float32)[None]], grid=(14, 14), prefix=()))
    assert itself.values[0, 0] == 0


@pytest.mark.parametrize("renormalise", [False, True])
def test_distance_equals_a_slow_loop(renormalise):
    found = strength.attention_distance(random_capture(), renormalise=renormalise).values
    for layer, weights in enumerate(RANDOM):
        for head, a in enumerate(weights):
            rows = []
            for i in PATCHES:
                far = sum(a[i, j] * CELL * np.hypot(*np.subtract(place(i), place(j))) for j in PATCHES)
                rows.append(far / (sum(a[i, j] for j in PATCHES) if renormalise else 1))
            assert found[layer, head] == pytest.approx(np.mean(rows), rel=1e-5)


def test_entropy_of_even_and_of_certain_rows():
    a = np.concatenate([uniform(TOKENS), np.eye(TOKENS, dtype=np.float32)[None]])
    capture = hand_made([a], grid=GRID, prefix=PREFIX)
    for rows in ("patches", "class", "all"):
        assert np.allclose(strength.attention_entropy(capture, rows=rows).values, [[1, 0]], atol=1e-6)
    nats = strength.attention_entropy(capture, rows="class", normalise=False)
    assert np.allclose(nats.values, [[np.log(TOKENS), 0]], atol=1e-6) and nats.unit == "nats"


def test_shares_go_where_they_were_planted():
    a = np.full((1, TOKENS, TOKENS), 0.0, np.float32)
    a[0, :, 0], a[0, :, 1], a[0, :, 5] = 0.2, 0.1, 0.6
    a[0] += 0.1 * np.eye(TOKENS, dtype=np.float32)
    capture = hand_made([a], grid=GRID, prefix=PREFIX)

    def share(to, **options):
        return strength.attention_share(capture, to=to, **options).values[0, 0]

    assert share("class") == pytest.approx(0.2)
    assert share("registers") == pytest.approx(0.1)
    assert share("self") == pytest.approx(0.1 + 0.6 / 12)
    assert share("sinks", sink_factor=8) == pytest.approx(0.6 + 0.1 / 12)
    assert share("sinks", sink_factor=12) == 0
    assert share("sinks", sinks=(5, 0)) == pytest.approx(0.8 + 0.1 / 12)
    assert share("self", rows="class") == pytest.approx(0.3)


def test_top_mass_counts_the_largest():
    capture = random_capture()
    row = np.sort(RANDOM[0][1, 0])[::-1]
    assert strength.top_mass(capture, count=3).values[0, 1] == pytest.approx(row[:3].sum(), rel=1e-6)
    curve = strength.cumulative_mass(capture)
    assert np.allclose(curve.values[0, 1], np.cumsum(row), atol=1e-6) and curve.steps.tolist() == list(range(1, TOKENS + 1))
    even = strength.top_mass(hand_made([uniform(TOKENS)], grid=GRID, prefix=PREFIX), count=7)
    assert even.values[0, 0] == pytest.approx(0.5)


def test_mutual_information_knows_local_from_collapsed():
    peaked = np.full((1, 12, 12), 0.02, np.float32)
    peaked[:, :, 4] = 0.78
    rolled = np.roll(np.eye(12, dtype=np.float32), 3, axis=1)[None]
    found = [strength_maps.mutual_information(hand_made([a], grid=GRID, prefix=())).values[0, 0]
             for a in (uniform(12), peaked, rolled)]  # fmt: skip
    assert found == pytest.approx([0, 0, 1], abs=1e-5)


def test_mutual_information_equals_a_slow_loop():
    a = RANDOM[0][1][2:, 2:].astype(float) + 1e-8
    a /= a.sum(1, keepdims=True)
    n = len(a)
    p_k = [sum(a[q, k] / n for q in range(n)) for k in range(n)]
    shared = sum(a[q, k] / n * np.log(a[q, k] / p_k[k]) for q in range(n) for k in range(n))
    expected = shared / np.sqrt(np.log(n) * -sum(p * np.log(p) for p in p_k))
    assert strength_maps.mutual_information(random_capture()).values[0, 1] == pytest.approx(expected, rel=1e-6)


def test_rank_of_even_causal_attention_is_one_less_than_its_size():
    n = 64
    causal = (np.tril(np.ones((n, n))) / np.arange(1, n + 1)[:, None]).astype(np.float32)
    even = np.full((n, n), 1 / n, np.float32)
    capture = hand_made([np.stack([causal, even])], grid=(8, 8), prefix=())
    assert strength_maps.map_rank(capture, part="lower").values.tolist() == [[n - 1, n - 1]]
    assert strength_maps.map_rank(capture, part="whole").values.tolist() == [[n, 1]]


def test_rank_leaves_out_half_of_the_map_only_where_no_row_looks_ahead():
    """Rows that all attend alike have one pattern; below the diagonal of the same map lie as many as rows that are not empty."""
    causal = (np.tril(np.ones((9, 9))) / np.arange(1, 10)[:, None]).astype(np.float32)
    even = np.full((9, 9), 1 / 9, np.float32)
    rank = lambda *layers: strength_maps.map_rank(hand_made([w[None] for w in layers], grid=(3, 3), prefix=())).values  # noqa: E731
    assert rank(even).tolist() == [[1]] and rank(causal, causal).tolist() == [[8], [8]]
    assert rank(causal, even).tolist() == [[9], [1]]  # one rule for all layers of a tower


def test_similar_heads_are_similar():
    a = random_weights(np.random.default_rng(1), 3, TOKENS)
    a[2] = a[0]
    capture = hand_made([a], grid=GRID, prefix=PREFIX)
    most, mean = (strength_maps.head_similarity(capture, fuse=f).values[0] for f in ("max", "mean"))
    between = (a[0] * a[1]).sum() / np.linalg.norm(a[0]) / np.linalg.norm(a[1])
    assert most == pytest.approx([1, between, 1], rel=1e-5)
    assert mean == pytest.approx([(1 + between) / 2, between, (1 + between) / 2], rel=1e-5)
    capture = replace(capture, head_outputs=BySite({capture.sites[0]: np.array([[[1.0, 0]], [[-2, 0]], [[0, 3]]])}))
    assert strength_maps.head_similarity(capture, of="outputs").values[0] == pytest.approx([-0.5, -0.5, 0])


def test_a_batch_is_the_mean_of_its_images():
    pair = [np.stack([RANDOM[0], RANDOM[0][::-1]])]
    batch = hand_made(pair, grid=GRID, prefix=PREFIX)
    single = [hand_made([w], grid=GRID, prefix=PREFIX) for w in pair[0]]
    for measure in (strength.attention_distance, strength.attention_entropy, strength_maps.mutual_information,
                    strength_maps.map_rank, strength_maps.head_similarity):  # fmt: skip
        assert np.allclose(measure(batch).values, np.mean([measure(c).values for c in single], axis=0)), measure.__name__


def windowed(weights):
    """Two windows of 2 x 2 patches beside each other: rows window by window."""
    rows = grid_rows(2, 4, ())
    order = np.array([0, 1, 4, 5, 2, 3, 6, 7])
    rows = rows.take(order)
    capture = hand_made([weights], grid=(2, 4), prefix=())
    site = capture.sites[0]
    layout = Layout(rows, rows, rows, windows=2, size=(64, 32))
    return replace(capture, layouts={site: layout}, rows=BySite({site: np.arange(8)}), shapes=BySite({site: (1, 8, 4)}))


def test_windows_are_read_one_by_one():
    capture = windowed(np.full((1, 8, 4), 0.25, np.float32))
    assert strength.ring_profile(capture).values[0, 0].tolist() == [0.25, 0.75]
    assert strength.attention_share(capture, to="self").values[0, 0] == pytest.approx(0.25)
    assert strength.attention_distance(capture).values[0, 0] == pytest.approx(CELL * (2 + np.sqrt(2)) / 4)
    assert strength_maps.map_rank(capture).values[0, 0] == 1
    assert strength_maps.map_rank(capture, part="lower").values[0, 0] == 3


def test_a_share_to_tokens_that_are_not_there_is_refused():
    capture = hand_made([np.full((1, 4, 4), 0.25, np.float32)], grid=(2, 2), prefix=())
    for to, name in (("class", "class token"), ("registers", "registers")):
        with pytest.raises(ValueError, match=f"share given to the {name}.*to='self' and to='sinks' work"):
            strength.attention_share(capture, to=to)


def test_the_kept_rows_are_enough():
    whole = random_capture()
    rows = BySite({s: np.array([0]) for s in whole.sites})
    cut = replace(whole, rows=rows, weights=BySite({s: whole.weights[s][:, :1] for s in whole.sites}))
    assert np.allclose(strength.top_mass(cut, count=2).values, strength.top_mass(whole, count=2).values, equal_nan=True)
    with pytest.raises(ValueError, match="was kept"):
        strength.attention_distance(cut)


def test_trends_and_maps():
    capture = random_capture()
    matrix = strength.attention_entropy(capture)
    trend = trends.layer_trend(matrix)
    assert trend.values == pytest.approx(np.nanmean(matrix.values, axis=1)) and trend.steps.tolist() == [0, 1]
    assert (trend.low <= trend.values).all() and trend.high[1] == np.nanmax(matrix.values[1])
    gap = replace(matrix, values=np.vstack([matrix.values[:1], np.full((1, 3), np.nan)]))
    assert trends.layer_trend(gap).steps.tolist() == [0]
    profile = strength.ring_profile(capture)
    assert np.allclose(trends.profile_trend(profile).values[1, 0], profile.values[1, :2].mean(0))
    for measure, whole in (("distance", strength.attention_distance), ("entropy", strength.attention_entropy)):
        shown = trends.strength_map(capture, site=0, head=2, measure=measure)
        assert len(shown.values) == 12 and shown.values.mean() == pytest.approx(whole(capture).values[0, 2])
    ring = trends.strength_map(capture, site=0, head=0, measure="ring mass", count=2)
    assert ring.values.mean() == pytest.approx(strength.ring_strength(capture, hop=2).values[0, 0])


def test_every_measure_is_registered_with_its_sentences():
    names = ("ring_profile ring_strength attention_distance attention_entropy attention_share top_mass cumulative_mass "
             "mutual_information map_rank head_similarity strength_map").split()  # fmt: skip
    for name in names:
        assert METHODS[name].misleads and METHODS[name].range and METHODS[name].summary
    assert METHODS["ring_profile"].why_not({"weights"}).endswith("lie on the image.")
    assert METHODS["map_rank"].why_not({"weights"}) is None


def test_layouts_with_keys_on_a_coarser_grid():
    fine, coarse = grid_rows(2, 2, ()), grid_rows(1, 1, ())
    coarse = replace(coarse, boxes=coarse.boxes * 2)
    capture = hand_made([np.ones((1, 4, 1), np.float32)], grid=(2, 2), prefix=())
    layout = Layout(fine, coarse, coarse, size=(32, 32))
    capture = replace(capture, layouts={capture.sites[0]: layout})
    assert strength.ring_profile(capture).values[0, 0].tolist() == [1]
    assert strength.attention_share(capture, to="self").values[0, 0] == 0
    with pytest.raises(ValueError, match="no layer has a map"):
        strength_maps.map_rank(capture)
    assert not grid_layout(2, 2).keys.placed[0]


def planted_sinks():
    """Patch 5 of image 0 and patch 9 of image 1 are long, and receive three times an even share."""
    rng = np.random.default_rng(4)
    hidden = rng.standard_normal((2, TOKENS, 8)).astype(np.float32)
    weights = rng.uniform(0.9, 1.1, (2, 3, TOKENS, TOKENS)).astype(np.float32)
    for image, token in enumerate((5, 9)):
        hidden[image, token, 2] = 90
        weights[image, :, :, token] = 3
    weights /= weights.sum(-1, keepdims=True)
    return hand_made([weights], grid=GRID, prefix=PREFIX, hidden=[hidden, hidden]), weights


@pytest.mark.parametrize("sign", ["attention", "norm", "massive dimensions"])
def test_sinks_are_found_image_by_image_by_the_signs_of_their_module(sign):
    capture, weights = planted_sinks()
    expected = (weights[0, :, 2:, 5].mean(1) + weights[1, :, 2:, 9].mean(1)) / 2
    found = strength.attention_share(capture, to="sinks", sinks_by=sign).values[0]
    assert found == pytest.approx(expected, rel=1e-5)
    assert strength.attention_share(capture, to="sinks").values[0].tolist() == [0, 0, 0]  # none has ten times an even share
    assert strength.attention_share(capture, to="sinks", sinks=(5,), sinks_by=sign).values[0] == pytest.approx(
        weights[:, :, 2:, 5].mean((0, 2)), rel=1e-5
    )


def test_sinks_of_the_whole_image_are_not_looked_for_in_windows():
    capture = hand_made([random_weights(RNG, 2, 12)], grid=GRID, prefix=())
    windowed = replace(capture, layouts={s: replace(layout, windows=2) for s, layout in capture.layouts.items()})
    with pytest.raises(ValueError, match="attends within windows"):
        strength.found_sinks(windowed, windowed.sites[0], "norm")
