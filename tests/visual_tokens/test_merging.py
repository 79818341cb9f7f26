"""Merging by likeness, page rank, the exit and blind heads: loops, planted truths, null cases, and what the model really sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import analysis.visual_tokens as vt
import model_adapters as ma
from analysis.visual_tokens.merging import merged_by_likeness, page_rank
from tests.visual_tokens.small import LVLMS, asked, depth_of, image_of, rows_of, seen

MODELS = ("bundled:lvlm", *LVLMS)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def merged_slowly(vectors: np.ndarray, count: int) -> list[set[int]]:
    """Groups of tokens, by loops: every other token has one edge to the likest of the others, and the likest edges merge."""
    groups = [[i] for i in range(len(vectors))]
    while len(groups) > count:
        means = [np.mean([vectors[i] for i in group], axis=0) for group in groups]
        first, second = range(0, len(groups), 2), range(1, len(groups), 2)
        edges = [(max((cosine(means[a], means[b]), -b) for b in second), a) for a in first]
        edges.sort(key=lambda edge: (-edge[0][0], edge[1]))
        into = {a: -found[1] for found, a in edges[: len(groups) - count]}
        new = {b: list(groups[b]) for b in range(len(groups)) if b not in into}
        for a, b in into.items():
            new[b] = new[b] + groups[a]
        groups = sorted((sorted(group) for group in new.values()), key=lambda group: group[0])
    return [set(group) for group in groups]


def test_likest_pairs_merge_as_loops_say():
    vectors = np.random.default_rng(0).normal(size=(23, 6))
    for count in (22, 12, 7, 1):
        into = merged_by_likeness(vectors, count)
        found = [set(np.flatnonzero(into == leader).tolist()) for leader in np.unique(into)]
        assert sorted(map(min, found)) == sorted(np.unique(into)), "the first of a group stands for it"
        assert sorted(map(sorted, found)) == sorted(map(sorted, merged_slowly(vectors, count)))


def test_planted_twins_merge_and_nothing_else_does():
    vectors = np.eye(12)
    vectors[7] = vectors[2] * 3
    assert np.flatnonzero(merged_by_likeness(vectors, 11) != np.arange(12)).tolist() == [7]
    assert (merged_by_likeness(vectors, 12) == np.arange(12)).all() and (merged_by_likeness(vectors, 40) == np.arange(12)).all()


def test_page_rank_by_hand():
    weights = np.random.default_rng(1).dirichlet(np.ones(5), (3, 5))
    weights = np.tril(weights) / np.tril(weights).sum(-1, keepdims=True)
    total = np.zeros(5)
    for head in weights:
        walk = np.array([[w**10 for w in row] for row in head])
        walk = walk / walk.sum(1, keepdims=True)
        share = np.full(5, 0.2)
        for _ in range(5):
            share = np.array([sum(share[i] * walk[i, j] for i in range(5)) for j in range(5)])
        total += share**2
    np.testing.assert_allclose(page_rank(weights), np.sqrt(total / 3), rtol=1e-9)
    all_at_one = np.zeros((2, 4, 4))
    all_at_one[:, :, 2] = 1
    np.testing.assert_allclose(page_rank(all_at_one), [0, 0, 1, 0])


@pytest.mark.parametrize("name", MODELS)
def test_merged_tokens_are_means_in_the_model(name):
    model, inputs = asked(name)
    keep = len(image_of(name)) // 3
    plan = vt.merging.tome_visual(seen(name), keep=keep)
    met = ma.capture(model, inputs, edits=vt.dropping(plan), want={"hidden"}).hidden["decoder", 0]
    before, rows = seen(name).hidden["decoder", 0], rows_of(name)
    left = [row for row in range(len(rows)) if row not in set(image_of(name)[~plan.alive[0]].tolist())]
    assert len(met) == len(left) == len(rows) - len(plan) + keep
    for place, row in enumerate(left):
        members = np.flatnonzero(plan.into[0] == np.searchsorted(plan.image, row)) if row in plan.image else []
        expected = before[plan.image[members]].mean(0) if len(members) else before[row]
        np.testing.assert_allclose(met[place], expected, atol=1e-5)


def test_aim_merges_to_a_quarter_and_then_drops_along_a_line():
    plan = vt.merging.aim(seen("bundled:lvlm"), keep=0)
    assert plan.counts.tolist() == [36, 36, 36, 18, 0, 0], "a line from layer 14 to 21 of 28 is layers 3 and 4 of 6"
    model, inputs = asked("bundled:lvlm")
    assert len(ma.run(model, inputs, vt.dropping(plan))[0]) == len(rows_of("bundled:lvlm")) - 144
    weights = seen("bundled:lvlm").weights[[s for s in seen("bundled:lvlm").sites if s.tower == "decoder"][2]]
    left = np.setdiff1d(np.arange(len(rows_of("bundled:lvlm"))), plan.image[~plan.alive[2]])
    ranks = page_rank(weights[:, left][:, :, left].astype(float))
    places = np.flatnonzero(plan.alive[2])
    best = places[np.argsort(-ranks[np.searchsorted(left, plan.image[places])], kind="stable")[:18]]
    assert set(np.flatnonzero(plan.alive[3]).tolist()) == set(best.tolist())
    assert vt.merging.aim(seen("bundled:lvlm"), keep=50).counts.tolist() == [50] * 6, "never fewer merged than are to be kept"


def test_aim_reads_the_model_that_is_already_reduced():
    model, inputs = asked("bundled:lvlm")
    plan = vt.merging.aim(
        seen("bundled:lvlm"), keep=4, look=lambda edits: ma.capture(model, inputs, edits=edits, want={"hidden"})
    )
    alone = vt.merging.aim(seen("bundled:lvlm"), keep=4)
    assert plan.counts.tolist() == alone.counts.tolist() == [36, 36, 36, 20, 4, 4]
    assert "Without `look`" in alone.left_out and "Without `look`" not in plan.left_out


@pytest.mark.parametrize("name", MODELS)
def test_all_visual_tokens_leave_and_hiding_them_says_the_same(name):
    model, inputs = asked(name)
    plan = vt.unseen.visual_exit(seen(name), exit=1)
    count = len(plan)
    assert plan.counts.tolist() == [count] + [0] * (depth_of(name) - 1)
    real = ma.run(model, inputs, vt.dropping(plan))[0]
    masked = ma.run(model, inputs, vt.masking(plan))[0]
    assert len(real) == len(rows_of(name)) - count
    torch.testing.assert_close(real[-1], masked[-1], atol=2e-5, rtol=1e-4)
    said = ma.generate(model, inputs, max_new_tokens=3, edits=vt.dropping(plan))
    assert len(said.tokens) >= 1
    assert vt.dropping(vt.unseen.visual_exit(seen(name), exit=depth_of(name))) == ()
    with pytest.raises(ValueError, match="the last of which is never"):
        vt.unseen.visual_exit(seen(name), exit=depth_of(name) + 1)


@pytest.mark.parametrize("name", MODELS)
def test_blind_heads_are_the_least_active_and_see_nothing(name):
    capture, image = seen(name), image_of(name)
    sites = [s for s in capture.sites if s.tower == "decoder" and capture.layouts[s].square]
    activity = {}
    for site in sites:
        for head in range(site.heads):
            rows = capture.weights[site][head].astype(float)
            seen_by = sum(rows[q, j] for q in range(len(rows)) for j in image)
            activity[site.layer, head] = seen_by / (rows.sum() - seen_by)
    plan = vt.unseen.visual_heads(capture, blind=25, always=0)
    chosen = {(layer, head) for layer, heads in plan.blind for head in heads}
    assert chosen == set(sorted(activity, key=activity.get)[: round(len(activity) / 4)])  # type: ignore[arg-type]
    model, inputs = asked(name)
    under = ma.capture(model, inputs, edits=vt.dropping(plan), want={"heads"})
    for site in sites:
        for head in range(site.heads):
            is_blind = (site.layer, head) in chosen
            assert (under.weights[site][head][:, image].sum() == 0) == is_blind
            assert (np.abs(under.head_outputs[site][head][image]).sum() == 0) == is_blind
    assert plan.kept == len(plan) == len(image)


def test_heads_of_the_first_layers_are_spared_and_no_blind_head_is_nothing():
    capture = seen("bundled:lvlm")
    assert min(layer for layer, _ in vt.unseen.visual_heads(capture).blind) >= 2
    assert vt.dropping(vt.unseen.visual_heads(capture, blind=0)) == ()
    with pytest.raises(ValueError, match="cut must be a layer from 1 to 5, or 0 for never. Got 6"):
        vt.unseen.visual_heads(capture, cut=6)


def test_a_cut_hides_the_image_from_a_layer_on():
    model, inputs = asked("bundled:lvlm")
    plan = vt.unseen.visual_heads(seen("bundled:lvlm"), blind=0, cut=4)
    under = ma.capture(model, inputs, edits=vt.dropping(plan))
    image = image_of("bundled:lvlm")
    mass = [under.weights[s][:, :, image].sum() for s in under.sites if s.tower == "decoder"]
    assert all(m > 0 for m in mass[:4]) and mass[4:] == [0, 0]
    rows = [under.weights[s].sum(-1) for s in under.sites if s.tower == "decoder"][4]
    assert rows[:, -1].max() < 1, "nothing makes up for what is cut"
