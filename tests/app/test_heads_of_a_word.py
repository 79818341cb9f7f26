"""Which heads a word of the answer depends on: against masking each head and reading the whole answer again, and the page."""

from __future__ import annotations

import numpy as np
import pytest

import model_adapters as ma
from model_adapters import edits
from tests.app.browser import chromium, needs_chromium, serving, settle, watched_page
from tests.app.pages import opened, settled
from tests.zoo import hf
from ui.jobs import Progress
from ui.pictures import picture
from ui.results import answering, importance
from ui.results.heads import sites_of, subject_for
from ui.results.spoken import spoken

QUESTION = "what is in the picture?"


@pytest.fixture(scope="module")
def model():
    return ma.load("bundled:lvlm")


@pytest.fixture(scope="module")
def subject(model):
    return subject_for(model, picture("scene:3"), QUESTION)


@pytest.fixture(scope="module")
def said(subject):
    return spoken(subject, Progress())


def log_probability(model, inputs, ids, step, *changes) -> float:
    """Of token `step` of an answer, prompt and whole answer being read in one pass."""
    rows = ma.reread(model, inputs, ids, edits=changes).logits[-len(ids) - 1 :].astype(np.float64)
    return float(rows[step][ids[step]] - np.logaddexp.reduce(rows[step]))


def gate(site, head, value):
    return edits.Gate(ma.Where(sites=(site.name,), heads=(head,)), value)


def test_what_is_said_is_the_answer_of_the_pages_about_words(model, said):
    found = answering.answered(model, [picture("scene:3")], QUESTION, longest=32, decoding=ma.Greedy())
    assert [word.text for word in said.words] == [word.text for word in found.answer.words]
    ball = next(word.index for word in said.words if word.text == "ball")
    step = said.words[ball].steps[0]
    assert said.before(ball) == tuple(found.answer.ids[:step]) and said.token(ball) == found.answer.ids[step]
    assert said.title(ball) == f"{ball + 1} · ball ({found.generation.tokens[step].probability:.2f})"


@pytest.mark.parametrize("tower", ["decoder", "vision"])
def test_every_head_is_worth_what_the_word_loses_when_the_head_is_masked(model, subject, said, tower):
    ball = next(word.index for word in said.words if word.text == "ball")
    step, here = said.words[ball].steps[0], subject.after(said.before(ball))
    found = importance.exact(model, here, said.token(ball), tower, lambda share: None).each["loss change"][0]
    base = log_probability(model, subject.inputs, said.ids, step)
    slow = [
        [base - log_probability(model, subject.inputs, said.ids, step, gate(site, head, 0.0)) for head in range(site.heads)]
        for site in sites_of(model, tower)
    ]
    assert np.allclose(found, slow, atol=1e-4) and np.ptp(found) > 0.1
    first = importance.exact(model, subject, subject.predicted, tower, lambda share: None).each["loss change"][0]
    assert not np.allclose(first, found, atol=0.01)


@pytest.mark.parametrize("name", ["llava_next", "qwen2_5_vl"])
def test_slopes_of_a_later_word_of_other_families(name):
    model = ma.wrap(*hf.build(name), name=f"hf:{name}")
    subject = subject_for(model, picture("scene:3"), "Describe the picture.")
    ids = [token.id for token in ma.generate(model, subject.inputs, max_new_tokens=4).tokens]
    step = len(ids) - 1
    here = subject.after(ids[:step])
    for tower, row, head in (("decoder", 1, 2), ("vision", 0, 1)):
        site = sites_of(model, tower)[row]
        found = importance.cheap(model, here, ids[step], tower).matrix("gate_times_gradient").values[row, head]
        ends = [log_probability(model, subject.inputs, ids, step, gate(site, head, value)) for value in (0.95, 1.05)]
        assert found == pytest.approx((ends[1] - ends[0]) / 0.1, rel=0.05, abs=2e-5)


def test_a_word_behind_others_is_seen_from_every_side(model, subject, said):
    here = subject.after(said.ids[:2]).after(said.ids[2:5])
    assert here.said == said.ids[:5] and here.predicted == said.ids[5]
    shown = picture("scene:4").array
    other = subject_for(model, picture("scene:4"), QUESTION)
    rows = ma.reread(model, other.inputs, said.ids[:5]).logits[-1].astype(np.float64)
    expected = np.exp(rows - np.logaddexp.reduce(rows))[here.predicted]
    assert here.score(here.predicted)(shown[None]) == pytest.approx([expected], abs=1e-5)
    assert np.allclose(here.before(shown).scores, rows, atol=1e-4)
    assert subject.after(()) is subject


def test_a_model_that_cannot_go_on_behind_its_prompt_says_why():
    model = ma.wrap(*hf.build("florence2"), name="hf:florence2")
    found = spoken(subject_for(model, picture("scene:3"), "Describe the picture."), Progress())
    assert not found.words and "decoder of its own" in found.reason


def inspected(page) -> bool:
    return len(page.dataframe) > 0 and any("Spearman" in caption.value for caption in page.caption)


def test_a_link_chooses_the_word_and_the_control_another_one(model, subject, said):
    words = [word.text for word in said.words]
    ball, star = words.index("ball"), words.index("star")
    link = {"model": "bundled:lvlm", "tower": "decoder", "question": QUESTION, "layer": "0", "head": "2"}
    page = settled(opened("heads/importance", said=str(ball), **link), inspected)
    assert page.selectbox(key="said").value == ball
    for word in (ball, star):
        here = subject.after(said.before(word))
        exact = importance.exact(model, here, said.token(word), "decoder", lambda share: None).each["loss change"][0]
        shown = page.dataframe[0].value.set_index("Metric").loc["exact: loss", "Value"]
        assert float(shown) == pytest.approx(exact[0, 2], rel=0.02, abs=0.005)
        page.selectbox(key="said").set_value(star)
        page = settled(page, inspected)
    assert page.query_params["said"] == str(star)


def test_the_passport_is_about_the_same_word(said):
    ball = [word.text for word in said.words].index("ball")
    link = {"model": "bundled:lvlm", "tower": "decoder", "question": QUESTION, "layer": "0", "head": "2", "said": str(ball)}
    page = settled(opened("heads/passport", **link), lambda page: any("removing it" in text.value for text in page.markdown))
    assert page.selectbox(key="said").value == ball
    assert any("“ball” from" in text.value for text in page.markdown)


def test_the_python_of_a_word_gives_the_matrix_of_the_page(model, subject, said, monkeypatch):
    from ui.snippets import Shown, snippet_for

    ball = [word.text for word in said.words].index("ball")
    shown = Shown("bundled:lvlm", "scene:3", text=QUESTION, target=said.token(ball), tower="decoder", said=said.before(ball))
    text = snippet_for(shown, "gate_times_gradient")
    monkeypatch.setattr(ma, "load", lambda wanted: model)
    space: dict = {}
    exec(text, space)
    found = importance.cheap(model, subject.after(said.before(ball)), said.token(ball), "decoder")
    assert np.allclose(space["shown"].values, found.matrix("gate_times_gradient").values, atol=1e-5)


@needs_chromium
@pytest.mark.browser
def test_from_a_word_of_ask_to_its_heads(said):
    ball = [word.text for word in said.words].index("ball")
    with serving("app.py") as server, chromium() as browser, watched_page(browser, server) as page:
        page.goto(f"{server}/words-ask?model=bundled:lvlm&word={ball}", timeout=60_000)
        page.get_by_role("button", name="Which heads did it").click(timeout=120_000)
        page.wait_for_url(f"**heads-importance**said={ball}**", timeout=60_000)
        page.get_by_text("Spearman").first.wait_for(timeout=120_000)
        settle(page)
        assert "tower=decoder" in page.url
        assert page.get_by_role("combobox", name="Word of the answer").input_value().startswith(f"{ball + 1} · ball")
