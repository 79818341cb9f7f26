"""The page Fix: fixes side by side, what they change and cost, what one is worth over pictures, and what is refused."""

from __future__ import annotations

import json
import re

import pytest

import model_adapters as ma
from tests.app.browser import chromium, needs_chromium, serving, settle, watched_page
from tests.app.pages import explained, opened, settled, texts
from tests.zoo import hf
from ui import fix_columns
from ui.pictures import picture
from ui.results.fix import Fix

NAMES = ["visual_contrastive_decoding", "vision_heads_reinforced", "random_heads_silenced"]


def lines(page) -> list[list[dict]]:
    """The words of every column."""
    found = [each.proto for each in page.get("bidi_component") if each.proto.component_name == "headlight_words_line"]
    return [json.loads(each.json)[0]["chips"] for each in found]


@pytest.fixture(scope="module")
def page():
    return settled(opened("words/fix", model="bundled:lvlm", image="scene:7"), explained)


def test_the_first_answer_stands_beside_three_fixes_with_costs_and_log_probabilities(page):
    assert not page.error and page.multiselect(key="fixes").value == NAMES
    said = texts(page)
    assert said.count("/ token") == 4 and "2 passes" in said and "log-probability" in said and "without the fix" in said
    assert "nothing made up" in said and "not named: tree" in said


def test_the_factors_are_those_of_the_times_that_are_shown(page):
    told = [re.search(r"\*\*([\d.]+) (m?s)\*\* / token(?: \(([\d.]+) ×\))?", each.value) for each in page.markdown]
    costs = [(float(m[1]) * (1 if m[2] == "ms" else 1000), m[3]) for m in told if m]
    assert len(costs) == 4 and costs[0][1] is None
    assert [float(times) for _, times in costs[1:]] == [pytest.approx(own / costs[0][0], abs=0.051) for own, _ in costs[1:]]


def test_what_is_said_is_what_the_model_says_under_each_fix():
    model = ma.load("bundled:lvlm")
    inputs = model.prepare(image=picture("scene:7").array, text="what is in the picture?")
    expected = [ma.generate(model, inputs, max_new_tokens=32).text]
    expected += [ma.generate(model, inputs, max_new_tokens=32, **Fix(name).keywords(ma.Greedy())).text for name in NAMES]
    page = settled(opened("words/fix", model="bundled:lvlm", image="scene:7"), explained)
    shown = lines(page)
    assert ["".join(c["text"] for c in chips) for chips in shown] == [text.replace(" ", "") for text in expected]
    assert all(not c["mark"] for c in shown[0]) and any(c["mark"] == "changed" for c in shown[2])
    assert all("log-probability" in c["tooltip"] for chips in shown for c in chips)


def test_an_option_runs_that_fix_again_and_stands_in_the_link(page):
    name = "fix-vision_heads_reinforced-alpha"
    page.slider(key=name).set_value(1.0)
    settled(page, explained)
    assert page.query_params[name] in (["1.0"], "1.0")
    assert all(not chip["mark"] for chip in lines(page)[2])
    assert page.slider(key="fix-vision_heads_reinforced-last").max == 6


def test_a_control_and_fewer_columns():
    page = settled(opened("words/fix", model="bundled:lvlm", fixes="sampled"), explained)
    assert texts(page).count("/ token") == 2 and len(lines(page)) == 2


def test_changes_of_maps_are_shown_against_the_plain_one():
    link = {"fix-maps": "change", "fixes": "pay_attention_to_image"}
    page = settled(opened("words/fix", model="bundled:lvlm", **link), explained)
    assert page.get("bidi_component") and not page.error
    assert texts(page).count("of it on the image") == 2


def test_a_word_of_a_fixed_answer_can_be_chosen_by_the_link():
    page = settled(opened("words/fix", model="bundled:lvlm", image="scene:7", said="2.6"), explained)
    assert "This answer does not say it." not in texts(page) and not page.error
    chosen = [each for each in page.caption if "said instead" in each.value or "of it on the image" in each.value]
    assert len(chosen) == 4
    strange = settled(opened("words/fix", model="bundled:lvlm", image="scene:7", said="9.x"), explained)
    assert not strange.error


def test_a_fix_is_measured_over_pictures_with_recall_beside_it(own_jobs):
    link = {"fix-n": "8", "fixes": "vision_heads_reinforced"}
    page = settled(opened("words/fix", model="bundled:lvlm", **link), lambda page: any(b.label == "Measure" for b in page.button))
    estimate = next(each.value for each in page.caption if "6 answers for each" in each.value)
    assert "8 pictures" in estimate and "about" in estimate
    next(button for button in page.button if button.label == "Measure").click()
    settled(page, lambda page: page.dataframe and explained(page))
    table = page.dataframe[0].value
    assert {"POPE accuracy", "POPE recall", "CHAIR i", "CHAIR s", "Recall"} <= set(table[""])
    said = texts(page)
    for part in ("8 scenes (scene:200 to scene:207)", "describe the picture.", "at most 40 tokens", "greedy", "official rule"):
        assert part in said


def test_a_folder_that_is_not_there_is_refused(own_jobs):
    link = {"fix-over": "coco", "fixes": "sampled", "fix-annotations": "/nowhere/instances.json"}
    page = settled(opened("words/fix", model="bundled:lvlm", **link), lambda page: any(b.label == "Measure" for b in page.button))
    next(button for button in page.button if button.label == "Measure").click()
    settled(page, lambda page: page.error)
    assert "is not there" in page.error[0].value


def test_without_a_picture_fixes_say_why_and_no_map_is_shown():
    page = settled(opened("words/fix", model="bundled:lvlm", given="nothing", fixes="visual_contrastive_decoding"), explained)
    assert "nothing to put noise in" in texts(page) and "no picture in this question" in texts(page)


def test_no_fix_is_an_answer_too():
    page = opened("words/fix", model="bundled:lvlm")
    settled(page, explained)
    page.multiselect(key="fixes").set_value([])
    settled(page, explained)
    assert "Choose a fix above" in texts(page) and len(lines(page)) == 1


@pytest.mark.parametrize("family", ["llava_next", "qwen2_5_vl"])
def test_other_models_are_fixed_or_say_what_they_lack(family, monkeypatch, own_jobs):
    module, processor = hf.build(family)
    model = ma.wrap(module, processor, name="hf:small", kind="lvlm")
    monkeypatch.setattr(ma, "load", lambda name, **options: model)
    link = {"fixes": "visual_contrastive_decoding,contrast_with_outliers", "longest": "6", "ask": "Is there a red ball?"}
    page = settled(opened("words/fix", model="hf:small", **link), explained)
    assert not page.error and texts(page).count("/ token") == 2
    reasons = {"llava_next": "cuts the picture into tiles or windows", "qwen2_5_vl": "makes 196 image tokens of 16 patches"}
    said = reasons[family]
    assert len(page.info) == 1 and said in page.info[0].value and page.info[0].value.endswith((".", "needed.", "works."))


def test_a_word_that_only_moved_is_chosen_by_its_place_in_the_plain_answer():
    from types import SimpleNamespace

    from ui.results.fix import aligned

    one, two = "a red ball and a star".split(), "a star and a ball".split()

    def column(number, words):
        answer = SimpleNamespace(words=[SimpleNamespace(text=w, index=n) for n, w in enumerate(words)])
        return SimpleNamespace(number=number, words=aligned(one, words), answered=SimpleNamespace(answer=answer))

    columns = [column(0, one), column(1, two)]
    assert fix_columns.chosen_in(columns[1], one.index("ball"), columns) == two.index("ball")
    assert fix_columns.chosen_in(columns[1], one.index("red"), columns) is None


@needs_chromium
@pytest.mark.browser
def test_a_word_of_a_fix_is_clicked_and_its_maps_change_in_a_browser():
    with serving("app.py") as server, chromium() as browser, watched_page(browser, server) as page:
        page.goto(f"{server}/words-fix?model=bundled:lvlm&image=scene:7")
        page.get_by_role("button", name="Measure").wait_for(timeout=180_000)
        settle(page)
        words = page.locator(".line-of-words")
        assert words.count() == 4 and words.nth(2).locator("[data-mark=changed]").count() > 0
        box = page.locator(".viewer.map canvas").first.bounding_box()
        assert box["y"] + box["height"] < 900
        words.nth(2).locator("[data-mark=changed]").last.click()
        page.get_by_text("This answer does not say it.").or_(page.get_by_text("said instead")).first.wait_for(timeout=30_000)
        settle(page)
        assert words.nth(2).locator("[aria-pressed=true]").count() == 1
        words.nth(0).get_by_role("button", name="orange").click()
        page.get_by_text("“orange”").first.wait_for(timeout=30_000)
        page.wait_for_function("() => location.search.includes('word=')")
