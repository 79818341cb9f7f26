"""Plans keep their budget, do nothing where it is full, and mean the same dropped and masked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import analysis.visual_tokens as vt
import model_adapters as ma
from analysis.registry import find, methods
from analysis.visual_tokens.choosing import falling, shared_out, shifted_cosine
from analysis.words import answer_runner
from model_adapters.edits import Block, ScalePairs
from model_adapters.running_cost import answering_cost
from tests.visual_tokens.small import LVLMS, asked, depth_of, image_of, rows_of, seen

UNBUDGETED = {"visual_window", "visual_heads", "visual_exit", "look_m", "ranking_similarity", "search_budgets"}
PRUNERS = tuple(m.name for m in methods("visual tokens") if m.name not in UNBUDGETED)
AT_MOST = {"pooled_visual", "instance_threshold", "repetitiveness"}
MERGING = {"sparse_vlm", "must_drop", "pooled_visual", "tome_visual", "aim"}
MODELS = ("bundled:lvlm", *LVLMS)
CLASS_SCORES = {"faster_vlm", "vtc_cls", "hired", "global_com", "must_drop", "repetitiveness"}
REFUSED = {
    "qwen2_5_vl": dict.fromkeys(CLASS_SCORES, "a class token in the vision tower is needed"),
    "paligemma": dict.fromkeys(CLASS_SCORES, "a class token in the vision tower is needed"),
    "instructblip": dict.fromkeys(
        CLASS_SCORES | {"uniform_visual", "pooled_visual", "instance_threshold"}, "tokens with places on the image are needed"
    ),
    "llava_next": {"pooled_visual": "cut into 5 tiles"},
    "internvl": {"pooled_visual": "cut into 7 tiles"},
}


def made(method: str, name: str, keep: int) -> vt.VisualPlan:
    shallow = method == "fastv" and depth_of(name) == 2
    return find(method).function(seen(name), keep=keep, **({"layer": 1} if shallow else {}))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("method", PRUNERS)
def test_a_pruner_keeps_its_budget_or_says_why_it_cannot(method, name):
    keep = len(image_of(name)) // 3
    reason = REFUSED.get(name, {}).get(method)
    if reason:
        with pytest.raises(ValueError, match=reason):
            made(method, name, keep)
        return
    plan = made(method, name, keep)
    assert 0 < plan.kept <= keep if method in AT_MOST else plan.kept == keep
    assert list(plan.counts) == sorted(plan.counts, reverse=True)
    model, inputs = asked(name)
    real = ma.run(model, inputs, vt.dropping(plan))[0]
    back = 0 if plan.rounds is None else plan.rounds[-1].sum()
    assert len(real) == len(rows_of(name)) - len(plan) + plan.kept + back
    if back:
        assert method == "progressive"
        with pytest.raises(ValueError, match="sends tokens round layers, which no mask can do"):
            vt.masking(plan)
    elif not plan.merges:
        masked = ma.run(model, inputs, vt.masking(plan))[0]
        torch.testing.assert_close(real[-1], masked[-1], atol=2e-5, rtol=1e-4)
        assert float((masked[-1] - ma.run(model, inputs)[0, -1]).abs().max()) > 1e-4
    else:
        assert method in MERGING


@pytest.mark.parametrize("method", PRUNERS)
def test_a_full_budget_is_nothing_at_all(method):
    more = {"instance_threshold": {"mass": 1.0}, "repetitiveness": {"crowd": 1.0}}.get(method, {})
    plan = find(method).function(seen("bundled:lvlm"), keep=144, **more)
    assert plan.steps == () and vt.dropping(plan) == () and plan.mean_kept == 144


def test_mean_tokens_and_survivors_are_counted():
    plan = made("fastv", "bundled:lvlm", 24)
    assert list(plan.counts) == [144, 144, 24, 24, 24, 24] and plan.mean_kept == pytest.approx((2 * 144 + 4 * 24) / 6)
    shown = plan.survivors
    assert sorted(set(shown.values.tolist())) == [2 / 6, 1.0] and (shown.values == 1).sum() == 24
    assert shown.rows.placed.all() and shown.size == (96, 96)


def test_a_class_token_made_to_look_at_a_place_keeps_it():
    """Planted truth: the vision tower's class token is made to see one quarter of the picture only."""
    model, inputs = asked("llava")
    site = next(s for s in seen("llava").sites if s.tower == "vision")
    keys = seen("llava").layouts[site].keys
    middle = (keys.boxes[:, :2] + keys.boxes[:, 2:]) / 2
    corner = np.flatnonzero((keys.roles == "patch") & (middle < np.array([160, 100])).all(1))
    others = np.setdiff1d(keys.where("patch"), corner)
    blind = Block(ma.Where(tower="vision", queries=(0,), keys=tuple(int(k) for k in others)))
    looked = ma.capture(model, inputs, edits=blind)
    kept = vt.before_decoder.faster_vlm(looked, keep=len(corner)).survivors
    boxes = kept.rows.boxes[kept.values == 1]
    assert ((boxes[:, :2] + boxes[:, 2:]) / 2 < np.array([160, 100])).all() and len(boxes) == len(corner) == 16


def test_even_windows_merge_likest_first_and_no_more_than_may_go():
    """Planted truth: three windows of equal features in a field of different ones."""
    from analysis.visual_tokens.thresholds import even_windows, windows_of

    class Planted:
        image = np.arange(81)
        tile = np.zeros(81, int)
        places = np.array([[x, y, x + 1, y + 1] for y in range(9) for x in range(9)], float)
        features = np.eye(81)

    windows = windows_of(Planted)
    assert all((windows == n).sum() == 9 for n in range(9))
    first = [int(windows[0]), int(windows[40]), int(windows[80])]
    for number in first:
        Planted.features[windows == number] = Planted.features[np.flatnonzero(windows == number)[0]]
    none = np.zeros(81, bool)
    into = even_windows(Planted, 0.8, 100, none)
    assert len(set(into.tolist())) == 81 - 24
    assert all(len(set(into[windows == n].tolist())) == 1 for n in first)
    assert len(set(even_windows(Planted, 0.8, 17, none).tolist())) == 81 - 16
    held = none.copy()
    held[0] = True
    assert even_windows(Planted, 0.8, 100, held)[0] == 0 and (even_windows(Planted, 0.8, 100, held) == 0).sum() == 1


def test_pooled_tokens_are_means_of_cells():
    model, inputs = asked("llava")
    plan = made("pooled_visual", "llava", 16)
    assert plan.kept == 16
    before, image = seen("llava").hidden["decoder", 0], image_of("llava")
    cells = before[image].reshape(4, 2, 4, 2, -1).mean((1, 3)).reshape(16, -1)
    met = ma.capture(model, inputs, edits=vt.dropping(plan), want={"hidden"}).hidden["decoder", 0]
    np.testing.assert_allclose(met[image[0] : image[0] + 16], cells, atol=1e-6)


def test_a_window_is_a_mask_between_visual_tokens():
    model, inputs = asked("llava")
    (edit,) = vt.dropping(vt.neighbours.visual_window(seen("llava"), window=3))
    assert isinstance(edit, ScalePairs)
    seen_under = ma.capture(model, inputs, edits=edit)
    image = image_of("llava")
    weights = seen_under.weights[next(s for s in seen_under.sites if s.tower == "decoder")]
    for i in range(64):
        for j in range(i + 1):
            near = abs(i // 8 - j // 8) <= 1 and abs(i % 8 - j % 8) <= 1
            assert (weights[:, image[i], image[j]] > 0).all() == near
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    assert vt.dropping(vt.neighbours.visual_window(seen("llava"), window=15)) == ()


def test_merges_cannot_be_masked():
    with pytest.raises(ValueError, match="pooled_visual merges tokens, which no mask can do"):
        vt.masking(made("pooled_visual", "llava", 16))


def test_every_method_is_in_the_table_of_its_family():
    here = [m.name for m in vt.FAMILY if m.here]
    assert sorted(here) == sorted(m.name for m in methods("visual tokens"))
    for member in vt.FAMILY:
        if member.here and member.rows == "class token":
            assert "class_token" in find(member.name).needs
        if member.here:
            assert member.reads_text == ("text" in find(member.name).needs), member.name


def test_a_model_without_visual_tokens_in_its_decoder_is_refused():
    assert vt.why_no_plan(seen("llava")) is None
    assert "read the image by cross-attention" in (vt.why_no_plan(seen("mllama")) or "")
    model, _ = asked("llava")
    assert "no image was given" in (vt.why_no_plan(ma.capture(model, model.prepare(text="Is there a red ball?"))) or "")


def test_layers_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="decoder layers 0 to 1. Got layer 2"):
        vt.plain.random_visual(seen("llava"), keep=3, layer=2)
    with pytest.raises(ValueError, match="decoder layers 0 to 1. Got layer 2"):
        vt.in_decoder.fastv(seen("llava"), keep=3)
    with pytest.raises(ValueError, match="from layer 1 to 1. Got layer 0"):
        vt.in_decoder.fastv(seen("llava"), keep=3, layer=0)


def test_budgets_are_shared_out_exactly():
    rng = np.random.default_rng(1)
    for _ in range(200):
        room = rng.integers(0, 9, 5)
        total = int(rng.integers(0, room.sum() + 3))
        given = shared_out(rng.random(5) * (rng.random(5) > 0.3), room, total)
        assert given.sum() == min(total, room.sum()) and (given <= room).all() and (given >= 0).all()
    assert shared_out(np.array([3, 1]), np.array([9, 9]), 8).tolist() == [6, 2]
    assert shared_out(np.array([3, 1]), np.array([4, 9]), 8).tolist() == [4, 4]


def test_schedules_end_at_the_budget():
    assert falling(100, 25, 2) == (50, 25) and falling(10, 25, 3) == (10, 10, 10)
    assert shifted_cosine(100, 20, 2, 0.0) == (60, 20) and shifted_cosine(100, 20, 2, 0.25) == (80, 20)


def test_a_plan_is_measured_against_the_full_model():
    model, inputs = asked("bundled:lvlm")

    def answer(edits):
        return ma.generate(model, inputs, edits=edits, max_new_tokens=3)

    plans = [made("fastv", "bundled:lvlm", 144), made("fastv", "bundled:lvlm", 12), made("random_visual", "bundled:lvlm", 1)]
    full, half, one = vt.measure(plans, answer, lambda edits: answering_cost(model, inputs, edits, repeats=1))
    assert (full.agreement, full.drift, full.flops_share) == (1, 0, 1)
    # Keys and values of 6 layers, 4 bytes each: what a token costs is what the whole cache tells.
    each = full.cache_bytes / 6 / (len(rows_of("bundled:lvlm")))
    assert half.cache_bytes == each * (2 * 155 + 4 * 23) and one.cache_bytes == each * 6 * 12
    assert one.flops < half.flops < full.flops and one.drift > 0 and one.prefill_seconds > 0 and one.token_seconds > 0
    both = vt.summary([full, half]) if full.method == half.method else None
    assert both is not None and both.prompts == 2 and both.kept == (144 + 12) / 2
    with pytest.raises(ValueError, match="figures of one method"):
        vt.summary([full, one])


@pytest.mark.parametrize("name", LVLMS)
def test_caches_of_every_family_shrink(name):
    model, inputs = asked(name)
    count, left = len(rows_of(name)), len(image_of(name)) // 4
    gone = len(image_of(name)) - left
    full, less = (
        answering_cost(model, inputs, vt.dropping(made("fastv", name, k)), repeats=0).cache_bytes for k in (10**6, left)
    )
    # The first of two layers keeps all rows, the second loses them.
    assert less / full == (2 * count - gone) / (2 * count)


def test_flops_of_a_plan_are_those_of_a_shorter_prompt():
    """Without visual tokens the decoder's layers do what they do on so many tokens of text."""
    model, inputs = asked("llava")
    decoder, width = model.module.config.text_config, 64
    rows, image = len(rows_of("llava")), 64
    counts = [answering_cost(model, inputs, vt.dropping(made("random_visual", "llava", k)), repeats=0).flops for k in (64, 32)]
    head = decoder.head_dim if getattr(decoder, "head_dim", None) else width // decoder.num_attention_heads
    inner, kv = decoder.num_attention_heads * head, decoder.num_key_value_heads * head

    def layer(n: int) -> int:
        linear = 2 * n * width * (2 * inner + 2 * kv + 3 * decoder.intermediate_size)
        return linear + 2 * 2 * n * n * inner

    logits = 2 * 32 * width * decoder.vocab_size
    expected = depth_of("llava") * (layer(rows) - layer(rows - image + 32)) + logits
    assert counts[0] - counts[1] == expected


def test_the_loss_of_an_answer_is_what_its_tokens_were_chosen_from():
    model, inputs = asked("bundled:lvlm")
    said = ma.generate(model, inputs, max_new_tokens=4)
    ids = [token.id for token in said.tokens]
    scores = answer_runner(ma.run, model, ma.continued(model, inputs, ids), len(ids))
    loss = vt.answer_loss(scores)
    assert loss(find("random_visual").function(seen("bundled:lvlm"), keep=144)) == 0
    plan = find("random_visual").function(seen("bundled:lvlm"), keep=10)
    before = torch.tensor(np.stack([token.logits for token in said.tokens])).double().log_softmax(-1)
    under = ma.generate(model, inputs, max_new_tokens=1, edits=vt.dropping(plan))
    first = torch.tensor(under.tokens[0].logits).double().log_softmax(-1)
    slow = float((before[0].exp() * (before[0] - first)).sum())
    found = scores(vt.dropping(plan))
    after = torch.tensor(found).double().log_softmax(-1)
    assert float((before[0].exp() * (before[0] - after[0])).sum()) == pytest.approx(slow, abs=1e-4)
    assert loss(plan) == pytest.approx(float((before.exp() * (before - after)).sum(-1).mean()), abs=1e-4)
    searched = vt.search_budgets(seen("bundled:lvlm"), loss, allowed=0.05, precision=8)
    assert loss(searched.plan) <= 0.05 and searched.plan.mean_kept < 144
    assert list(searched.plan.counts) == sorted(searched.plan.counts, reverse=True)


def test_the_search_finds_a_planted_need():
    """A loss that allows 30 tokens in the first searched layer and 12 behind is met from above and no further."""
    told = []

    def loss(plan: vt.VisualPlan) -> float:
        need = [0, 30, 12, 12, 12, 5]
        return float(sum(max(0, n - c) for n, c in zip(need, plan.counts, strict=True)))

    found = vt.search_budgets(seen("bundled:lvlm"), loss, allowed=0.0, progress=told.append)
    assert list(found.plan.counts) == [144, 30, 12, 12, 12, 5] and found.finished and found.loss == 0
    assert told == [n / 5 for n in range(1, 6)] and all(count < 144 for _, count, _ in found.tried)
    asked_already = iter([False] * 9 + [True] * 99)
    stopped = vt.search_budgets(seen("bundled:lvlm"), loss, allowed=0.0, cancelled=lambda: next(asked_already))
    assert not stopped.finished and len(stopped.tried) == 9 and loss(stopped.plan) == 0
    with pytest.raises(ValueError, match="with all visual tokens it is 1 already"):
        vt.search_budgets(seen("bundled:lvlm"), lambda plan: 1.0, allowed=0.5)
