"""Tokens dropped at the entry of a decoder's block are tokens that nobody can see: same logits, shorter caches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import model_adapters as ma
from model_adapters import Where
from model_adapters.edits import Block, DropTokens, Edit, MergeTokens
from tests.core.comparing import wrapped_timm
from tests.visual_tokens.small import LVLMS, asked, depth_of, image_of, rows_of, seen

NEW = 3


def numbers(index: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in index)


def dropped(layer: int, gone: np.ndarray) -> Edit:
    return DropTokens(Where(tower="decoder", layers=(layer,), queries=numbers(gone), phase="prompt"), entry=True)


def masked(layer: int, depth: int, gone: np.ndarray, count: int) -> tuple[Edit, ...]:
    """Nobody who stays looks at what goes; what goes may look on, for nobody reads it."""
    layers, stay = tuple(range(layer, depth)), np.setdiff1d(np.arange(count), gone)
    here = {"tower": "decoder", "layers": layers, "keys": numbers(gone)}
    return Block(Where(**here, queries=numbers(stay), phase="prompt")), Block(Where(**here, phase="new"))


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("name", LVLMS)
def test_dropped_is_masked_in_one_pass(name, layer):
    model, inputs = asked(name)
    gone, count = image_of(name)[::2], len(rows_of(name))
    stay = np.setdiff1d(np.arange(count), gone)
    full, hidden = ma.run(model, inputs)[0], ma.run(model, inputs, masked(layer, depth_of(name), gone, count))[0]
    real = ma.run(model, inputs, dropped(layer, gone))[0]
    assert len(real) == len(stay) == count - len(gone)
    torch.testing.assert_close(real, hidden[stay], atol=1e-5, rtol=1e-4)
    assert float((full[stay] - real).abs().max()) > 1e-3


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "paligemma"])
def test_an_answer_is_written_with_shorter_caches(name, implementation):
    model, inputs = asked(name)
    model.module.set_attn_implementation(implementation)
    gone, count = image_of(name)[1::3], len(rows_of(name))
    try:
        real = ma.generate(model, inputs, edits=dropped(1, gone), max_new_tokens=NEW)
        slow = ma.generate(model, inputs, edits=masked(1, depth_of(name), gone, count), max_new_tokens=NEW)
    finally:
        model.module.set_attn_implementation("sdpa")
    for step, (one, other) in enumerate(zip(real.tokens, slow.tokens, strict=True)):
        assert one.id == other.id
        np.testing.assert_allclose(one.logits, other.logits, atol=1e-5)
        lengths = [row.shape[1] for row in one.weights.values()]
        assert lengths == [count + step, count + step - len(gone)]


def test_two_drops_number_what_is_left():
    model, inputs = asked("llava")
    image, count = image_of("llava"), len(rows_of("llava"))
    first, then = image[:10], image[20:25]
    both = ma.run(model, inputs, (dropped(0, first), dropped(1, then - 10)))[0]
    masks = (*masked(0, 2, first, count), *masked(1, 2, np.concatenate([first, then]), count))
    stay = np.setdiff1d(np.arange(count), np.concatenate([first, then]))
    torch.testing.assert_close(both, ma.run(model, inputs, masks)[0][stay], atol=1e-5, rtol=1e-4)


def test_merged_tokens_are_weighted_means_at_a_place_of_their_own():
    model, inputs = asked("llava")
    image, count = image_of("llava"), len(rows_of("llava"))
    groups = np.arange(count)
    groups[image[4]] = groups[image[3]]
    groups[image[5] :] -= 1
    groups[image[5]] = groups[image[3]]
    groups[image[6] :] -= 1
    weights, places = np.ones(count), [i for i in range(count) if i not in (image[3], image[5])]
    weights[image[3:6]] = 1, 2, 5
    where = Where(tower="decoder", layers=(0,), phase="prompt")
    edit = MergeTokens(where, numbers(groups), tuple(weights), tuple(places), entry=True)
    before = seen("llava").hidden["decoder", 0]
    met = ma.capture(model, inputs, edits=edit, want={"hidden"}).hidden["decoder", 0]
    mean = (before[image[3]] + 2 * before[image[4]] + 5 * before[image[5]]) / 8
    np.testing.assert_allclose(met, np.concatenate([before[: image[3]], mean[None], before[image[6] :]]), atol=1e-6)
    # A group whose shares fall on one token is that token, at its own place: the others are dropped.
    weights[image[3:6]] = 1e-12, 1, 1e-12
    alone = MergeTokens(where, numbers(groups), tuple(weights), tuple(places), entry=True)
    torch.testing.assert_close(
        ma.run(model, inputs, alone), ma.run(model, inputs, dropped(0, image[[3, 5]])), atol=1e-5, rtol=1e-4
    )


def test_places_are_members_of_their_groups():
    with pytest.raises(ValueError, match="places must name one token of each group"):
        MergeTokens(groups=(0, 0, 1), places=(1, 0))


def test_a_grid_cannot_lose_tokens_at_its_entry():

    model, inputs = wrapped_timm("swin_tiny_patch4_window7_224")
    with pytest.raises(ma.AdapterError, match="where they form a sequence"):
        ma.run(model, inputs, DropTokens(Where(layers=(0,), queries=(1,)), entry=True))


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_roles_mean_the_tokens_that_are_left(name):
    """Words that may not look at what is left of the image: by role and by number, in the prompt and while writing."""
    model, inputs = asked(name)
    image, rows = image_of(name), rows_of(name)
    stay = np.setdiff1d(np.arange(len(rows)), image[::2])
    drop = dropped(0, image[::2])
    left = numbers(np.flatnonzero(np.isin(stay, image)))
    words = numbers(np.flatnonzero(np.isin(stay, rows.where("question"))))
    by_role = Block(Where(tower="decoder", queries=("question", "answer"), keys="image"))
    by_number = (
        Block(Where(tower="decoder", queries=words, keys=left, phase="prompt")),
        Block(Where(tower="decoder", keys=left, phase="new")),
    )
    torch.testing.assert_close(ma.run(model, inputs, (drop, by_role)), ma.run(model, inputs, (drop, *by_number)))
    assert float((ma.run(model, inputs, (drop, by_role)) - ma.run(model, inputs, drop)).abs().max()) > 1e-3
    one, other = (ma.generate(model, inputs, edits=(drop, *e), max_new_tokens=NEW) for e in ((by_role,), by_number))
    for a, b in zip(one.tokens, other.tokens, strict=True):
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-5)
    site = next(s for s in seen(name).sites if s.tower == "decoder")
    kept = ma.capture(model, inputs, edits=drop, keep=ma.Keep(sites=(site.name,), queries="question"))
    assert kept.rows[site].tolist() == list(words)


def test_the_roles_of_keys_follow_what_was_dropped():
    model, inputs = asked("llava")
    gone = image_of("llava")[1::3]
    edits = dropped(1, gone)
    found = ma.generate(model, inputs, edits=edits, max_new_tokens=NEW)
    whole, stay = found.roles, np.setdiff1d(np.arange(len(found.roles)), gone)
    assert {site.layer: len(places) for site, places in found.left.items()} == {1: len(stay)}
    for step, token in enumerate(found.tokens):
        for site, row in token.weights.items():
            prompt = whole if site.layer == 0 else tuple(whole[place] for place in stay)
            assert found.keys(step, row.shape[1], site) == (*prompt, *["answer"] * step)
            assert found.keys(step, row.shape[1]) == (*prompt, *["answer"] * step)
    assert found.keys(1, len(stay) + 1).count("image") == whole.count("image") - len(gone)


def test_sites_that_dropped_different_tokens_must_be_named():
    model, inputs = asked("llava")
    found = ma.generate(model, inputs, max_new_tokens=2)
    one, other = found.sites[:2]
    drops = {one: np.arange(1, len(found.roles)), other: np.arange(len(found.roles) - 1)}
    unlike = replace(found, left=drops)
    count = len(found.roles) - 1
    assert unlike.keys(0, count, one) == found.roles[1:] and unlike.keys(0, count, other) == found.roles[:-1]
    with pytest.raises(ValueError, match="say which by `site`"):
        unlike.keys(0, count)
