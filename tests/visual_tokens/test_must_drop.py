"""MustDrop against the steps of its release, in their order: the two filters, and what caches remember behind the prompt."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest

import model_adapters as ma
from analysis.visual_tokens import dropping, masking
from analysis.visual_tokens.thresholds import must_drop
from model_adapters.edits import Block
from tests.visual_tokens.deeper import asked_of, deeper, told
from tests.visual_tokens.small import asked, rows_of, seen

IMAGE = range(1, 65)


def key_tokens(seed: int, picture: int) -> set[int]:
    """The share of 8 % that the class token of the last vision layer attends to most."""
    capture = ma.capture(deeper(seed), asked_of(seed, picture))
    last = max((s for s in capture.sites if s.tower == "vision"), key=lambda s: s.layer)
    scores = np.asarray(capture.weights[last], float)[:, 0, 1:].mean(0)
    return {IMAGE[i] for i in np.argsort(-scores, kind="stable")[: ceil(0.08 * 64)]}


def filtered(attention: np.ndarray, left: list[int], share: float, single: float) -> set[int]:
    """Tokens whose part of all words' attention reaches one threshold, or that any word gives more than the other."""
    words = range(IMAGE[-1] + 1, len(attention))
    summed = {v: sum(attention[t, v] for t in words) for v in left}
    total = sum(summed.values())
    gone = {v for v in left if summed[v] < total * share and max(attention[t, v] for t in words) < single}
    return set(left) - gone


@pytest.mark.parametrize(("seed", "picture"), [(s, p) for s in range(4) for p in range(3)])
def test_the_first_filter_is_that_of_the_release(seed, picture):
    attention = told(seed, picture).attentions[0][0].double().mean(0).numpy()
    given = attention[65:, 1:65]
    single, share = np.quantile(given.max(0), 0.7), np.quantile(given.sum(0) / given.sum(), 0.6)
    expected = filtered(attention, list(IMAGE), share, single) | key_tokens(seed, picture)
    capture = ma.capture(deeper(seed), asked_of(seed, picture), want=("hidden",))
    plan = must_drop(capture, keep=len(expected), alike=1.0, balance=share / single, layers=(0,))
    assert set(plan.image[plan.alive[-1]].tolist()) == expected and 20 < len(expected) < 64
    assert plan.counts.tolist() == [64] + [len(expected)] * 4


def test_later_filters_read_the_layer_that_they_drop_behind():
    capture = ma.capture(deeper(0), asked_of(0, 0), want=("hidden",))
    plan = must_drop(capture, keep=12, alike=1.0, layers=(1, 3))
    left, keys = list(IMAGE), key_tokens(0, 0)
    for layer in (1, 3):
        attention = told(0, 0).attentions[layer][0].double().mean(0).numpy()
        words = range(65, len(attention))
        total = sum(attention[t, v] for t in words for v in left)
        rank = {v: max(sum(attention[t, v] for t in words) / total, max(attention[t, v] for t in words)) for v in left}
        count = int(plan.counts[layer + 1])
        left = sorted(sorted(left, key=lambda v: (v not in keys, -rank[v]))[:count])
        assert plan.image[plan.alive[layer + 1]].tolist() == left
        assert plan.counts[layer] > count, "the layer that is read still has them"


def test_new_words_see_in_earlier_layers_only_what_the_last_one_reads():
    """By hand: every layer from the first filter on forgets behind the prompt what was dropped anywhere."""
    model, inputs = asked("bundled:lvlm")
    plan = must_drop(seen("bundled:lvlm"), keep=30, alike=1.0, layers=(1, 3))
    assert plan.forgotten == (1, 2, 3) and list(plan.counts[[0, 1]]) == [144, 144]
    everyone, edits = np.arange(len(rows_of("bundled:lvlm"))), []
    final = plan.image[~plan.alive[-1]]
    for layer in range(6):
        gone = plan.image[~plan.alive[layer]]
        if len(gone):
            stay = tuple(int(n) for n in np.setdiff1d(everyone, gone))
            here = {"tower": "decoder", "layers": (layer,), "keys": tuple(int(n) for n in gone)}
            edits.append(Block(ma.Where(**here, queries=stay, phase="prompt")))
        if layer:
            edits.append(Block(ma.Where("decoder", (layer,), keys=tuple(int(n) for n in final), phase="new")))
    slow = ma.generate(model, inputs, edits=edits, max_new_tokens=4)
    remembered = [edit for edit in dropping(plan) if edit.where.phase == "prompt"]
    ways = dropping(plan), masking(plan), remembered
    real, hidden, without = (ma.generate(model, inputs, edits=way, max_new_tokens=4) for way in ways)
    for one, other, third in zip(real.tokens, slow.tokens, hidden.tokens, strict=True):
        np.testing.assert_allclose(one.logits, other.logits, atol=1e-4)
        np.testing.assert_allclose(third.logits, other.logits, atol=1e-4)
    assert np.abs(without.tokens[1].logits - real.tokens[1].logits).max() > 1e-4, "forgetting changes later words"
    assert np.array_equal(without.tokens[0].logits, real.tokens[0].logits), "and not the first"
