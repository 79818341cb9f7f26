"""The log-probability of a word before other pictures: what occlusion and faithfulness of word maps are measured by."""

from __future__ import annotations

import numpy as np
import pytest

import analysis
import model_adapters as ma
from analysis.words import word_scorer
from tests.words.told import QUESTION, at, told

QUIETLY = {"fills": ("mean",), "steps": 4, "orders": 2, "grid": 4, "samples": 0}


def scorer_of(name: str, word):
    case = told(name)

    def prepare(picture):
        return ma.continued(case.model, case.model.prepare(image=picture, text=QUESTION), case.ids)

    return case, word_scorer(ma.run, case.model, prepare, case.answer, word)


@pytest.mark.parametrize("name", ["bundled:lvlm", "llava", "qwen2_vl", "instructblip"])
def test_before_its_own_picture_a_word_is_as_likely_as_it_was(name):
    steps = (0, 1) if len(told(name).ids) > 1 else (0,)
    case, score = scorer_of(name, at(*steps))
    own = np.asarray(case.inputs.images[0][0])
    found = score(np.stack([own, np.full_like(own, 128)]))
    assert found.shape == (2,) and abs(found[0] - found[1]) > 1e-6
    expected = sum(np.log(case.generation.tokens[step].probability) for step in steps)
    assert found[0] == pytest.approx(expected, abs=1e-3)


def test_maps_of_words_have_their_faithfulness_and_patches_are_painted_over():
    case, score = scorer_of("llava", at(0))
    picture = np.asarray(case.inputs.images[0][0])
    shown = analysis.find("word_map").function(case.answer, at(0))
    found = analysis.find("faithfulness").function(score, shown, picture, **QUIETLY)
    curve = found.deletion["mean"].curve.values
    assert curve[0] == pytest.approx(float(score(picture[None])[0]), abs=1e-5) and len(curve) == 5
    painted = analysis.find("painted_over").function(case.answer, score, picture, at(0), grid=2)
    other = picture.copy()
    other[: picture.shape[0] // 2, : picture.shape[1] // 2] = picture.reshape(-1, 3).mean(0)
    lost = float(score(picture[None])[0] - score(other[None])[0])
    assert painted.values[0] == pytest.approx(lost, abs=1e-5)


def test_pictures_of_another_shape_are_refused():
    _, score = scorer_of("llava", at(0))
    with pytest.raises(ValueError, match=r"pictures must be \[B, height, width, 3\]"):
        score(np.zeros((4, 4, 3)))
