"""A cache that forgets: what stays, what merges where, and that forgotten is hidden."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import analysis.visual_tokens as vt
import model_adapters as ma
from model_adapters.shrunk_cache import generate_from_less, shrunk
from tests.visual_tokens.small import LVLMS, asked, depth_of, image_of, rows_of, seen

MODELS = ("bundled:lvlm", *LVLMS)
LONGEST = 5


def logits(generation: ma.Generation) -> np.ndarray:
    return np.stack([token.logits for token in generation.tokens])


@pytest.mark.parametrize("name", MODELS)
def test_what_stays_is_the_last_tokens_and_the_most_attended_words_first(name):
    rows, image = rows_of(name), set(image_of(name).tolist())
    length = len(rows)
    plan = vt.in_cache.look_m(seen(name), recent=0.1, heavy=0.3)
    last = set(range(length - max(1, round(0.1 * length)), length))
    sites = [s for s in seen(name).sites if s.tower == "decoder" and seen(name).layouts[s].square]
    for site, kept in zip(sites, plan.kept, strict=True):
        weights = seen(name).weights[site].astype(float)
        received = [np.mean([sum(head[q, j] for q in range(length)) for head in weights]) for j in range(length)]
        others = sorted((j for j in range(length) if j not in last), key=lambda j: (j in image, -received[j], j))
        assert set(kept.tolist()) == last | set(others[: round(0.3 * length)])
    assert plan.share == pytest.approx(len(plan.kept[0]) / length) and (plan.counts <= len(image)).all()


@pytest.mark.parametrize("name", MODELS)
def test_forgotten_is_hidden(name):
    model, inputs = asked(name)
    plan = vt.in_cache.look_m(seen(name), first="least attended")
    short = generate_from_less(model, inputs, plan.kept, merge="dropped", max_new_tokens=LONGEST)
    masked = ma.generate(model, inputs, max_new_tokens=LONGEST, edits=vt.forgetting(plan))
    plain = ma.generate(model, inputs, max_new_tokens=LONGEST)
    assert [t.id for t in short.generation.tokens] == [t.id for t in masked.tokens]
    np.testing.assert_allclose(logits(short.generation), logits(masked), atol=2e-4)
    np.testing.assert_allclose(short.generation.tokens[0].logits, plain.tokens[0].logits, atol=1e-4)
    if len(plain.tokens) > 1:
        assert np.abs(masked.tokens[1].logits - plain.tokens[1].logits).max() > 1e-4
    assert short.cache_bytes / short.whole_bytes == pytest.approx(plan.share)


@pytest.mark.parametrize("name", MODELS)
def test_a_cache_that_keeps_everything_changes_nothing(name):
    model, inputs = asked(name)
    everything = [np.arange(len(rows_of(name)))] * depth_of(name)
    said = generate_from_less(model, inputs, everything, max_new_tokens=LONGEST)
    np.testing.assert_allclose(logits(said.generation), logits(ma.generate(model, inputs, max_new_tokens=LONGEST)), atol=1e-4)
    assert said.cache_bytes == said.whole_bytes > 0
    assert vt.forgetting(vt.in_cache.look_m(seen(name), recent=1, heavy=1)) == ()


@pytest.mark.parametrize("merge", ["pivotal", "averaged"])
def test_merging_by_hand(merge):
    draw = torch.Generator().manual_seed(0)
    keys, values = (torch.randn(2, 3, 11, 4, generator=draw) for _ in range(2))
    kept = [1, 4, 5, 10]
    own, other = shrunk(keys, values, torch.tensor(kept), merge)
    for item in range(2):
        for head in range(3):
            gathered = {k: ([keys[item, head, k]], [values[item, head, k]]) for k in kept}
            for p in sorted(set(range(11)) - set(kept)):
                cosines = [float(torch.cosine_similarity(keys[item, head, p], keys[item, head, k], 0)) for k in kept]
                near = kept[int(np.argmax(cosines))]
                for side, source in enumerate((keys, values)):
                    away = source[item, head, p]
                    gathered[near][side].append((away + source[item, head, near]) / 2 if merge == "pivotal" else away)
            for place, k in enumerate(kept):
                torch.testing.assert_close(own[item, head, place], torch.stack(gathered[k][0]).mean(0))
                torch.testing.assert_close(other[item, head, place], torch.stack(gathered[k][1]).mean(0))


def test_a_twin_of_a_kept_key_leaves_it_as_it_is():
    keys = torch.eye(4)[None, None]
    twin = torch.cat([keys, keys[:, :, 1:2]], 2)
    found, _ = shrunk(twin, twin, torch.arange(4), "pivotal")
    torch.testing.assert_close(found, keys)


def test_bad_plans_and_models_are_refused():
    model, inputs = asked("llava")
    with pytest.raises(ValueError, match="same number of tokens"):
        generate_from_less(model, inputs, [np.arange(3), np.arange(4)])
    with pytest.raises(ValueError, match="each of 2 layers"):
        generate_from_less(model, inputs, [np.arange(3)])
    with pytest.raises(ValueError, match="merge must be one of"):
        generate_from_less(model, inputs, [np.arange(3)] * 2, merge="halved")  # type: ignore[arg-type]
    with pytest.raises(ma.AdapterError, match="token 9999 was to be kept"):
        generate_from_less(model, inputs, [np.array([0, 9999])] * 2)
    with pytest.raises(ValueError, match="some of the prompt must stay"):
        vt.in_cache.look_m(seen("llava"), recent=0, heavy=0)
