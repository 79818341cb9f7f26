"""A matcher says which regions of a picture a question is about: what is painted, with which share, and a dual encoder as one."""

from __future__ import annotations

import numpy as np
import pytest

import analysis
import model_adapters as ma
from analysis.fixes import Match, dual_matcher, relevant_regions_added
from analysis.fixes.relevant_regions import RelevantOnly, blackened
from model_adapters.planned import Glance
from tests.fixes.small import LONGEST, NOTHING, QUESTION, asked, ids


def test_the_lowest_pixels_are_black_and_no_others():
    picture = np.full((10, 20, 3), 200, np.uint8)
    ramp = np.arange(200.0).reshape(10, 20)
    for share in (0.0, 0.25, 0.5):
        found = blackened(picture, ramp, share)
        assert {tuple(p) for p in found[ramp < round(share * 200) - 1]} <= {(0, 0, 0)}
        assert (found[ramp >= round(share * 200)] == 200).all()
    assert (blackened(picture, np.ones((2, 2)), 0.9) == 200).all(), "pixels as relevant as the last kept one stay"
    halves = blackened(picture, np.array([[0.0, 1.0]]), 0.5)
    assert (halves[:, :4] == 0).all() and (halves[:, -4:] == 200).all()
    with pytest.raises(ValueError, match="finite map"):
        blackened(picture, np.full((2, 2), np.nan), 0.5)


@pytest.mark.parametrize(("score", "share"), [(None, 0.25), (0.8, 0.4)])
def test_a_matcher_is_asked_about_picture_and_question(score, share):
    heard = []

    def match(picture, text):
        heard.append((picture.shape, text))
        return Match(np.arange(12.0).reshape(3, 4), score)

    glance = Glance(*asked("llava"))
    shown = RelevantOnly(0.25, match).picture(glance)
    assert heard == [(glance.image.shape, QUESTION)]
    np.testing.assert_array_equal(shown, blackened(glance.image, np.arange(12.0).reshape(3, 4), share))


@pytest.mark.parametrize("name", ["bundled:lvlm", "llava", "qwen2_vl", "instructblip"])
def test_a_matcher_that_leaves_the_picture_whole_changes_no_token(name):
    whole = relevant_regions_added(matcher=lambda picture, text: Match(np.ones((2, 2)), 0.0))
    assert ids(name, **whole) == ids(name)


def test_a_dual_encoder_is_a_matcher():
    clip, lvlm = ma.load("bundled:clip"), ma.load("bundled:lvlm")
    inputs = lvlm.prepare(image=asked("bundled:lvlm")[1].images[0][0], text="is there a boat in the picture ?")
    match = dual_matcher(lambda picture, text: ma.subject(clip, picture, [text]))
    picture = np.asarray(inputs.images[0][0])
    found = match(picture, inputs.texts[0])
    own = analysis.explain(ma.subject(clip, picture, [inputs.texts[0]]), "gradient_attention_relevance", target=0).raster()
    np.testing.assert_allclose(found.relevance, own)
    assert found.relevance.shape == picture.shape[:2] and found.score is None
    said = ma.generate(lvlm, inputs, max_new_tokens=LONGEST, keep=NOTHING, **relevant_regions_added(matcher=match))
    named = ma.generate(lvlm, inputs, max_new_tokens=LONGEST, keep=NOTHING, **relevant_regions_added(judge="bundled:clip"))
    assert len(said.tokens) > 0
    assert [(t.id, t.probability) for t in named.tokens] == [(t.id, pytest.approx(t.probability)) for t in said.tokens]


def test_the_judge_is_an_option_of_the_page():
    option = next(o for o in analysis.find("relevant_regions_added").options if o.name == "judge")
    assert option.choices == ("the model itself", "bundled:clip") and option.default == "the model itself"
    assert relevant_regions_added(judge="bundled:clip") == relevant_regions_added(judge="bundled:clip")
    with pytest.raises(ValueError, match="'unicorn' is not among them"):
        Glance(*asked("llava")).judged("bundled:clip", np.zeros((32, 32, 3), np.uint8), "a unicorn")
