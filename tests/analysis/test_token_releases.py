"""ToMe and MCTF against the steps of their releases, one after the other, on a vision transformer of 65 tokens.

The one thing told otherwise is the order of the tokens: it is kept, where the releases put merged tokens last.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import timm
import torch

import model_adapters as ma
from analysis.token_plan import TokenPlan
from analysis.token_reduction import mctf, tome
from model_adapters.edits import MergeTokens

DEPTH, HEADS = 4, 3
WANT = {"hidden", "queries"}


@cache
def vit(seed: int) -> ma.Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = timm.models.VisionTransformer(
            img_size=64, patch_size=8, embed_dim=48, depth=DEPTH, num_heads=HEADS, num_classes=7
        )
        for parameter in module.parameters():
            parameter.data.add_(0.15 * torch.randn(parameter.shape))
    return ma.wrap(module.eval().requires_grad_(False), name=f"vit {seed}", verify=False)


def picture(seed: int, batch: int = 1) -> ma.Inputs:
    one = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(100 + seed))
    return ma.Inputs({"x": one.expand(batch, -1, -1, -1)}, batch=batch, many=batch > 1)


def attended(block, x, sizes):
    """[H, T, T] weights, keys [H, T, d] and values [H, T, d] of one image [T, D]; sizes [T] weigh keys where given."""
    q, k, v = block.attn.qkv(block.norm1(x)).reshape(len(x), 3, HEADS, -1).permute(1, 2, 0, 3)
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    if sizes is not None:
        scores = scores + torch.tensor(sizes, dtype=x.dtype).log()
    return scores.softmax(-1), k, v


def added(block, x, weights, values):
    return x + block.attn.proj((weights @ values).transpose(0, 1).reshape(len(x), -1))


def averaged(rows, into, shares):
    """Rows [T, ...] -> [T', ...]: means of groups, which stand where their first member stood."""
    order = sorted(set(into), key=into.index)
    found = []
    for label in order:
        members = [i for i, to in enumerate(into) if to == label]
        found.append(sum(shares[i] * rows[i] for i in members) / sum(shares[i] for i in members))
    return found


def summed(rows, into):
    order = sorted(set(into), key=into.index)
    return [sum(rows[i] for i, to in enumerate(into) if to == label) for label in order]


def edges_of(likeness):
    """The best partner of every other token among the rest; token 0 is the class token and has none."""
    count = len(likeness)
    best = {a: max(range(1, count, 2), key=lambda b: float(likeness[a][b])) for a in range(0, count, 2)}
    worth = {a: -math.inf if a == 0 else float(likeness[a][best[a]]) for a in best}
    return best, worth


def tome_slowly(model, x, r, proportional):
    vit, sizes, groups = model.module, None, [{i} for i in range(len(x))]
    for block in vit.blocks:
        weights, keys, values = attended(block, x, sizes if proportional else None)
        x = added(block, x, weights, values)
        metric = keys.mean(0)
        metric = metric / metric.norm(dim=-1, keepdim=True)
        best, worth = edges_of(metric @ metric.T)
        gone = sorted(worth, key=lambda a: -worth[a])[: min(r, (len(x) - 1) // 2)]
        into = [best[i] if i in gone else i for i in range(len(x))]
        shares = sizes or [1] * len(x)
        x = torch.stack(averaged(list(x), into, shares))
        sizes = summed(shares, into)
        labels = sorted(set(into), key=into.index)
        groups = [set().union(*(groups[i] for i, to in enumerate(into) if to == label)) for label in labels]
        x = x + block.mlp(block.norm2(x))
    return groups, vit.forward_head(vit.norm(x[None]))[0]


def mctf_slowly(model, x, r, first):
    vit, sizes, groups = model.module, None, [{i} for i in range(len(x))]
    for number, block in enumerate(vit.blocks):
        weights, _, values = attended(block, x, sizes)
        if number >= first:
            received = weights.mean((0, 1))
            info = 1 / received
            info = info / info.max()
            unit = x / x.norm(dim=-1, keepdim=True)
            likeness = (unit @ unit.T + 1) / 2 * torch.outer(info, info) ** (1 / 20)
            if sizes is not None:
                small = 1 / torch.tensor(sizes, dtype=x.dtype)
                small = small / small.max()
                likeness = likeness * torch.outer(small, small) ** (1 / 40)
            best, worth = edges_of(likeness)
            gone = sorted(worth, key=lambda a: -worth[a])[: r // 2]
            left = [a for a in worth if a not in gone and a != 0]
            back = {b: max(left, key=lambda a: float(likeness[a][b])) for b in range(1, len(x), 2)}
            moved = sorted(back, key=lambda b: -float(likeness[back[b]][b]))[: r - r // 2]
            into = [best[i] if i in gone else i for i in range(len(x))]
            into = [back[i] if i in moved else i for i in into]
            shares = [float(received[i]) * (1 if sizes is None else sizes[i]) for i in range(len(x))]
            merged = []
            for head in weights:
                columns = torch.stack(summed(list(head.T), into)).T
                merged.append(torch.stack(averaged(list(columns), into, shares)))
            weights = torch.stack(merged)
            x = torch.stack(averaged(list(x), into, shares))
            sizes = summed(sizes or [1] * len(into), into)
            labels = sorted(set(into), key=into.index)
            groups = [set().union(*(groups[i] for i, to in enumerate(into) if to == label)) for label in labels]
            values = block.attn.qkv(block.norm1(x)).reshape(len(x), 3, HEADS, -1).permute(1, 2, 0, 3)[2]
        x = added(block, x, weights, values)
        x = x + block.mlp(block.norm2(x))
    return groups, vit.forward_head(vit.norm(x[None]))[0]


def start(model: ma.Model, inputs: ma.Inputs) -> torch.Tensor:
    vit, pictures = model.module, inputs.tensors["x"]
    return vit.norm_pre(vit._pos_embed(vit.patch_embed(pictures)))[0]


def groups_of(plan: TokenPlan) -> list[set[int]]:
    last = plan.sources[-1]
    return [set(np.flatnonzero(last == token).tolist()) for token in range(last.max() + 1)]


def made(method, model, inputs, **options) -> TokenPlan:
    def look(edits):
        return ma.capture(model, inputs, edits=edits, want=WANT)

    return method(look(()), look=look, **options)


@pytest.mark.parametrize("proportional", [True, False])
@pytest.mark.parametrize("r", [8, 13])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_tome_merges_and_answers_as_its_release_but_for_the_order(seed, r, proportional):
    model, inputs = vit(seed), picture(seed)
    plan = made(tome, model, inputs, merged=r, proportional=proportional)
    groups, logits = tome_slowly(model, start(model, inputs), r, proportional)
    assert groups_of(plan) == groups
    torch.testing.assert_close(ma.run(model, inputs, plan.edits)[0], logits, atol=1e-5, rtol=0)
    twice = ma.run(model, picture(seed, 2), plan.edits)
    torch.testing.assert_close(twice, logits.expand(2, -1), atol=1e-5, rtol=0)


def test_a_merged_token_weighs_as_much_as_what_is_in_it_by_default():
    model, inputs = vit(0), picture(0)
    plans = [made(tome, model, inputs, layers=(0,), merged=20, **more) for more in ({}, {"proportional": False})]
    assert groups_of(plans[0]) == groups_of(plans[1])
    first, second = (ma.run(model, inputs, plan.edits)[0] for plan in plans)
    assert float((first - second).abs().max()) > 1e-2
    assert all(isinstance(edit, MergeTokens) for edit in plans[1].edits) and len(plans[0].edits) == 1 + DEPTH - 1
    assert "proportional" in plans[1].left_out and "proportional" not in plans[0].left_out


@pytest.mark.parametrize("r", [7, 16])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_mctf_looks_a_step_ahead_as_its_release_but_for_the_order(seed, r):
    model, inputs = vit(seed), picture(seed)
    plan = made(mctf, model, inputs, layers=(1, 2, 3), merged=r)
    groups, logits = mctf_slowly(model, start(model, inputs), r, first=1)
    assert groups_of(plan) == groups and list(plan.counts) == [65, 65 - r, 65 - 2 * r, 65 - 3 * r]
    torch.testing.assert_close(ma.run(model, inputs, plan.edits)[0], logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(ma.run(model, picture(seed, 2), plan.edits), logits.expand(2, -1), atol=1e-5, rtol=0)
    assert all(step.entry and step.attention.shape == (HEADS, n, n) for step, n in zip(plan.steps, plan.counts[1:], strict=True))
