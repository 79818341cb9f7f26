"""What the page Fewer tokens computes: survivors at every budget, answers with what is left, costs, curves."""

from __future__ import annotations

import base64

import numpy as np
import pytest
import torch

import analysis
import model_adapters as ma
from analysis.evaluation import read_coco
from analysis.evaluation.yes_no import parse_official
from analysis.visual_tokens import dropping
from tests.zoo import hf
from tests.zoo.shake import scene
from ui.fewer_survivors import _bits, _packed, panels_of
from ui.jobs import Progress
from ui.pictures import picture
from ui.results import fewer, fewer_curves, fix_snippet
from ui.results.fewer import Pruner
from ui.results.fix_snippet import Asking
from world.coco import export_coco
from world.datasets import TEST_UNBIASED

TEXT = "describe the picture."


@pytest.fixture(scope="module")
def model():
    return ma.load("bundled:lvlm")


@pytest.fixture(scope="module")
def inputs(model):
    return model.prepare(image=picture("scene:3").array, text=TEXT)


@pytest.fixture(scope="module")
def capture(model, inputs):
    return fewer.seen(model, inputs)


@pytest.fixture(scope="module")
def full(model, inputs):
    return ma.generate(model, inputs, max_new_tokens=24)


def other(name, image=None):
    module, processor = hf.build(name)
    model = ma.wrap(module, processor, name=name, kind="lvlm", verify=False)
    return model, model.prepare(image=scene() if image is None else image, text="Is there a red ball?")


SOME = (
    "fastv", "sparse_vlm", "must_drop", "uniform_visual", "visual_window", "aim", "tome_visual", "visual_exit", "visual_heads",
)  # fmt: skip


@pytest.mark.parametrize("name", SOME)
def test_every_budget_is_the_plan_of_that_budget(capture, name):
    pruner = Pruner(name)
    found = fewer.survival(capture, pruner)
    assert found.amounts == tuple(sorted(set(found.amounts))) and found.depth == 6
    for place in (0, len(found.amounts) // 2, len(found.amounts) - 1):
        plan = analysis.find(name).function(capture, **{pruner.knob: found.amounts[place]})
        assert found.counts[place].tolist() == plan.counts.tolist()
        alive = np.arange(6)[:, None] < found.own[place]
        assert np.array_equal(alive, plan.alive) and np.array_equal(np.arange(6)[:, None] < found.lasts[place], plan.into >= 0)
    if pruner.knob == "keep":
        assert {1, 18, 36, 72, 108, 144} <= set(found.amounts) and found.counts[-1].tolist() == [144] * 6
        assert found.nearest(37) == 36


def test_what_is_sent_to_the_browser_is_the_numbers(capture):
    found = fewer.survival(capture, Pruner("progressive"))
    sent = np.frombuffer(base64.b64decode(_packed(found.own)), np.uint8).reshape(found.own.shape)
    assert np.array_equal(sent, found.own)
    bits = np.unpackbits(np.frombuffer(base64.b64decode(_bits(found.reads)), np.uint8))[: found.reads.size]
    assert np.array_equal(bits.reshape(found.reads.shape), found.reads)
    back = ~found.reads[:, :-1] & found.reads[:, 1:]
    assert back.any(), "tokens come back, so how many layers read one does not say which"
    assert np.array_equal(found.reads.sum(1), found.own) and fewer.survival(capture, Pruner("fastv")).reads is None


def test_with_all_tokens_nothing_changes(model, inputs, capture, full):
    said = fewer.reduced(model, inputs, Pruner("fastv").plan(capture, 144), full, 24, ma.Greedy())
    assert said.agrees and said.same == len(full.tokens) and said.kl == pytest.approx(0, abs=1e-6)
    assert said.sequence == (153, 153) and said.masked_differs == pytest.approx(0, abs=1e-4)


def test_dropped_tokens_are_gone_and_hiding_them_says_the_same(model, inputs, capture, full):
    plan = Pruner("uniform_visual").plan(capture, 18)
    said = fewer.reduced(model, inputs, plan, full, 24, ma.Greedy())
    assert said.sequence == (27, 27) and said.masked_differs < 1e-4 and not said.agrees and said.kl > 0
    parts = next(n for n, (a, b) in enumerate(zip(said.generation.tokens, full.tokens, strict=False)) if a.id != b.id)
    assert said.same == parts
    costs = fewer.costs_of(model, inputs, plan)
    assert costs.share("cache_bytes") == pytest.approx(27 / 153) and costs.share("flops") < 0.7
    merged = fewer.reduced(model, inputs, Pruner("pooled_visual").plan(capture, 36), full, 8, ma.Greedy())
    assert merged.masked_differs is None and merged.sequence == (45, 45)


def test_the_divergence_is_that_of_torch_up_to_where_the_answers_part(model, inputs, capture, full):
    said = fewer.reduced(model, inputs, Pruner("random_visual").plan(capture, 9), full, 24, ma.Greedy())
    steps = min(said.same + 1, len(full.tokens), len(said.generation.tokens))
    before, after = (
        torch.tensor(np.stack([t.logits for t in tokens[:steps]])).double().log_softmax(-1)
        for tokens in (full.tokens, said.generation.tokens)
    )
    slow = torch.nn.functional.kl_div(after, before, log_target=True, reduction="batchmean")
    assert said.kl == pytest.approx(float(slow), rel=1e-5)


def test_curves_are_the_answers_of_every_plan(model):
    asked = fewer_curves.prompts_of("pope", "", "scene", 2)
    assert [len(prompts) for prompts in asked] == [2, 2] and {p.right for p in asked[0]} == {True, False}
    pruners = [Pruner("fastv"), Pruner("random_visual")]
    found = fewer_curves.curves(model, pruners, asked, 3, Progress())
    assert found.agreement.shape == (2, 5, 2) and "greedy" in found.said and "3 new tokens" in found.said
    share, agreed, right = 0.125, [], []
    for prompt in asked[1]:
        given = model.prepare(image=picture(prompt.picture).array, text=prompt.text)
        plan = Pruner("fastv").plan(fewer.seen(model, given), round(share * 144))
        one = ma.generate(model, given, max_new_tokens=3, edits=dropping(plan))
        agreed.append([t.id for t in one.tokens] == [t.id for t in ma.generate(model, given, max_new_tokens=3).tokens])
        right.append(one.text.startswith("yes") == prompt.right)
    place = 0, found.shares.index(share), 1
    assert (found.agreement[place], found.accuracy[place]) == (np.mean(agreed), np.mean(right))
    assert found.read[1].tolist() == pytest.approx([round(s * 144) / 144 for s in found.shares])
    assert (np.diff(found.flops, axis=1) < 0).all() and (found.flops < 1).all()
    mean, low, high = found.over_pictures("kl")
    assert (low <= mean).all() and (mean <= high).all() and mean == pytest.approx(found.kl.mean(-1))
    unknown = fewer_curves.curves(model, pruners[:1], [[fewer_curves.Prompt("scene:200", TEXT)]], 4, Progress())
    assert np.isnan(unknown.accuracy).all() and np.isfinite(unknown.kl).all()


def test_curves_of_annotated_images_ask_what_their_annotations_know(model, tmp_path):
    export_coco((TEST_UNBIASED[n] for n in range(260, 264)), tmp_path)
    over = ("coco", 4, str(tmp_path / "annotations.json"), "")
    asked = fewer_curves.prompts_of("pope", TEXT, *over)
    there = {f"{image.name}": image.things for image in read_coco(tmp_path / "annotations.json").images}
    assert len(asked) == 4
    for prompts in asked:
        for prompt in prompts:
            assert prompt.right == any(f" {thing} " in f"{prompt.text} ".replace("?", " ") for thing in there[prompt.picture])
    scope: dict = {}
    asking = Asking("bundled:lvlm", "pretrained", ("scene:12",), TEXT, 32, ma.Greedy())
    exec(fix_snippet.curves_snippet(asking, [Pruner("fastv")], "pope", over, 4), scope)
    found = scope["shown"]
    assert found.accuracy.shape == (1, 5, 4) and found.full_accuracy == np.mean(
        [
            parse_official(ma.generate(model, model.prepare(image=p.file, text=p.text), max_new_tokens=4).text) == p.right
            for prompts in asked for p in prompts
        ]
    )  # fmt: skip
    same = fewer_curves.prompts_of("question", TEXT, *over)
    assert {prompt.text for prompts in same for prompt in prompts} == {TEXT} and all(len(prompts) == 1 for prompts in same)


def test_chance_draws_anew_for_every_picture(capture):
    plans = [fewer_curves._plan(Pruner("random_visual"), capture, 0.25, n) for n in (0, 1)]
    assert not np.array_equal(plans[0].alive, plans[1].alive) and plans[0].kept == plans[1].kept == 36


def test_options_end_where_the_model_ends_and_the_budget_is_the_sliders():
    found = {option.name: option for option in fewer.fitted(analysis.find("fastv"), 6).options}
    assert set(found) == {"layer", "read"} and (found["layer"].range.low, found["layer"].range.high) == (1, 5)
    chance = {option.name: option for option in fewer.fitted(analysis.find("random_visual"), 6).options}
    assert (chance["layer"].range.low, chance["layer"].default) == (0, 0)
    names = {method.name for method in fewer.pruners()}
    assert names >= {"fastv", "hired"} and "ranking_similarity" not in names


@pytest.mark.parametrize(("name", "panels"), [("llava_next", 2), ("qwen2_5_vl", 1), ("instructblip", 0)])
def test_other_families_have_survivors_or_a_reason(name, panels):
    model, given = other(name)
    capture = fewer.seen(model, given)
    reasons = {method.name: fewer.why_not(capture, method) for method in fewer.pruners()}
    assert not reasons["fastv"] and not reasons["random_visual"]
    found = fewer.survival(capture, fewer.usual(analysis.find("fastv"), capture))
    drawn = panels_of(found)
    assert len(drawn) == panels
    tokens = [token for panel in drawn for token in panel.tokens]
    placed = np.flatnonzero(found.plan.rows.take(found.plan.image).placed)
    assert sorted(tokens) == placed.tolist()
    if name == "llava_next":
        boxes = found.plan.rows.boxes[found.plan.image]
        for panel in drawn:
            own = boxes[list(panel.tokens)]
            middle = (own[:, None, :2] + own[:, None, 2:]) / 2
            inside = ((middle >= own[None, :, :2]) & (middle < own[None, :, 2:])).all(-1)
            assert (inside.sum(1) == 1).all()
    if name == "qwen2_5_vl":
        assert "class token" in reasons["faster_vlm"]
    full = ma.generate(model, given, max_new_tokens=4)
    said = fewer.reduced(model, given, Pruner("fastv", (("layer", 1),)).plan(capture, 2), full, 4, ma.Greedy())
    assert said.plan.kept == 2 and np.isfinite(said.kl) and said.masked_differs < 1e-3


def test_snippets_say_what_is_shown(capture, model, inputs):
    asking = fix_snippet.Asking("bundled:lvlm", "pretrained", ("scene:3",), TEXT, 24, ma.Greedy())
    scope: dict = {}
    exec(fix_snippet.fewer_snippet(asking, Pruner("fastv", (("layer", 3),)), 20), scope)
    plan = Pruner("fastv", (("layer", 3),)).plan(capture, 20)
    assert np.array_equal(scope["shown"].alive, plan.alive)
    assert scope["generation"].text == ma.generate(model, inputs, max_new_tokens=24, edits=dropping(plan)).text
    exec(fix_snippet.layers_snippet(asking, "ranking_similarity", {"statistic": "overlap"}), scope)
    direct = analysis.find("ranking_similarity").function(capture, statistic="overlap")
    assert np.array_equal(scope["shown"].values, direct.values)
