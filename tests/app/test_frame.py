"""The frame: it paints before the model is there, pickers follow the link, errors are sentences."""

from __future__ import annotations

import threading
import time

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.pages import opened, settled
from ui import index_html, session
from world.vocabulary import CATEGORIES

pytestmark = pytest.mark.usefixtures("own_jobs")


def test_the_first_run_paints_without_waiting_for_the_model(monkeypatch):
    import model_adapters as ma

    ready = threading.Event()
    monkeypatch.setattr(ma, "load", lambda name, **options: ready.wait(60))
    page = opened("about/models").run()
    assert page.title[0].value == "Models"
    assert page.selectbox(key="model").value == "bundled:vit"
    assert any("loading" in caption.value for caption in page.sidebar.caption)
    assert not page.metric
    ready.set()


@pytest.mark.parametrize("name", ["clip", "lvlm"])
def test_where_tokens_lie_is_shown_of_models_that_read_texts_too(name):
    start = opened("about/models", model=f"bundled:{name}", image="photo:cat")
    page = settled(start, lambda page: page.error or (page.metric and not page.get("progress")))
    assert not page.error and not page.exception


def test_the_model_and_its_check_appear():
    page = settled(opened("about/models"), lambda page: page.metric)
    values = {metric.label: metric.value for metric in page.metric}
    assert values["Answer when looked at"] == "same bits" and int(values["Attention sites"]) == 6
    assert set(page.selectbox(key="class").options[1:]) == set(CATEGORIES)


def test_a_link_restores_model_picture_class_and_head():
    page = opened("about/models", model="bundled:swin", image="photo:cat", layer="2", head="1", heads="0.1,2.3", query="17").run()
    assert page.selectbox(key="model").value == "bundled:swin"
    assert page.selectbox(key="image").value == "photo:cat"
    chosen = page.session_state["chosen"]
    assert (chosen.layer, chosen.head, chosen.heads, chosen.query) == (2, 1, ((0, 1), (2, 3)), "17")
    assert any("CC0" in caption.value for caption in page.sidebar.caption)


def test_a_senseless_link_is_left_at_its_start():
    page = opened("about/models", layer="seven", head="1e9", heads="a.b,3", image="scene:-4", query="<b>").run()
    chosen = page.session_state["chosen"]
    assert (chosen.layer, chosen.head, chosen.heads, chosen.query) == (-1, 0, (), "")
    assert any("A picture is named" in error.value for error in page.error)
    assert not page.exception


def test_a_model_that_cannot_be_loaded_is_one_sentence_and_can_be_tried_again():
    page = settled(opened("about/models", model="timm:vit_tiny_patch16_22"), lambda page: page.error)
    assert "Near names: vit_tiny_patch16_224" in page.error[0].value
    assert any(button.label == "Try again" for button in page.button)


def test_the_sidebar_says_why_a_model_cannot_be_loaded_on_pages_that_need_none():
    failed = ("model", "timm:vit_tiny_patch16_22", "random")
    session.jobs().start(failed, _refuse, label="").future.exception(timeout=10)
    page = opened("about/methods", model=failed[1]).run()
    assert any("could not be loaded. No such model; near: another" in caption.value for caption in page.sidebar.caption)
    assert not any("loading" in caption.value for caption in page.sidebar.caption)


@pytest.mark.parametrize("page", ["words/ask", "look/attention", "heads/importance"])
def test_the_sidebar_knows_of_a_model_that_ended_while_the_page_was_drawn(page, monkeypatch):
    import model_adapters as ma

    def fail(name, **options):
        time.sleep(0.2)  # shorter than a page waits: the sidebar is drawn before, the page's answer comes after
        raise ma.AdapterError(f"{name} is no model.")

    monkeypatch.setattr(ma, "load", fail)
    test = opened(page, model=f"timm:none-of-{page.replace('/', '-')}").run()
    assert any("is no model." in error.value for error in test.error)
    captions = [caption.value for caption in test.sidebar.caption]
    assert any("could not be loaded" in each for each in captions) and not any("loading" in each for each in captions)


def _refused(kind):
    import model_adapters as ma
    from studies import StudyError
    from ui import session

    def fail(progress):
        if kind == "file":
            raise ValueError("The file is gone.") from OSError("gone")
        raise {"value": ValueError, "model": ma.AdapterError, "study": StudyError, "bug": KeyError}[kind]("So it is.")

    session.part(("refused", kind), fail, label="Asking")


@pytest.mark.parametrize("kind", ["value", "model", "study", "file", "bug"])
def test_what_stays_refused_is_a_neutral_box_and_what_may_work_later_can_be_tried_again(kind):
    page = AppTest.from_function(_refused, args=(kind,)).run()
    if kind in ("value", "model"):
        assert [each.value for each in page.info] == ["So it is."] and not page.error and not page.button
    else:
        assert page.button[0].label == "Try again"
        told = {"study": "So it is.", "file": "The file is gone.", "bug": "Something went wrong here (KeyError)"}[kind]
        assert page.error[0].value.startswith(told)


def _refuse(progress):
    raise ValueError("No such model; near: another")


def test_every_page_has_its_answer_with_the_place_of_the_server():
    routes = {route.path for route in index_html.ROUTES}
    assert {"/", "/look-attention", "/heads-passport", "/about-models"} <= routes
    assert "BACKEND_BASE_URL" in index_html.page() and "<title>Headlight</title>" in index_html.page()


def test_an_upload_of_somebody_else_is_not_shown():
    page = opened("about/models", image="upload:1").run()
    assert any("uploaded in another window" in error.value for error in page.error)
