"""Every pruner keeps what a slow reading of the same arrays says: loops, sorts, and boxes compared one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

import analysis.visual_tokens as vt
import model_adapters as ma
from tests.visual_tokens.small import asked, depth_of, image_of, rows_of, seen

KEEP = 20
WITH_CLASS = ("llava", "llava_next", "internvl")
WITH_DECODER = ("llava", "qwen2_5_vl", "bundled:lvlm")


def at_layer(name: str, tower: str, layer: int):
    sites = [s for s in seen(name).sites if s.tower == tower]
    numbers = sorted({s.layer for s in sites})
    return next(s for s in sites if s.layer == numbers[layer])


def top(scores: list[float], count: int) -> set[int]:
    """The places of the `count` highest, the first of equal ones."""
    return set(sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:count])


def stayed(plan: vt.VisualPlan, layer: int = -1) -> set[int]:
    return set(np.flatnonzero(plan.alive[layer]).tolist())


def class_scores(name: str, layer: int, given=None) -> list[float]:
    """The mean over a token's patches of what the class token of their window gives them."""
    capture, site = seen(name), at_layer(name, "vision", layer)
    layout, weights, own = capture.layouts[site], capture.weights[site], rows_of(name)
    per = len(layout.keys) // layout.windows
    found = []
    for row in image_of(name):
        x0, y0, x1, y1 = own.boxes[row]
        inside = []
        for key in range(len(layout.keys)):
            if layout.keys.roles[key] != "patch" or layout.keys.tile[key] != own.tile[row]:
                continue
            a0, b0, a1, b1 = layout.keys.boxes[key]
            if x0 - 1e-3 <= (a0 + a1) / 2 <= x1 + 1e-3 and y0 - 1e-3 <= (b0 + b1) / 2 <= y1 + 1e-3:
                window = key // per
                if given is None:
                    inside.append(np.mean([weights[h, window * per, key % per] for h in range(len(weights))], dtype=float))
                else:
                    inside.append(given(site, window * per, key))
        found.append(float(np.mean(inside)))
    return found


def readings(name: str, layer: int, readers) -> list[float]:
    """The mean over heads and readers of the attention that each visual token gets."""
    weights = seen(name).weights[at_layer(name, "decoder", layer)]
    return [float(np.mean([weights[h, r, j] for h in range(len(weights)) for r in readers], dtype=float)) for j in image_of(name)]


@pytest.mark.parametrize("name", WITH_CLASS)
def test_faster_vlm_keeps_what_the_class_token_attends_to(name):
    plan = vt.before_decoder.faster_vlm(seen(name), keep=KEEP)
    assert stayed(plan, 0) == stayed(plan) == top(class_scores(name, -2), KEEP)


def test_vtc_cls_sums_over_all_layers_but_the_last():
    layers = [class_scores("bundled:lvlm", n) for n in range(2, 5)]
    plan = vt.before_decoder.vtc_cls(seen("bundled:lvlm"), keep=KEEP, start=2)
    assert stayed(plan) == top([sum(s) for s in zip(*layers, strict=True)], KEEP)


def keys_of(name: str, layer: int) -> list[np.ndarray]:
    """The mean over a token's patches of their keys, heads side by side."""
    capture, site, own = seen(name), at_layer(name, "vision", layer), rows_of(name)
    layout, keys = capture.layouts[site], capture.keys[site].astype(float)
    found = []
    for row in image_of(name):
        x0, y0, x1, y1 = own.boxes[row]
        inside = []
        for key in range(len(layout.keys)):
            a0, b0, a1, b1 = layout.keys.boxes[key]
            placed = layout.keys.roles[key] == "patch" and layout.keys.tile[key] == own.tile[row]
            if placed and x0 - 1e-3 <= (a0 + a1) / 2 <= x1 + 1e-3 and y0 - 1e-3 <= (b0 + b1) / 2 <= y1 + 1e-3:
                inside.append(np.concatenate([head[key] for head in keys]))
        found.append(np.mean(inside, axis=0))
    return found


@pytest.mark.parametrize("name", WITH_CLASS)
def test_dense_tiles_keep_more_and_the_class_token_says_which(name):
    keys, scores, tiles = keys_of(name, -2), class_scores(name, -2), rows_of(name).tile[image_of(name)]
    alike, crowd = 0.3, 0.25
    wanted = {}
    for tile in dict.fromkeys(tiles.tolist()):
        own = [i for i in range(len(keys)) if tiles[i] == tile]
        repeated = 0
        for i in own:
            cosines = [keys[i] @ keys[j] / np.linalg.norm(keys[i]) / np.linalg.norm(keys[j]) for j in own if j != i]
            repeated += sum(c > alike for c in cosines) > crowd * len(cosines)
        wanted[tile] = max(len(own) - repeated, 1)
    assert min(wanted.values()) < (tiles == tiles[0]).sum(), "the threshold finds repetition"
    plan = vt.before_decoder.repetitiveness(seen(name), keep=4096, alike=alike, crowd=crowd)
    expected = set()
    for tile, count in wanted.items():
        own = [i for i in range(len(keys)) if tiles[i] == tile]
        expected |= {own[i] for i in top([scores[i] for i in own], count)}
    assert stayed(plan, 0) == stayed(plan) == expected
    fewer = vt.before_decoder.repetitiveness(seen(name), keep=len(expected) // 2, alike=alike, crowd=crowd)
    assert fewer.kept == len(expected) // 2
    for tile, count in wanted.items():
        left = sum(tiles[i] == tile for i in stayed(fewer))
        assert left <= count and abs(left - count * fewer.kept / len(expected)) < 2


def test_density_is_the_share_that_is_not_repeated():
    """Planted truth: a crowd of twins in a field of different keys."""
    vectors = np.eye(20)
    vectors[5:13] = vectors[5]
    assert vt.before_decoder.density(vectors, 0.9, 0.1) == pytest.approx(12 / 20)
    assert vt.before_decoder.density(vectors, 0.9, 0.5) == 1, "seven of nineteen others are no half"
    assert vt.before_decoder.density(np.ones((8, 3)), 0.9, 0.5) == 1 / 8, "one is always kept"


@pytest.mark.parametrize("name", WITH_DECODER)
def test_fastv_reads_the_layer_before(name):
    last, words = len(rows_of(name)) - 1, rows_of(name).where("question")
    words = words[words > image_of(name).max()]
    plan = vt.in_decoder.fastv(seen(name), keep=KEEP, layer=1)
    assert plan.counts[0] == len(image_of(name))
    assert stayed(plan, 1) == top(readings(name, 0, [last]), KEEP)
    asked_by = vt.in_decoder.fastv(seen(name), keep=KEEP, layer=1, read="question")
    assert stayed(asked_by) == top(readings(name, 0, words), KEEP)


def test_read_by_all_is_the_mean_over_rows_that_can_see_a_token():
    weights = seen("llava").weights[at_layer("llava", "decoder", 0)].astype(float).mean(0)
    scores = [weights[j:, j].mean() for j in image_of("llava")]
    assert stayed(vt.in_decoder.fastv(seen("llava"), keep=KEEP, layer=1, read="all")) == top(scores, KEEP)


@pytest.mark.parametrize("name", WITH_DECODER)
def test_sparse_vlm_asks_words_that_resemble_the_image(name):
    hidden, image = seen(name).hidden["decoder", 0].astype(float), image_of(name)
    words = [r for r in rows_of(name).where("question") if r > image.max()]
    likeness = np.zeros(len(words))
    for v in image:
        each = np.exp([hidden[v] @ hidden[t] for t in words])
        likeness += each / each.sum() / len(image)
    raters = [t for t, r in zip(words, likeness, strict=True) if r > likeness.mean()]
    plan = vt.in_decoder.sparse_vlm(seen(name), keep=KEEP, layers=(0,), recycle=False)
    assert stayed(plan, 1) == top(readings(name, 0, raters), KEEP)


def test_recycled_clusters_fill_the_budget_exactly():
    plan = vt.in_decoder.sparse_vlm(seen("bundled:lvlm"), keep=30, layers=(0,))
    own = vt.in_decoder.sparse_vlm(seen("bundled:lvlm"), keep=26, layers=(0,), recycle=False)
    # 144 tokens: 26 stay, int(0.3 * 118) + 1 = 36 of the others return as 36 // 10 + 1 = 4 means.
    assert plan.kept == 30 and stayed(own) <= stayed(plan)
    into = plan.into[1]
    sizes = [int((into == leader).sum()) for leader in stayed(plan)]
    assert sum(sizes) == 26 + 36 and sizes.count(1) >= 26 and (into == -1).sum() == 144 - 62
    hidden = seen("bundled:lvlm").hidden["decoder", 1][image_of("bundled:lvlm")].astype(float)
    centres = sorted(stayed(plan) - stayed(own))
    for token in np.flatnonzero((into >= 0) & ~np.isin(np.arange(144), sorted(stayed(own)))):
        nearest = min(centres, key=lambda c: (np.linalg.norm(hidden[token] - hidden[c]), c))
        assert into[token] == nearest


def test_clusters_are_those_that_were_planted():
    from analysis.visual_tokens.recycling import clustered

    rng = np.random.default_rng(0)
    middles = 20 * np.eye(4, 6)
    owner = np.arange(40) % 4
    found = clustered(middles[owner] + 0.1 * rng.standard_normal((40, 6)), 4)
    assert len(set(found)) == 4 and all(owner[c] == o for c, o in zip(found, owner, strict=True))


def test_hired_shares_the_budget_out_between_tiles():
    name, keep = "llava_next", 40
    rows, image = rows_of(name), image_of(name)
    early, late, tiles = class_scores(name, 0), class_scores(name, -2), rows.tile[image]
    boxes = {t: rows.boxes[image][tiles == t] for t in set(tiles.tolist())}
    extents = {t: (*b[:, :2].min(0), *b[:, 2:].max(0)) for t, b in boxes.items()}
    whole = max(extents, key=lambda t: (extents[t][2] - extents[t][0]) * (extents[t][3] - extents[t][1]))
    mine = [i for i in range(len(image)) if tiles[i] == whole]
    told = [mine[i] for i in top([early[i] for i in mine], len(mine) // 2)]
    inside = {}
    for tile, (x0, y0, x1, y1) in extents.items():
        centres = [(rows.boxes[image[i]][:2] + rows.boxes[image[i]][2:]) / 2 for i in told]
        inside[tile] = sum(x0 <= x < x1 and y0 <= y < y1 for x, y in centres)
    plan = vt.tiles.hired(seen(name), keep=keep)
    left = {t: int((tiles[sorted(stayed(plan))] == t).sum()) for t in extents}
    assert left[whole] == keep // 2 and sum(left.values()) == keep
    total = sum(n for t, n in inside.items() if t != whole)
    for tile, count in left.items():
        if tile != whole:
            assert abs(count - keep // 2 * inside[tile] / total) < 1
        own = [i for i in range(len(image)) if tiles[i] == tile]
        assert stayed(plan) & set(own) == {own[i] for i in top([late[i] for i in own], count)}


def before_softmax(name: str):
    capture = seen(name)

    def product(site, row, key):
        queries, keys = capture.queries[site].astype(float), capture.keys[site].astype(float)
        return np.mean([queries[h, row] @ keys[h, key] for h in range(len(queries))])

    return product


def test_global_com_without_tiles_is_the_product_before_the_softmax():
    plan = vt.tiles.global_com(seen("llava"), keep=KEEP)
    assert stayed(plan) == top(class_scores("llava", -1, before_softmax("llava")), KEEP)


@pytest.mark.parametrize("name", ["llava_next", "internvl"])
def test_global_com_scores_tiles_by_themselves_and_by_the_whole_image(name):
    keep, temperature = 60, 2.0
    rows, image = rows_of(name), image_of(name)
    local, tiles = np.array(class_scores(name, -1, before_softmax(name))), rows.tile[image]
    middles = (rows.boxes[image][:, :2] + rows.boxes[image][:, 2:]) / 2
    extents = {t: np.r_[rows.boxes[image][tiles == t, :2].min(0), rows.boxes[image][tiles == t, 2:].max(0)] for t in set(tiles)}
    whole = max(extents, key=lambda t: np.prod(extents[t][2:] - extents[t][:2]))
    crops = sorted(set(tiles) - {whole})
    inside = [(tiles == whole) & (middles >= extents[c][:2]).all(1) & (middles < extents[c][2:]).all(1) for c in crops]
    powers = np.exp([local[i].sum() / temperature for i in inside])
    shares = powers / powers.sum()
    rates = {whole: 1.0, **{c: 1 + s - shares.mean() for c, s in zip(crops, shares, strict=True)}}
    wanted = {t: rates[t] * (tiles == t).sum() for t in rates}
    side = int(np.sqrt((tiles == whole).sum()))
    grid, places = local[tiles == whole].reshape(side, side), middles[tiles == whole].reshape(side, side, 2)
    between = RegularGridInterpolator((places[:, 0, 1], places[0, :, 0]), grid)
    plan = vt.tiles.global_com(seen(name), keep=keep, temperature=temperature)
    assert plan.kept == keep
    for tile in rates:
        own = np.flatnonzero(tiles == tile)
        left = len(stayed(plan) & set(own.tolist()))
        assert abs(left - keep * wanted[tile] / sum(wanted.values())) < 1
        scores = local[own]
        if tile != whole:
            at = np.clip(middles[own], places[0, 0], places[-1, -1])
            guided = between(at[:, ::-1])
            scores = scores / np.linalg.norm(scores) + guided / np.linalg.norm(guided)
        assert stayed(plan) & set(own.tolist()) == {int(own[i]) for i in top(scores.tolist(), left)}


def test_each_layer_has_a_threshold_that_the_image_sets():
    name = "bundled:lvlm"
    image, words = image_of(name), [r for r in rows_of(name).where("question") if r > image_of(name).max()]
    left, expected = list(range(len(image))), []
    for layer in (1, 3):
        weights = seen(name).weights[at_layer(name, "decoder", layer - 1)].astype(float).mean(0)
        own = np.array([weights[[image[m] for m in left if m >= n], image[n]].mean() for n in left])
        cross = np.array([weights[words, image[n]].mean() for n in left])
        scores = own / own.sum() + cross / cross.sum()
        total, count = 0.0, 0
        for value in sorted(scores, reverse=True):
            total, count = total + value, count + 1
            if total >= 0.6 * scores.sum():
                break
        left = sorted(left[i] for i in top(scores.tolist(), count))
        expected.append(set(left))
    plan = vt.thresholds.instance_threshold(seen(name), keep=1000, mass=0.6, spatial=0.0, layers=(1, 3))
    assert stayed(plan, 1) == stayed(plan, 2) == expected[0] and stayed(plan, 3) == stayed(plan) == expected[1]
    assert 1 < len(expected[1]) < len(expected[0]) < len(image)
    once = vt.thresholds.instance_threshold(seen(name), keep=1000, mass=0.6, spatial=0.5, layers=(1,))
    even = vt.plain.uniform_visual(seen(name), keep=round(len(expected[0]) / 2))
    assert once.kept == len(expected[0]) and stayed(even) <= stayed(once)
    assert [s.layer for s in vt.thresholds.instance_threshold(seen(name), keep=9).steps] == [2, 3, 4], "quarters of six layers"


def test_tokens_that_go_round_a_layer_come_back():
    name = "bundled:lvlm"
    plan = vt.in_decoder.progressive(seen(name), keep=30)
    last = [len(rows_of(name)) - 1]
    assert plan.steps == () and plan.there.all()
    for layer in range(1, depth_of(name)):
        assert stayed(plan, layer) == top(readings(name, layer, last), int(plan.counts[layer]))
    assert list(plan.counts) == sorted(plan.counts, reverse=True) and plan.kept == 30
    back = [stayed(plan, layer) - stayed(plan, layer - 1) for layer in range(1, depth_of(name))]
    assert any(back), "some tokens run through a layer behind one that they went round"


def test_later_layers_read_what_ran_through():
    model, inputs = asked("bundled:lvlm")
    plan = vt.in_decoder.progressive(seen("bundled:lvlm"), keep=10, look=lambda edits: ma.capture(model, inputs, edits=edits))
    image, count = image_of("bundled:lvlm"), len(rows_of("bundled:lvlm"))
    assert list(plan.counts) == sorted(plan.counts, reverse=True) and plan.kept == 10
    under = ma.capture(model, inputs, edits=vt.dropping(plan), want={"hidden"})
    for layer in range(1, depth_of("bundled:lvlm")):
        site = at_layer("bundled:lvlm", "decoder", layer)
        assert under.weights[site].shape[-1] == count - len(image) + plan.counts[layer]
        before, after = (under.hidden["decoder", n][image[~plan.alive[layer]]] for n in (layer, layer + 1))
        assert layer + 1 == depth_of("bundled:lvlm") or np.array_equal(before, after) and len(before)
        # Everyone runs through this layer and the later ones: what would be read there.
        earlier = [e for e in vt.dropping(plan) if e.where.layers[0] < layer]
        scores = ma.capture(model, inputs, edits=earlier).weights[site].astype(float)[:, -1, image].mean(0)
        assert stayed(plan, layer) == top(scores.tolist(), int(plan.counts[layer]))


def test_layers_rank_alike_as_scipy_says():
    from scipy.stats import spearmanr

    name = "bundled:lvlm"
    scores = [readings(name, n, [len(rows_of(name)) - 1]) for n in range(depth_of(name))]
    found = vt.layer_rankings.ranking_similarity(seen(name))
    np.testing.assert_allclose(found.values, spearmanr(np.array(scores).T).statistic, atol=1e-9)
    shared = vt.layer_rankings.ranking_similarity(seen(name), statistic="overlap", top=10)
    assert shared.values[1, 4] == len(top(scores[1], 10) & top(scores[4], 10)) / 10


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_evenly_spread_tokens_are_each_the_farthest_from_those_before(name):
    boxes = rows_of(name).boxes[image_of(name)].astype(float)
    middles = [((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in boxes]
    centre = (sum(x for x, _ in middles) / len(middles), sum(y for _, y in middles) / len(middles))
    chosen = [min(range(len(middles)), key=lambda i: (math.dist(middles[i], centre), i))]
    while len(chosen) < 9:
        left = [i for i in range(len(middles)) if i not in chosen]
        chosen.append(max(left, key=lambda i: (round(min(math.dist(middles[i], middles[j]) for j in chosen), 3), -i)))
    plan = vt.plain.uniform_visual(seen(name), keep=9)
    ours = [min(math.dist(middles[i], middles[j]) for j in stayed(plan) if j != i) for i in stayed(plan)]
    slow = [min(math.dist(middles[i], middles[j]) for j in chosen if j != i) for i in chosen]
    assert min(ours) == pytest.approx(min(slow), rel=1e-3)
    nearest = min(math.dist(middles[i], centre) for i in stayed(plan))
    assert nearest == pytest.approx(math.dist(middles[chosen[0]], centre), rel=1e-3)


def test_chance_is_told_by_its_seed():
    first, again, other = (stayed(vt.plain.random_visual(seen("llava"), keep=KEEP, seed=s)) for s in (1, 1, 2))
    assert first == again != other
    counts = np.zeros(64)
    for seed in range(200):
        counts[sorted(stayed(vt.plain.random_visual(seen("llava"), keep=16, seed=seed)))] += 1
    # 200 draws of a quarter: 50 each, standard deviation 6.
    assert counts.sum() == 3200 and abs(counts - 50).max() < 5 * 6.1


def test_one_prompt_at_a_time():
    model, inputs = asked("llava")
    both = ma.Inputs(
        {name: value.repeat(2, *[1] * (value.dim() - 1)) for name, value in inputs.tensors.items()}, batch=2, many=True
    )
    with pytest.raises(ValueError, match="one prompt at a time. Got a batch of 2"):
        vt.in_decoder.fastv(ma.capture(model, both), keep=KEEP, layer=1)
