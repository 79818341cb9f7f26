"""SparseVLM against the steps of its release, in their order, on what transformers itself says of attention."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

import model_adapters as ma
from analysis.visual_tokens import dropping
from analysis.visual_tokens.in_decoder import sparse_vlm
from tests.visual_tokens.deeper import DEPTH, asked_of, deeper, told

IMAGE = range(1, 65)
CASES = [(seed, picture, (seed + picture) % (DEPTH - 1)) for seed in range(8) for picture in range(5)]
KEPT = 20


@cache
def seen(seed: int, picture: int) -> ma.Capture:
    return ma.capture(deeper(seed), asked_of(seed, picture), want=("hidden",))


def raters(states: torch.Tensor) -> list[int]:
    """The words whose share of the image tokens' softmax over words is above the mean."""
    words = range(IMAGE[-1] + 1, len(states))
    shares = torch.zeros(len(words), dtype=torch.float64)
    for v in IMAGE:
        powers = torch.stack([torch.exp(states[v].double() @ states[t].double()) for t in words])
        shares += powers / powers.sum() / len(IMAGE)
    return [t for t, share in zip(words, shares, strict=True) if share > shares.mean()]


def release(seed: int, picture: int, layer: int, kept: int) -> tuple[list[int], list[torch.Tensor]]:
    """What stays behind a layer, and the means that come back, by the steps of the release one after the other."""
    run = told(seed, picture)
    attention = run.attentions[layer][0].double()
    readers = raters(run.hidden_states[0][0])
    score = {v: float(torch.stack([attention[:, t, v].mean() for t in readers]).mean()) for v in IMAGE}
    stays = sorted(IMAGE, key=lambda v: (-score[v], v))[:kept]
    gone = [v for v in IMAGE if v not in stays]
    returning = sorted(gone, key=lambda v: (-score[v], v))[: int(len(gone) * 0.3) + 1]
    clusters = int(len(returning) / 10) + 1
    states = run.hidden_states[layer + 1][0].double()
    width = states.shape[-1]
    apart = {(a, b): float((states[a] - states[b]).norm()) / width**0.5 for a in returning for b in returning}
    density = {a: np.exp(-np.mean([d**2 for d in sorted(apart[a, b] for b in returning)[:clusters]])) for a in returning}
    farthest = max(apart.values())
    away = {a: min([apart[a, b] for b in returning if density[b] > density[a]] or [farthest]) for a in returning}
    centres = sorted(returning, key=lambda a: -away[a] * density[a])[:clusters]
    members: dict[int, list[int]] = {c: [c] for c in centres}
    for a in returning:
        if a not in centres:
            members[min(centres, key=lambda c: apart[a, c])].append(a)
    return sorted(stays), [states[m].mean(0) for m in members.values()]


@pytest.mark.parametrize(("seed", "picture", "layer"), CASES)
def test_the_kept_tokens_are_those_of_the_release(seed, picture, layer):
    expected, _ = release(seed, picture, layer, KEPT)
    plan = sparse_vlm(seen(seed, picture), keep=KEPT, layers=(layer,), recycle=False)
    assert (plan.image[plan.alive[-1]]).tolist() == expected
    assert plan.counts.tolist() == [64] * (layer + 1) + [KEPT] * (DEPTH - 1 - layer), "dropped behind the layer that is read"


@pytest.mark.parametrize(("seed", "picture", "layer"), CASES[::3])
def test_the_means_that_come_back_are_those_of_the_release(seed, picture, layer):
    # 64 tokens, of which 20 stay: int(0.3 * 44) + 1 = 14 return, as int(14 / 10) + 1 = 2 means.
    stays, means = release(seed, picture, layer, KEPT)
    model, inputs = deeper(seed), asked_of(seed, picture)
    plan = sparse_vlm(seen(seed, picture), keep=KEPT + 2, layers=(layer,))
    met = ma.capture(model, inputs, edits=dropping(plan), want={"hidden"}).hidden["decoder", layer + 1]
    rows = np.setdiff1d(np.arange(75), plan.image[~plan.alive[-1]])
    assert len(means) == 2 and len(met) == len(rows) == 75 - 64 + 22
    back = [place for place, row in enumerate(rows) if row in IMAGE and row not in stays]
    found = sorted(np.asarray(met)[back].tolist())
    np.testing.assert_allclose(found, sorted(m.tolist() for m in means), atol=1e-5)


def test_layers_are_those_of_the_release_scaled_to_the_depth():
    from analysis.visual_tokens.making import behind

    assert behind(32, (2, 6, 15), 32) == (2, 6, 15) and behind(40, (2, 6, 15), 32) == (2, 8, 19)
    assert behind(2, (2, 6, 15), 32) == (0,), "the last layer has none behind it"
