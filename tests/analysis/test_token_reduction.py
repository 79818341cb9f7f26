"""Token reduction: counts as published, sizes add up, steps against slow loops, and plans that a model really runs."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
import torch

import model_adapters as ma
from analysis import token_making
from analysis.token_reduction import ats, class_top, even_tokens, evit, mctf, random_tokens, tome
from analysis.token_steps import cosine, keep_top_and_fuse, matched, multi_criteria, numbered, sampled
from model_adapters.edits import DropTokens, MergeTokens
from tests.analysis.pattern_captures import hand_made, random_weights

G, L, H, D = 6, 4, 3, 8
T = 1 + G * G


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def capture(rng):
    arrays = lambda: [rng.standard_normal((H, T, D)) for _ in range(L)]  # noqa: E731
    made = hand_made([random_weights(rng, H, T) for _ in range(L)], grid=(G, G), keys=arrays())
    values = ma.BySite(dict(zip(made.sites, arrays(), strict=True)))
    hidden = {("vision", n): rng.standard_normal((T, D)).astype(np.float32) for n in range(L)}
    return ma.Capture(**{**made.__dict__, "values": values, "hidden": hidden})


def test_layers_are_the_originals_scaled_to_the_depth(capture, monkeypatch):
    def steps(method, **options):
        return [step.layer for step in method(capture, **options).steps]

    assert steps(tome) == list(range(L)) and steps(mctf, merged=2) == list(range(1, L))
    assert steps(ats, samples=20) == list(range(1, L)), "the last three quarters"
    monkeypatch.setattr(token_making, "layers_of_tower", lambda capture: list(range(12)))
    assert token_making.later(capture, 3 / 12) == tuple(range(3, 12)), "ATS: blocks 3 to 11 of 12"
    assert token_making.later(capture, 1 / 12) == tuple(range(1, 12)), "MCTF: layers 1 to 11 of 12"
    assert token_making.quarters(capture) == (3, 6, 9)


def test_evit_counts_are_one_plus_kept_plus_fused(capture):
    plan = evit(capture, layers=(0, 2), keep=0.7)
    first = 1 + ceil(0.7 * (T - 1)) + 1
    assert list(plan.counts) == [T, first, 1 + ceil(0.7 * (first - 1)) + 1]
    assert plan.sizes().sum() == T and all(isinstance(e, MergeTokens) for e in plan.edits)


def test_evit_keeps_what_the_class_token_attends_to_and_weighs_the_rest_by_it(capture):
    plan = evit(capture, layers=(1,), keep=0.5)
    scores = capture.weights[1][:, 0].mean(0)
    best = 1 + np.argsort(-scores[1:])[: (T - 1) // 2]
    groups = plan.steps[0].groups
    assert set(np.flatnonzero(groups == groups.max())) == set(range(1, T)) - set(best)
    assert groups[0] == 0 and list(groups[np.sort(best)]) == list(range(1, len(best) + 1))
    edit = plan.edits[0]
    assert edit.where.layers == (1,) and edit.weights == pytest.approx(scores, rel=1e-5)


def slow_matches(likeness, protected, count):
    """Edges from even to odd tokens, sorted, one by one."""
    edges = []
    for a in range(0, len(likeness), 2):
        if not protected[a]:
            b = max((b for b in range(1, len(likeness), 2) if not protected[b]), key=lambda b: likeness[a, b])
            edges.append((likeness[a, b], a, b))
    into = list(range(len(likeness)))
    for _, a, b in sorted(edges, reverse=True)[:count]:
        into[a] = b
    return into


def test_matching_is_the_slow_one_and_protects(rng):
    likeness = cosine(rng.standard_normal((15, 4)))
    protected = np.zeros(15, bool)
    protected[[0, 1, 4]] = True
    groups = matched(likeness, protected, 4)
    into = slow_matches(likeness, protected, 4)
    assert [[i for i in range(15) if groups[i] == groups[j]] for j in range(15)] == [
        [i for i in range(15) if into[i] == into[j]] for j in range(15)
    ]
    assert all((groups == groups[i]).sum() == 1 for i in (0, 1, 4)) and groups[0] == 0
    assert matched(likeness, np.ones(15, bool), 4).tolist() == list(range(15))


@pytest.mark.parametrize("method", [tome, mctf])
def test_merged_sizes_add_up_to_all_tokens_in_every_layer(capture, method):
    plan = method(capture, layers=tuple(range(L)), merged=5)
    assert list(plan.counts) == [T - 5 * i for i in range(L + 1)]
    for step in range(L + 1):
        sizes = plan.sizes(step)
        assert sizes.sum() == T and sizes[0] == 1 and len(sizes) == plan.counts[step]


def test_tome_merges_twins_first(rng):
    keys = rng.standard_normal((1, T, D))
    keys[:, 7] = 3 * keys[:, 12]  # same direction; one of them is even, the other odd
    plan = tome(hand_made([random_weights(rng, 1, T)], grid=(G, G), keys=[keys]), merged=1)
    groups = plan.steps[0].groups
    assert groups[7] == groups[12] and len(set(groups)) == T - 1


def test_a_token_merged_twice_is_the_mean_of_all_it_holds(capture):
    plan = tome(capture, merged=9)
    hidden = np.arange(T, dtype=float)
    now, first = hidden, plan.sources[-1]
    for step in plan.steps:
        now = np.array(
            [
                (now * step.weights)[step.groups == g].sum() / step.weights[step.groups == g].sum()
                for g in range(step.groups.max() + 1)
            ]
        )
    assert now == pytest.approx([hidden[first == g].mean() for g in range(first.max() + 1)])


def test_criteria_prefer_the_small_the_uninformative_and_the_alike(rng):
    vectors = np.ones((6, 3))
    flat = multi_criteria(vectors, np.ones(6), np.ones(6))
    assert flat == pytest.approx(np.ones((6, 6)))
    assert (
        multi_criteria(vectors, np.array([1, 1, 1, 1, 9, 9.0]), np.ones(6))[0, 1]
        > 1.1 * multi_criteria(vectors, np.array([1, 1, 1, 1, 9, 9.0]), np.ones(6))[4, 5]
    )
    sized = multi_criteria(vectors, np.ones(6), np.array([1, 1, 1, 1, 4, 4.0]))
    assert sized[4, 5] == pytest.approx((1 / 16) ** (1 / 40))


def test_sampling_keeps_a_subset_with_the_class_token(capture):
    plan = ats(capture, layers=(1, 2), samples=12)
    assert (np.diff(plan.counts) <= 0).all() and plan.counts[1] <= 13
    assert plan.sources[-1][0] == 0 and all(isinstance(e, DropTokens) for e in plan.edits)
    values = capture.values[1]
    scores = capture.weights[1][:, 0].mean(0) * np.sqrt((values**2).sum((0, 2)))
    cumulated, met = np.cumsum(scores[1:]) / scores[1:].sum(), set()
    for i in range(12):
        met.add(1 + next(j for j in range(T - 1) if cumulated[j] >= (i + 0.5) / 12))
    assert set(np.flatnonzero(plan.sources[1] >= 0)) == met | {0}


def test_sampling_follows_the_mass():
    scores = np.zeros(20)
    scores[7] = 1
    protected = np.arange(20) < 1
    assert np.flatnonzero(sampled(scores, protected, 10) >= 0).tolist() == [0, 7]
    assert (sampled(np.ones(20), protected, 19) >= 0).all()


def test_random_and_even_tokens_keep_the_count_and_differ(capture):
    plans = [method(capture, layers=(0, 1), keep=0.5) for method in (class_top, random_tokens, even_tokens)]
    assert {tuple(p.counts) for p in plans} == {(T, 1 + 18, 1 + 9)}
    assert len({tuple(p.sources[-1] >= 0) for p in plans}) == 3
    again = random_tokens(capture, layers=(0, 1), keep=0.5)
    assert np.array_equal(again.sources, plans[1].sources)
    assert not np.array_equal(random_tokens(capture, layers=(0, 1), keep=0.5, seed=1).sources, again.sources)
    kept = np.flatnonzero(plans[2].sources[-1][1:] >= 0)
    cells = {(k // G // 3, k % G // 3) for k in kept}
    assert len(cells) == 4  # every quarter of the image keeps one


def test_a_schedule_gives_each_layer_its_own(capture):
    assert list(class_top(capture, layers=(0, 2), schedule=(0.5, 1.0)).counts) == [T, 19, 19]
    assert list(tome(capture, layers=(0, 1, 2), schedule=(6, 3, 1)).counts) == [T, T - 6, T - 9, T - 10]
    with pytest.raises(ValueError, match="one entry for each of 2 layers"):
        evit(capture, layers=(0, 2), schedule=(0.5,))


def test_keeping_all_changes_nothing(capture):
    assert class_top(capture, layers=(0,), keep=1.0).edits == ()
    assert numbered(np.array([5, -1, 5, 2])).tolist() == [0, -1, 0, 1]
    assert keep_top_and_fuse(np.ones(4), np.zeros(4, bool), 1.0).tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="layers \\[9\\]"):
        class_top(capture, layers=(9,))


@pytest.mark.parametrize("method", [evit, class_top, tome, ats, mctf, random_tokens, even_tokens])
def test_plans_run_on_a_model_and_looking_again_gives_the_same_counts(tiny_vit, picture, method):
    model = ma.wrap(tiny_vit, name="tiny")
    inputs = model.prepare(picture)
    want = {"hidden", "queries", "values"}
    capture = ma.capture(model, inputs, want=want)
    options = {"samples": 9} if method is ats else {}
    plan = method(capture, layers=(0, 1), **options)
    last = ma.capture(model, inputs, edits=plan.edits, want={"hidden"}).hidden["vision", 2]
    assert last.shape[-2] == plan.counts[-1] < 17
    again = method(capture, layers=(0, 1), look=lambda edits: ma.capture(model, inputs, edits=edits, want=want), **options)
    assert np.array_equal(again.sources[1], plan.sources[1])
    if method is not ats:
        assert np.array_equal(again.counts, plan.counts)
    assert np.isfinite(ma.run(model, inputs, again.edits).numpy()).all()
    assert not torch.equal(ma.run(model, inputs, plan.edits), ma.run(model, inputs))


@pytest.mark.parametrize(("depth", "expected"), [(2, [0, 1]), (4, [1, 2, 3]), (6, [1, 3, 4]), (12, [3, 6, 9]), (24, [6, 12, 18])])
def test_layers_are_quarters_of_any_depth_unless_said(rng, depth, expected):
    made = hand_made([random_weights(rng, 1, 10) for _ in range(depth)], grid=(3, 3))
    for method in (evit, class_top, random_tokens, even_tokens):
        assert [step.layer for step in method(made).steps] == expected
