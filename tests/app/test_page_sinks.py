"""The page Sinks: a planted sink is found, a model without any is said to have none, and what is refused says why."""

from __future__ import annotations

import numpy as np
import pytest

import model_adapters as ma
from model_adapters.edits import Block
from tests.app.pages import opened, settled, texts
from ui.jobs import Progress
from ui.pictures import picture
from ui.results import sinks, sinks_set
from ui.results.sinks_set import Asked


@pytest.fixture(scope="module")
def planted():
    model = ma.load("bundled:vit-sinks")
    subject = ma.subject(model, picture("scene:3").array)
    return model, subject, sinks.seen(subject, Progress())


@pytest.fixture(scope="module")
def plain():
    subject = ma.subject(ma.load("bundled:vit"), picture("scene:3").array)
    return subject, sinks.seen(subject, Progress())


def test_the_planted_sink_is_found_where_it_was_planted(planted):
    _, subject, capture = planted
    found = sinks.layers(capture, "attention")
    assert [layer.sinks for layer in found] == [(), (), (1,), (1,), (1,), (1,)]
    best = found[sinks.first_shown(found)]
    whole = subject.capture().weights[best.number]
    slow = np.mean([[whole[h, q, 1] for q in range(145)] for h in range(4)]) * 145
    assert best.peak == pytest.approx(slow, rel=1e-4)
    assert "row 0, column 0" in sinks.verdict(best) and sinks.verdict(best).startswith("**Yes")
    assert sinks.none_anywhere(found, "it") == ""
    said = sinks.over_layers(found)
    assert said.startswith("4 of 6 layers have a sink by attention received: layer 2, layer 3, layer 4, layer 5. It is strongest")
    assert f"{best.title}: row 0, column 0 receives {sinks.number(best.peak)} times an even share." in said


@pytest.mark.parametrize("sign", list(sinks.SIGNS))
def test_a_model_without_sinks_is_said_to_have_none(plain, sign):
    found = sinks.layers(plain[1], sign)
    assert not any(layer.sinks for layer in found)
    assert "parks nothing" in sinks.none_anywhere(found, "bundled:vit") and sinks.over_layers(found) == ""
    assert sinks.verdict(found[0]).startswith("**No")


def test_the_threshold_is_the_higher_of_both_or_the_one_given(plain):
    layer = sinks.layer_by(plain[1], "norm", 2, tower="vision")
    median = np.median(np.linalg.norm(plain[1].hidden["vision", 2][1:], axis=1))
    assert layer.found.threshold.value == pytest.approx(max(layer.automatic, 3 * median), rel=1e-5)
    by_hand = sinks.layer_by(plain[1], "norm", 2, tower="vision", multiple=1.2)
    norms = np.linalg.norm(plain[1].hidden["vision", 2], axis=1)
    assert set(by_hand.sinks) == {i for i in range(1, 145) if norms[i] > 1.2 * median}


def test_signs_agree_as_far_as_their_sets_overlap(planted):
    rows, shared = sinks.agreement(planted[2], 3, tower="vision")
    assert {row.sign: row.tokens for row in rows} == {"attention": (1,), "norm": (), "massive": ()}
    assert shared == {("attention", "norm"): 0.0, ("attention", "massive"): 0.0, ("norm", "massive"): None}


def test_the_largest_scalars_are_those_of_the_hidden_state(planted):
    table = sinks.massive_table(planted[2], 3, tower="vision")
    states = planted[2].hidden["vision", 3]
    token, dim = np.unravel_index(np.abs(states).argmax(), states.shape)
    assert table[0]["dimension"] == dim and table[0]["value"] == pytest.approx(states[token, dim])
    assert table[0]["times median"] == pytest.approx(np.abs(states).max() / np.median(np.abs(states)), rel=1e-5)


def test_over_scenes_the_planted_sink_stays_in_its_place(planted):
    model, subject, capture = planted
    asked = Asked("attention", 3, scenes=4)
    over = sinks_set.over_scenes(model, asked, Progress())
    assert over.sinks == ((1,),) * 4 and over.share[0] == 1 and over.share[1:].max() == 0
    assert 0 < over.explained < 1 and over.usual is not None
    names = sinks_set.offered(capture, asked, over)
    assert names[0] == "block the columns" and "zero the massive dimensions" in names and not over.no_added
    found = sinks_set.before_after(subject, capture, asked, names[0], (1,), over, draws=3)
    where = ma.Where(tower="vision", layers=(3, 4, 5), keys=(1,))
    logits = ma.run(model, subject.inputs, Block(where))[0].double().softmax(-1).numpy()
    assert found.after == pytest.approx(logits, abs=1e-5) and found.random.shape == (3, 12)
    assert found.top[0] == found.before.argmax()


def test_what_ifs_count_their_runs(planted):
    model, _, capture = planted
    asked = Asked("attention", 5, scenes=2)
    over = sinks_set.over_scenes(model, asked, Progress())
    progress = Progress()
    rows = sinks_set.whatifs(model, capture, asked, over, progress, draws=2)
    assert [row.name for row in rows] == list(sinks_set.offered(capture, asked, over))
    assert progress.done == 1 and progress.note == "run 14 of 14"  # two scenes: one run as it is, two what-ifs, three sets


def test_the_page_answers_at_once_and_leads_to_the_planted_sink():
    page = settled(opened("tokens/sinks"), lambda page: "Three signs" in [s.value for s in page.subheader])
    assert "No sink in layer" in texts(page) and "bundled:vit parks nothing here" in texts(page)
    next(button for button in page.button if button.label == "Try bundled:vit-sinks").click()
    settled(page, lambda page: "**Yes, in layer" in texts(page))
    assert "Its sink is planted" in texts(page) and "4 of 6 layers have a sink" in texts(page)


def test_a_threshold_by_hand_changes_the_answer(plain):
    page = settled(opened("tokens/sinks", sign="norm", at="2"), lambda page: page.subheader)
    page.toggle(key="by-hand").set_value(True).run()
    page.slider(key="threshold").set_value(1.0)
    settled(page, lambda page: page.subheader)
    expected = sinks.layers(plain[1], "norm", multiple=1.0)[2]
    assert sinks.verdict(expected) in [m.value for m in page.markdown] and len(expected.sinks) > 10


def test_what_cannot_be_is_refused_with_a_reason():
    page = settled(opened("tokens/sinks", model="bundled:swin", mode="relative"), lambda page: page.info)
    assert "no class token" in texts(page)
    page = settled(opened("tokens/sinks", model="bundled:swin", sign="norm"), lambda page: page.subheader)
    assert "attends within windows" in texts(page)


@pytest.mark.parametrize("name", ["bundled:clip", "bundled:lvlm", "timm:test_vit"])
def test_other_models_are_looked_at_too(name):
    page = settled(opened("tokens/sinks", model=name), lambda page: "Three signs" in [s.value for s in page.subheader])
    assert not page.error
