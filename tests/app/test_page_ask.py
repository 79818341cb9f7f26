"""Words / Ask: an answer on screen at once, every refusal a sentence, tiles and films, and what the mouse does in a browser."""

from __future__ import annotations

import numpy as np
import pytest

import model_adapters as ma
from analysis.words.word_maps import word_map
from tests.app.browser import chromium, needs_chromium, serving, settle, watched_page
from tests.app.pages import opened, settled
from tests.app.small_lvlms import saved
from ui import ask_view, pictures
from ui.results.answering import answered

VIEWER = ask_view.KEY
GRID = 12
"""Patches along a side of the bundled model."""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("lvlms"))


@pytest.fixture(scope="module")
def said():
    lvlm = ma.load("bundled:lvlm")
    return answered(lvlm, [pictures.picture("scene:3")], "what is in the picture?", longest=32, decoding=ma.Greedy())


def inspected(page) -> bool:
    return any("probability" in text.value for text in page.markdown) or bool(page.error or page.info)


def heading(page) -> str:
    return next(text.value for text in page.markdown if text.value.startswith("#### "))


def sheets(page) -> list[str]:
    return [button.label for button in page.button if (button.key or "").startswith("sheet-")]


def test_the_first_answer_is_there_without_a_click_and_about_a_thing():
    page = settled(opened("words/ask"), inspected)
    assert heading(page) == "#### “ball”" and VIEWER in page.session_state
    assert any("answers no questions, so `bundled:lvlm` does here" in each.value for each in page.caption)
    page.button(key="use-language-model").click()
    page = settled(page, inspected)
    assert page.session_state["model"] == "bundled:lvlm"
    assert not any("answers no questions" in each.value for each in page.caption)


def test_the_word_of_the_link_is_shown_and_another_question_begins_anew():
    page = settled(opened("words/ask", model="bundled:lvlm", word="10"), inspected)
    assert heading(page) == "#### “a”"
    page.text_input(key="ask").set_value("is there a ball?")
    page = settled(page, lambda page: inspected(page) and heading(page) == "#### “no”", seconds=30)
    assert "word" not in page.query_params


def test_decoding_is_part_of_the_link_and_changes_the_answer():
    page = settled(opened("words/ask", model="bundled:lvlm", decoding="sample", seed="3", temperature="2.0"), inspected)
    assert page.session_state["seed"] == 3
    job = page.session_state["asked before"]
    assert job.decoding == ma.Sample(temperature=2.0, seed=3) and job.text == "what is in the picture?"
    page = settled(opened("words/ask", model="bundled:lvlm", decoding="beam", beams="2"), inspected)
    assert page.session_state["asked before"].decoding == ma.Beam(2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ask": "hello zebra"}, "'hello', 'zebra' are not among them"),
        ({"ask": " "}, "There is no question yet"),
        ({"ask": "is there a ball? " * 60, "longest": "200"}, "reads 512 at most"),
        ({"given": "video", "more": "scene:5"}, "takes no video"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(given, message):
    page = settled(opened("words/ask", model="bundled:lvlm", **given), lambda page: page.info)
    assert len(page.info) == 1 and message in page.info[0].value


def test_an_answer_without_a_picture_has_words_and_no_map():
    page = settled(opened("words/ask", model="bundled:lvlm", given="nothing"), inspected)
    assert "No picture was given" in page.info[0].value and VIEWER not in page.session_state
    assert "ask-words" in page.session_state


def test_an_empty_answer_says_what_the_model_did(monkeypatch):
    from ui.results import answering

    real = ma.generate

    def ended(model, inputs, **options):
        end = model.module.generation_config.eos_token_id
        options["max_new_tokens"] = 1
        found = real(model, inputs, **options)
        token = found.tokens[0]
        only = type(token)(end, "</s>", token.probability, token.logits, token.weights)
        return type(found)(**{**vars(found), "tokens": (only,), "text": ""})

    monkeypatch.setattr(answering.ma, "generate", ended)
    page = settled(opened("words/ask", model="bundled:lvlm", ask="do you see a cone?"), lambda page: page.info)
    assert "ended its answer without a word: its first token was '</s>'" in page.info[0].value


@pytest.mark.parametrize(
    ("name", "query", "strip"),
    [
        ("llava_next", {}, ["the whole", "4 tiles"]),
        (
            "llava_next",
            {"more": "photo:cat", "sheet": "3"},
            ["Picture 1, the whole", "Picture 1, 4 tiles", "Picture 2, the whole", "Picture 2, 4 tiles"],
        ),
        ("qwen2_5_vl", {"more": "photo:cat", "sheet": "1"}, ["Picture 1", "Picture 2"]),
        ("qwen2_5_vl", {"more": "scene:5,scene:6,scene:7", "given": "video"}, ["Frames 1–2", "Frames 3–4"]),
        ("instructblip", {}, []),
        ("mllama", {}, []),
    ],
)
def test_other_architectures_answer_on_their_own_sheets(name, query, strip, small):
    page = settled(opened("words/ask", model=small[name], longest="6", **query), inspected)
    assert not page.error and VIEWER in page.session_state and sheets(page) == strip
    if "sheet" in query:
        assert page.button(key=f"sheet-{query['sheet']}").proto.type == "primary"
        page.button(key="sheet-0").click()
        page = settled(page, inspected)
        assert page.button(key="sheet-0").proto.type == "primary" and "sheet" not in page.query_params


CELLS = """(canvas, side) => {
  const context = canvas.getContext("2d");
  const found = [];
  for (let i = 0; i < side * side; i++) {
    const at = [((i % side) + 0.3) * canvas.width / side, (Math.floor(i / side) + 0.3) * canvas.height / side];
    found.push([...context.getImageData(...at.map(Math.round), 1, 1).data]);
  }
  return found;
}"""


def light(page) -> np.ndarray:
    """[cells]: how bright each patch is painted."""
    pixels = np.array(page.locator("canvas.heat").evaluate(CELLS, GRID))
    return pixels[:, :3] @ np.array([0.2126, 0.7152, 0.0722])


def same_map(page, said, word: int) -> None:
    """The bundled model has one token per patch, row by row: the last layer's map of a word."""
    values = word_map(said.answer, word, layer=said.answer.sites[-1].layer).values
    seen = light(page)
    assert int(seen.argmax()) == int(values.argmax()) and np.corrcoef(seen, values)[0, 1] > 0.9


def ready(page, count: int) -> None:
    page.wait_for_function(f"() => {_DEEP}('button.word').length === {count}", timeout=90_000)
    page.wait_for_function(f"() => {_DEEP}('.readout').some((e) => e.textContent.length > 3)", timeout=30_000)
    settle(page)
    page.locator(".cover input").fill("100")


_DEEP = """((name) => {
  const below = (root) => [...root.querySelectorAll("*")].flatMap((e) => (e.shadowRoot ? all(e.shadowRoot) : []));
  const all = (root) => [...root.querySelectorAll(name), ...below(root)];
  return all(document);
})"""


@needs_chromium
def test_words_paint_and_patches_light_words_in_a_browser(said):
    words = said.answer.words
    star = next(word.index for word in words if word.text == "star")
    ring = next(word.index for word in words if word.text == "ring")
    with serving("app.py") as server, chromium() as browser:
        with watched_page(browser, server) as page:
            page.goto(f"{server}/words-ask?model=bundled:lvlm")
            ready(page, len(words))
            first = next(word.index for word in words if word.text == "ball")
            same_map(page, said, first)
            page.locator("button.word").nth(star).hover()
            same_map(page, said, star)
            page.mouse.move(5, 5)
            same_map(page, said, first)
            page.locator("button.word").nth(ring).click()
            page.mouse.move(5, 5)
            page.wait_for_url("**word=*")
            same_map(page, said, ring)
            assert page.locator("button.word").nth(ring).get_attribute("aria-pressed") == "true"
            page.get_by_text("“ring”", exact=True).first.wait_for()
            _patch_lights_words(page, said)
            address = page.url
        with watched_page(browser, server) as other:
            other.goto(address)
            ready(other, len(words))
            same_map(other, said, ring)
            assert other.locator("button.word").nth(ring).get_attribute("aria-pressed") == "true"


@needs_chromium
def test_two_words_are_compared_and_words_without_a_picture_are_chosen_in_a_browser(said):
    star = next(word.index for word in said.answer.words if word.text == "star")
    with serving("app.py") as server, chromium() as browser, watched_page(browser, server) as page:
        page.goto(f"{server}/words-ask?model=bundled:lvlm")
        ready(page, len(said.answer.words))
        page.locator("button.word").nth(star).click(modifiers=["Shift"])
        page.mouse.move(5, 5)
        assert page.locator(".readout").inner_text().startswith("“star” less “ball”")
        assert page.locator("button.word[data-pin]").count() == 2
        page.goto(f"{server}/words-ask?model=bundled:lvlm&given=nothing")
        second = page.locator("button.word").nth(1)
        second.click()
        page.wait_for_url("**word=1*")
        settle(page)
        assert second.get_attribute("aria-pressed") == "true"


def _patch_lights_words(page, said) -> None:
    values = np.stack([word_map(said.answer, n, layer=said.answer.sites[-1].layer).values for n in range(len(said.answer.words))])
    patch = int(values.max(0).argmax())
    box = page.locator("canvas.heat").bounding_box()
    at = box["x"] + (patch % GRID + 0.5) * box["width"] / GRID, box["y"] + (patch // GRID + 0.5) * box["height"] / GRID
    page.mouse.move(*at)
    lit = page.locator("button.word").evaluate_all("(all) => all.map((b) => Number(b.style.getPropertyValue('--lit')))")
    np.testing.assert_allclose(lit, values[:, patch] / values[:, patch].max(), atol=0.03)
    assert page.locator("button.word.lit").count() == len(lit)
    assert said.answer.words[int(values[:, patch].argmax())].text in page.locator(".readout").inner_text()
    page.mouse.move(5, 5)
    assert page.locator("button.word.lit").count() == 0
    page.mouse.click(*at)
    page.mouse.move(5, 5)
    assert page.locator("button.word.lit").count() == len(lit), "a click keeps them lit"
