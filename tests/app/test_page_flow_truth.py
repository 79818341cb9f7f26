"""The pages Flow and Truth: a first answer, what each control does, what is refused, other models, and the browser."""

from __future__ import annotations

import re

import pytest

import model_adapters as ma
from tests.app.browser import chromium, needs_chromium, serving, settle, watched_page
from tests.app.pages import explained, opened, settled, texts
from tests.zoo import hf
from ui import session
from ui.results import triage
from world.coco import export_coco
from world.datasets import TEST_UNBIASED


def word_of(page, text: str):
    return next(each for each in page.segmented_control if each.label == text)


def button(page, label: str):
    return next(each for each in page.button if each.label == label)


def triaged(page):
    """Wait for the list; where the machine is slow it is begun by a button."""

    def there(page) -> bool:
        waiting = [each for each in page.button if each.label == "Ask them all"]
        if waiting:
            waiting[0].click()
        return any(each.label == "Look" for each in page.button)

    return settled(page, there)


def snippet_of(page, call: str) -> str:
    return next(each.value for each in page.code if call in each.value)


def test_flow_answers_before_a_control_is_touched_and_follows_them():
    page = settled(opened("words/flow", model="bundled:lvlm"), explained)
    told = texts(page)
    assert re.search(r"“ball” looks at the image most in layer \*\*\d\*\*", told)
    assert "Hidden from layer" in told and "Half of the words are decided" in told
    assert [m.value for m in page.metric if m.label == "Layers that need the image"] == ["3 of 6"]
    word_of(page, "Who asks").set_value("question")
    settled(page, lambda page: "The question looks at the image most" in texts(page))
    assert page.query_params["asks"] == "question"
    word_of(page, "Patches show").set_value("chosen")
    settled(page, explained)
    assert "lens_word_map" in "\n".join(each.value for each in page.code)


@pytest.mark.parametrize("call", ["word_shares(answer", "exit_curve(answer", "answer_lens(answer", "patch_words(answer"])
def test_what_flow_gives_away_runs(call):
    page = settled(opened("words/flow", model="bundled:lvlm"), explained)
    space: dict[str, object] = {}
    exec(snippet_of(page, call), space)  # noqa: S102 (a snippet that the app itself wrote)
    assert space["shown"] is not None


@pytest.mark.parametrize("path", ["words/flow", "words/truth"])
def test_a_question_about_nothing_seen_says_what_is_missing(path):
    page = settled(opened(path, model="bundled:lvlm", given="nothing"), lambda page: page.info)
    assert "Options above" in page.info[0].value


def test_truth_tells_what_the_numbers_mean_and_which_signals_fail():
    page = settled(opened("words/truth", model="bundled:lvlm", image="scene:212"), explained)
    told = texts(page)
    assert "**Wrong**" in told and re.search(r"% of true words", told) and "fails" in told
    assert "Held against 722 words of bundled:lvlm" in told
    doubt = next(each for each in page.selectbox if each.key == "doubt")
    assert doubt.value == "combined"
    doubt.set_value("low_image_attention")
    settled(page, lambda page: "Low attention to the image: doubted more than" in texts(page))
    space: dict[str, object] = {}
    exec(snippet_of(page, "evidence_of("), space)  # noqa: S102 (a snippet that the app itself wrote)
    assert len(space["shown"]) == 14 and all(0 <= less <= 1 for less, _ in space["shown"].values())


def test_a_mark_has_no_signals_and_is_not_said_to_lack_a_reference():
    page = settled(opened("words/truth", model="bundled:lvlm", word="9"), explained)
    assert any("This is a mark" in each.value for each in page.info) and "no reference" not in texts(page)
    page = settled(opened("words/flow", model="bundled:lvlm", word="9"), explained)
    assert "“,” looks at the image most" in texts(page)


def test_a_row_of_the_triage_leads_to_its_word():
    page = settled(opened("words/truth", model="bundled:lvlm", **{"triage-count": "8"}), explained)
    triaged(page)
    look = button(page, "Look")
    said = [each.proto.body for each in page.get("html") if "text-decoration-thickness" in each.proto.body][0]
    word = re.search(r"<b [^>]*>(.*?)</b>", said).group(1)
    look.click()
    settled(page, lambda page: f"“{word}”" in [each.value for each in page.subheader])
    assert page.query_params["image"].startswith("scene:2") and "word" in page.query_params
    next(each for each in page.toggle if each.key == "wrong").set_value(True)
    settled(page, explained)
    assert all("right" not in each.value or "wrong" in each.value for each in page.markdown if ":material/c" in each.value[:14])


def test_a_stopped_triage_lists_what_was_asked(monkeypatch, own_jobs):
    asked, answered = [], triage.answered

    def counted(*arguments, **options):
        asked.append(1)
        if len(asked) == 3:
            (key,) = (key for key in session.jobs()._jobs if key[0] == "triage")
            session.jobs().cancel(key)
        return answered(*arguments, **options)

    monkeypatch.setattr(triage, "answered", counted)
    page = opened("words/truth", model="bundled:lvlm", **{"triage-count": "8"})
    triaged(page)
    assert "Stopped after 2 of 8 pictures" in texts(page) and "words in 2 answers" in texts(page)
    again = next(each for each in page.button if each.label in ("Try again", "Ask the other 6"))
    again.click()
    settled(page, lambda page: "words in 8 answers" in texts(page))
    assert "Stopped after" not in texts(page) and len(asked) == 9


def test_a_labelled_folder_becomes_a_reference_and_a_score(tmp_path, own_jobs):
    export_coco((TEST_UNBIASED[n] for n in range(200, 224)), tmp_path)
    page = opened("words/truth", model="bundled:lvlm", triage="folder", **{"triage-folder": str(tmp_path), "triage-count": "24"})
    triaged(page)
    assert "first mentions of things" in texts(page)
    button(page, "Fit a combined score on these words").click()
    settled(page, lambda page: explained(page) and any(each.key == "drop-score" for each in page.button))
    count = int(re.search(r"logistic regression on (\d+) words of bundled:lvlm", texts(page)).group(1))
    assert 40 < count < 90
    word_of(page, "Held against").set_value("own")
    settled(page, lambda page: f"Held against {count} words of bundled:lvlm: 24 pictures of" in texts(page))
    button(page, "Use the first one again").click()
    settled(page, lambda page: "logistic regression on 722 words" in texts(page))


def test_a_folder_that_is_none_is_refused():
    page = opened("words/truth", model="bundled:lvlm", triage="folder", **{"triage-folder": "/nowhere"})
    settled(page, lambda page: page.error)
    assert "neither a folder nor a file" in page.error[0].value


@pytest.mark.parametrize("family", ["llava_next", "qwen2_5_vl"])
def test_other_models_flow_and_have_signals_without_a_reference(family, monkeypatch, own_jobs):
    module, processor = hf.build(family)
    model = ma.wrap(module, processor, name="hf:small", kind="lvlm")
    monkeypatch.setattr(ma, "load", lambda name, **options: model)
    page = opened("words/flow", model="hf:small", longest="6", ask="Is there a red ball?")
    settled(page, lambda page: explained(page) and "decided" in texts(page))
    assert not page.error
    page = opened("words/truth", model="hf:small", longest="6", ask="Is there a red ball?", **{"triage-count": "8"})
    # A small random model may begin with signs that are no word.
    told = ("no reference for hf:small", "This is a mark")
    settled(page, lambda page: any(one in each.value for one in told for each in page.info))
    assert not page.error and "No combined score is known" in texts(page)


@needs_chromium
@pytest.mark.browser
def test_words_cells_and_rows_are_clicked_in_a_browser():
    with serving("app.py") as server, chromium() as browser:
        with watched_page(browser, server) as page:
            page.goto(f"{server}/words-flow?model=bundled:lvlm")
            page.wait_for_selector(".st-key-lens-grid", timeout=90_000)
            settle(page)
            page.wait_for_selector(".st-key-flow-bands .barlayer path")
            bands = page.locator(".st-key-flow-bands").bounding_box()
            assert bands["y"] + bands["height"] <= 900, "the bands are seen without scrolling"
            page.locator(".st-key-flow-bands").get_by_text("5", exact=True).first.wait_for()
            tick = page.locator(".st-key-flow-bands .xtick text").nth(1).bounding_box()
            page.mouse.click(tick["x"] + tick["width"] / 2, tick["y"] - 60)
            page.wait_for_url(re.compile("depth=1"))
            settle(page)
            page.get_by_text("What do the patches say at the input of layer 1?").wait_for()
        with watched_page(browser, server) as page:
            page.goto(f"{server}/words-truth?model=bundled:lvlm&image=scene:212")
            page.get_by_role("button", name="Look").first.wait_for(timeout=90_000)
            settle(page)
            page.locator("button.word").filter(has_text="heart").last.click()
            page.wait_for_url(re.compile("word="))
            settle(page)
            page.get_by_role("heading", name="“heart”").wait_for()
