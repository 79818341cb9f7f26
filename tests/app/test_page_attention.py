"""Look / Attention: the recorded view at once, maps that equal the library's, verdicts, refusals."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import analysis
import model_adapters as ma
from model_adapters.geometry import measure
from tests.app.pages import opened, settled, texts
from ui import looking_parts, pictures
from ui.jobs import Progress
from ui.results import looking


@pytest.fixture(scope="module")
def subject():
    return ma.subject(ma.load("bundled:vit"), pictures.picture("scene:3").array)


def badges(page) -> list[str]:
    return [text.value for text in page.markdown if "badge[deletion" in text.value]


def test_the_recorded_capture_is_shown_while_the_model_loads(monkeypatch, own_jobs):
    ready = threading.Event()
    monkeypatch.setattr(ma, "load", lambda name, **options: ready.wait(60))
    page = opened("look/attention").run()
    assert not page.exception
    assert any("recorded" in caption.value for caption in page.caption)
    assert any("answer: ball" in caption.value for caption in page.caption)
    ready.set()


def test_the_recorded_capture_is_what_the_model_shows_today(subject):
    live = looking.view_of_subject(subject, pictures.picture("scene:3"), Progress())
    kept = looking_parts.recorded()
    assert kept.recorded and not live.recorded
    assert [layer.name for layer in kept.layers] == [layer.name for layer in live.layers]
    assert int(np.argmax(kept.probabilities)) == int(np.argmax(live.probabilities))
    for position in range(len(live.layers)):
        # Kept in bytes: an error of 0.4 % of the largest weight of each row.
        one, other = kept.weights(position), live.weights(position)
        assert (np.abs(one - other) <= 0.004 * other.max(-1, keepdims=True) + 1e-6).all()


def test_four_maps_appear_with_their_verdicts_and_follow_the_class():
    page = settled(opened("look/attention"), lambda page: len(badges(page)) == 4)
    first = badges(page)
    page.selectbox(key="class").set_value("ring")
    page = settled(page, lambda page: len(badges(page)) == 4 and badges(page) != first)
    assert page.selectbox(key="class").value == "ring"


def test_a_method_can_be_chosen_in_the_link_and_at_most_four():
    page = settled(opened("look/attention", maps="rollout"), lambda page: len(badges(page)) == 1)
    assert page.multiselect(key="maps").value == ["rollout"]


def test_rollout_warns_of_a_sink_beside_its_picture():
    page = opened("look/attention", maps="rollout", model="bundled:vit-sinks", picture="scene:3")
    page = settled(page, lambda page: len(badges(page)) == 1)
    told = [caption.value for caption in page.caption if "rollout follows it" in caption.value]
    subject = ma.subject(ma.load("bundled:vit-sinks"), pictures.picture("scene:3").array)
    received = [w[:, :, 1:].mean((0, 1)).max() * 145 for w in subject.capture().weights.values()]
    assert len(told) == 1 and f"{max(received):.0f} times its share of attention in layer {np.argmax(received)}" in told[0]
    assert analysis.explain(ma.subject(ma.load("bundled:vit"), subject.image), "rollout").note == ""


def test_windowed_models_say_why_rollout_is_not_offered():
    page = settled(opened("look/attention", model="bundled:swin"), lambda page: page.expander)
    refusals = page.expander[0].markdown[0].value
    assert "Attention rollout needs square attention" in refusals
    assert "rollout" not in page.multiselect(key="maps").value


def test_a_verdict_is_that_of_the_library(subject):
    shown = analysis.explain(subject, "rollout")
    found = looking.verdict(subject, shown, None, pictures.picture("scene:3").mask("ball"), Progress())
    own = analysis.faithful(
        subject, shown, mask=pictures.picture("scene:3").mask("ball"), fills=("mean",), steps=looking.STEPS,
        orders=looking.ORDERS, samples=0, grid=12,
    )  # fmt: skip
    assert found.deletion == pytest.approx(own.deletion["mean"].area)
    assert found.random_deletion[0] == pytest.approx(own.deletion["mean"].random_areas.mean())
    assert found.beaten == own.deletion["mean"].better_than_random
    assert found.energy == own.energy.value


def test_a_large_model_is_captured_layer_by_layer_with_the_same_weights(subject, monkeypatch):
    picture = pictures.picture("scene:3")
    whole = looking.view_of_subject(subject, picture, Progress())
    monkeypatch.setattr(looking, "LARGEST", 0)
    lazy = looking.view_of_subject(subject, picture, Progress())
    assert [layer.heads for layer in lazy.layers] == [layer.heads for layer in whole.layers]
    np.testing.assert_allclose(lazy.weights(3), whole.weights(3), atol=1e-3)
    np.testing.assert_array_equal(lazy.layers[2].keys.boxes, whole.layers[2].keys.boxes)


@pytest.fixture
def slow_geometry(monkeypatch, own_jobs, tmp_path):
    """Nothing is measured before this event is set."""
    monkeypatch.setenv("HEADLIGHT_CACHE", str(tmp_path))
    ready = threading.Event()

    def measured(*given):
        assert ready.wait(60)
        return real(*given)

    real = measure.measured
    monkeypatch.setattr(measure, "measured", measured)
    yield ready
    ready.set()


def test_the_picture_is_there_before_the_geometry_where_the_plain_grid_is_certain(slow_geometry):
    page = settled(opened("look/attention", picture="scene:4"), lambda page: "patch grid" in texts(page))
    assert "answer: " in texts(page), "the viewer is drawn"
    slow_geometry.set()
    settled(page, lambda page: "answer: " in texts(page) and "patch grid" not in texts(page))


def test_a_page_says_that_places_are_measured_where_no_grid_is_certain(slow_geometry):
    page = opened("look/attention", model="bundled:swin", picture="scene:4")
    told = settled(page, lambda page: "measuring where its tokens lie" in str([bar.proto for bar in page.get("progress")]))
    assert "answer: " not in texts(told)
    slow_geometry.set()
    settled(page, lambda page: "answer: " in texts(page))


def test_a_draft_shows_the_weights_and_boxes_of_the_measured_view(subject, monkeypatch, tmp_path):
    monkeypatch.setenv("HEADLIGHT_CACHE", str(tmp_path))
    picture = pictures.picture("scene:4")
    subject = ma.subject(subject.model, picture.array)
    draft = looking.first_view(subject, picture, Progress())
    assert isinstance(draft, looking.Draft)
    whole = draft.measured(Progress())
    assert [layer.name for layer in draft.view.layers] == [layer.name for layer in whole.layers]
    assert draft.view.statistics == whole.statistics
    for position, layer in enumerate(whole.layers):
        np.testing.assert_array_equal(draft.view.weights(position), whole.weights(position))
        np.testing.assert_array_equal(draft.view.layers[position].keys.boxes, layer.keys.boxes)
    for again in (subject, ma.subject(subject.model, picture.array)):
        assert not isinstance(looking.first_view(again, picture, Progress()), looking.Draft), "known, or on the disk"


def test_one_tower_of_a_view_keeps_its_weights():
    model = ma.load("bundled:lvlm")
    subject = ma.subject(model, pictures.picture("scene:3").array, "is there a ball?")
    whole = looking.view_of_subject(subject, pictures.picture("scene:3"), Progress())
    decoder = looking.of_tower(whole, "decoder")
    first = next(n for n, layer in enumerate(whole.layers) if layer.tower == "decoder")
    assert {layer.tower for layer in decoder.layers} == {"decoder"} and len(decoder.layers) < len(whole.layers)
    np.testing.assert_array_equal(decoder.weights(0), whole.weights(first))
