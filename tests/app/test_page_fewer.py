"""The page Fewer tokens: survivors, answer, numbers, curves, layers, the family, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

import analysis
import model_adapters as ma
from analysis.visual_tokens import FAMILY, answer_loss, dropping, search_budgets
from analysis.words import answer_runner
from tests.app.browser import chromium, needs_chromium, serving, settle, watched_page
from tests.app.pages import explained, opened, settled, texts
from tests.zoo import hf
from ui.pictures import picture
from ui.results import fewer
from ui.results.fix_snippet import Asking, cache_snippet, search_snippet
from world.coco import export_coco
from world.datasets import TEST_UNBIASED


def numbers(page) -> dict[str, list[str]]:
    """The rows of the table: label -> with fewer, change."""
    table = next(each.value for each in page.markdown if each.value.startswith("| |"))
    rows = [[part.strip() for part in line.strip("| ").split(" | ")] for line in table.split("\n")[2:]]
    return {row[0].replace("*", ""): row[1:] for row in rows}


def board(page) -> dict:
    """What the picture of survivors was sent."""
    return json.loads(next(e.proto.json for e in page.get("bidi_component") if e.proto.component_name == "headlight_survivors"))


def test_a_quarter_of_the_tokens_is_shown_first_with_answer_and_numbers():
    page = settled(opened("words/fewer", model="bundled:lvlm", image="scene:12"), explained)
    model = ma.load("bundled:lvlm")
    inputs = model.prepare(image=picture("scene:12").array, text="what is in the picture?")
    plan = analysis.find("fastv").function(fewer.seen(model, inputs), keep=36)
    said = ma.generate(model, inputs, max_new_tokens=32, edits=dropping(plan))
    shown = texts(page).replace(":orange-background[", "").replace("]", "").replace("\\", "")
    assert f"**36 left** · {said.text}" in shown and "**All 144** · a picture of" in shown
    assert "the last one 47" in texts(page) and "Really dropped" in texts(page) and "by more than 0.0000" in texts(page)
    full = ma.generate(model, inputs, max_new_tokens=32)
    same = [t.id for t in said.tokens] == [t.id for t in full.tokens]
    assert ("the same" in numbers(page)["Answer"][0]) == same
    assert set(numbers(page)) == {"KL (nats)", "Answer", "FLOPs", "Cache", "Prompt", "Per token"}
    read = (plan.counts + len(plan.rows) - 144).sum() / (6 * len(plan.rows))
    assert f"−{100 * (1 - read):.0f} %" in numbers(page)["Cache"][1]
    sent = board(page)
    assert sent["amounts"][sent["start"]] == 36 and sent["counts"][sent["start"]] == plan.counts.tolist()


def test_the_budget_of_the_link_is_shown_and_words_that_differ_are_marked():
    page = settled(opened("words/fewer", model="bundled:lvlm", pruner="random_visual", budget="4"), explained)
    assert "**3 left**" in texts(page) or "**4 left**" in texts(page)
    assert ":orange-background[" in texts(page) and "parts at token" in numbers(page)["Answer"][0]
    assert board(page)["amounts"][board(page)["start"]] == 3


def test_another_pruner_and_its_options():
    page = settled(opened("words/fewer", model="bundled:lvlm"), explained)
    page.selectbox(key="pruner").set_value("pooled_visual")
    settled(page, explained)
    assert "Merged tokens have no masked counterpart" in texts(page) and "pooled_visual" in page.query_params["pruner"]
    page.selectbox(key="pruner").set_value("visual_window")
    settled(page, explained)
    assert "Nothing is dropped here" in texts(page) and board(page)["said"][:2] == ["window 1 × 1", "window 3 × 3"]
    page.selectbox(key="pruner").set_value("visual_heads")
    settled(page, explained)
    assert "some heads give visual tokens no weight" in texts(page)
    assert board(page)["said"][board(page)["start"]] == "25 % of the heads blind"
    page.selectbox(key="pruner").set_value("visual_exit")
    settled(page, explained)
    sent = board(page)
    assert sent["said"][sent["start"]] == "none from layer 2 on" and sent["counts"][sent["start"]] == [144, 144, 0, 0, 0, 0]
    assert "**0 left**" in texts(page) and "Really dropped" in texts(page)
    page.selectbox(key="pruner").set_value("fastv")
    settled(page, explained)
    page.slider(key="fewer-fastv-layer").set_value(1)
    settled(page, explained)
    assert board(page)["counts"][0][0] == 144 and board(page)["counts"][0][1] == 1


def test_pruners_are_compared_when_asked(own_jobs):
    link = {"few-pruners": "fastv", "few-asked": "pope", "few-n": "4"}
    page = settled(opened("words/fewer", model="bundled:lvlm", **link), explained)
    estimate = next(each.value for each in page.caption if "answers of at most" in each.value)
    assert estimate.startswith(f"{8 * (1 + 3 * 5)} answers of at most 3 tokens, about")
    next(button for button in page.button if button.label == "Compare pruners").click()
    settled(page, lambda page: any(pick.key == "few-curve" for pick in page.button_group) and explained(page))
    assert "8 yes/no questions" in texts(page) and "scene:200 to scene:203" in texts(page)
    next(pick for pick in page.button_group if pick.key == "few-curve").set_value("accuracy")
    settled(page, explained)
    assert not page.error


def test_pruners_are_compared_on_annotated_images(own_jobs, tmp_path):
    link = {"few-pruners": "fastv", "few-asked": "pope", "few-n": "4", "few-pictures": "coco"}
    page = settled(opened("words/fewer", model="bundled:lvlm", **link), explained)
    assert any("where the annotations lie" in each.value for each in page.info)
    export_coco((TEST_UNBIASED[n] for n in range(260, 264)), tmp_path)
    page.text_input(key="few-annotations").set_value(str(tmp_path / "annotations.json"))
    settled(page, lambda page: any(each.label == "Compare pruners" for each in page.button))
    next(button for button in page.button if button.label == "Compare pruners").click()
    settled(page, lambda page: any(pick.key == "few-curve" for pick in page.button_group) and explained(page))
    assert "on 4 pictures" in texts(page) and "at most 16 new tokens" in texts(page) and not page.error
    page.text_input(key="few-annotations").set_value("/nowhere.json")
    settled(page, lambda page: any(each.label == "Compare pruners" for each in page.button))
    next(button for button in page.button if button.label == "Compare pruners").click()
    settled(page, lambda page: page.error)
    assert "/nowhere.json" in page.error[0].value


def test_a_search_finds_how_few_tokens_each_layer_needs(own_jobs):
    page = settled(opened("words/fewer", model="bundled:lvlm", image="scene:12", **{"few-allowed": "0.2"}), explained)
    assert any("Prompt and answer are read about" in each.value for each in page.caption)
    next(button for button in page.button if button.label == "Search").click()
    settled(page, lambda page: "nats, after" in texts(page) and explained(page))
    model = ma.load("bundled:lvlm")
    inputs = model.prepare(image=picture("scene:12").array, text="what is in the picture?")
    ids = [token.id for token in ma.generate(model, inputs, max_new_tokens=32).tokens]
    loss = answer_loss(answer_runner(ma.run, model, ma.continued(model, inputs, ids), len(ids)))
    found = search_budgets(fewer.seen(model, inputs), loss, allowed=0.2, precision=9)
    assert f"reads {found.plan.mean_kept:.0f} of 144 on average" in texts(page)
    assert f"{found.loss:.3f} nats, after {len(found.tried)} tries" in texts(page) and found.loss <= 0.2
    scope: dict = {}
    asking = Asking("bundled:lvlm", "pretrained", ("scene:12",), "what is in the picture?", 32, ma.Greedy())
    exec(search_snippet(asking, 0.2, 9), scope)
    assert scope["shown"].counts.tolist() == found.plan.counts.tolist()


def test_a_cache_forgets_the_image_and_the_answer_is_written_from_what_stays(own_jobs):
    given = {"few-look_m-recent": "0.05", "few-look_m-heavy": "0.2", "few-merge": "dropped"}
    page = settled(opened("words/fewer", model="bundled:lvlm", image="scene:12", **given), explained)
    next(button for button in page.button if button.label == "Answer from this cache").click()
    settled(page, lambda page: "Keys and values of the prompt" in texts(page) and explained(page))
    scope: dict = {}
    asking = Asking("bundled:lvlm", "pretrained", ("scene:12",), "what is in the picture?", 32, ma.Greedy())
    exec(cache_snippet(asking, "look_m", {"recent": 0.05, "heavy": 0.2, "first": "image"}, "dropped"), scope)
    shown, found = scope["shown"], scope["found"]
    whole = ma.generate(scope["model"], scope["inputs"], max_new_tokens=32).text
    assert f"{len(shown.kept[0])} of {len(shown.rows)} tokens in each layer" in texts(page)
    said = texts(page).replace(":orange-background[", "").replace("]", "").replace("\\", "")
    assert f"**{shown.share:.0%} of it** · {found.generation.text}" in said and f"**Whole cache** · {whole}" in said
    assert found.generation.text != whole and ":orange-background[" in texts(page)
    assert f"{found.cache_bytes / 1e6:.2f} MB instead of {found.whole_bytes / 1e6:.2f} MB" in said
    assert found.cache_bytes == pytest.approx(found.whole_bytes * shown.share)


def test_a_cache_of_nothing_is_refused(own_jobs):
    given = {"few-look_m-recent": "0", "few-look_m-heavy": "0"}
    page = settled(opened("words/fewer", model="bundled:lvlm", image="scene:12", **given), explained)
    assert any("some of the prompt must stay" in each.value for each in page.info)


def test_layers_and_the_family_are_told():
    page = settled(opened("words/fewer", model="bundled:lvlm"), explained)
    table = next(each.value for each in page.dataframe if "Member" in each.value)
    assert len(table) == len(FAMILY) == len(set(table["Member"])) and set(table["Here"]) == {"works", "not built in"}
    assert "Do layers rank the visual tokens alike?" in texts(page)


def test_without_a_picture_there_is_nothing_to_drop():
    page = settled(opened("words/fewer", model="bundled:lvlm", given="nothing"), lambda page: page.info)
    assert "visual tokens are needed" in page.info[0].value


@pytest.mark.parametrize("family", ["llava_next", "qwen2_5_vl"])
def test_other_models_lose_tokens_or_say_why_not(family, monkeypatch, own_jobs):
    module, processor = hf.build(family)
    model = ma.wrap(module, processor, name="hf:small", kind="lvlm")
    monkeypatch.setattr(ma, "load", lambda name, **options: model)
    page = settled(opened("words/fewer", model="hf:small", longest="5", ask="Is there a red ball?"), explained)
    assert not page.error and "Really dropped" in texts(page)
    assert len(board(page)["panels"]) == {"llava_next": 2, "qwen2_5_vl": 1}[family]
    refused = next(each for each in page.expander if "not offered" in each.label)
    reason = {"llava_next": "cut into", "qwen2_5_vl": "needs a class token"}[family]
    assert reason in refused.markdown[0].value


@needs_chromium
@pytest.mark.browser
def test_the_slider_moves_the_survivors_at_once_and_the_answer_follows_in_a_browser():
    with serving("app.py") as server, chromium() as browser, watched_page(browser, server) as page:
        page.goto(f"{server}/words-fewer?model=bundled:lvlm")
        said = page.locator("p strong", has_text="left")
        said.filter(has_text="36").wait_for(timeout=180_000)
        settle(page)
        box = page.locator(".survivors")
        canvas = box.locator("canvas")
        place = canvas.bounding_box()
        assert place["y"] + place["height"] < 900 and box.get_attribute("data-left") == "36"
        before = canvas.evaluate("c => c.toDataURL()")
        slider = box.locator("input.amount")
        # An input alone moves the picture; only letting go tells Python.
        move = "s.value = 1; s.dispatchEvent(new Event('input'));"
        took = slider.evaluate(f"s => {{ const t = performance.now(); {move} return performance.now() - t; }}")
        assert canvas.evaluate("c => c.toDataURL()") != before and box.get_attribute("data-left") == "3" and took < 100
        assert said.inner_text() == "36 left"
        slider.evaluate("s => s.dispatchEvent(new Event('change'))")
        page.wait_for_function("() => [...document.querySelectorAll('p strong')].some((e) => e.innerText === '3 left')")
        page.wait_for_function("() => location.search.includes('budget=3')")
        layer = box.locator("input.layer")
        layer.evaluate("s => { s.value = 0; s.dispatchEvent(new Event('input')); }")
        assert box.get_attribute("data-left") == "144"
        pixels = "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
        faded = (np.array(canvas.evaluate(pixels)).reshape(-1, 4)[:, :3] > 200).all(1).mean()
        assert faded < 0.2
