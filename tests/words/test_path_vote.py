"""Votes of views and decoding paths: by hand, with one path, planted, and on a model."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import model_adapters as ma
from analysis.signals import picture_views
from analysis.words.path_vote import path_vote
from tests.words.told import told

WORDS = ["yes", "no", "there", "is"]


def decode(ids) -> str:
    return " ".join(WORDS[i] for i in ids)


def scores(*shares: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.array(shares))


def token(number: int, logits: np.ndarray) -> SimpleNamespace:
    return SimpleNamespace(id=number, logits=logits)


def speaking(opening: dict[str, np.ndarray], after: np.ndarray):
    """A model by hand: it begins with the likeliest word of a view, and says "is" next."""

    def go_on(view, first):
        begin = () if first else (token(int(opening[view].argmax()), opening[view]),)
        return SimpleNamespace(tokens=(*begin, token(3, after)))

    return go_on


def test_votes_by_hand():
    opening = {"a": scores(0.6, 0.3, 0.0999, 0.0001), "b": scores(0.2, 0.7, 0.05, 0.05)}
    after = scores(0.1, 0.1, 0.1, 0.7)
    found = path_vote(["a", "b"], speaking(opening, after), decode, paths=3)
    certain = {"a": 0.6 - 0.3, "b": 0.7 - 0.2}
    votes = {
        "yes": 0.6 * certain["a"] + 0.2 * certain["b"], "no": 0.3 * certain["a"] + 0.7 * certain["b"],
        "there": 0.0999 * certain["a"] + 0.05 * certain["b"],
    }  # fmt: skip
    assert found.answers == ("no", "yes", "there")
    assert found.scores == pytest.approx([votes[said] for said in found.answers])
    assert found.share == pytest.approx(votes["no"] / sum(votes.values()))
    assert len(found.paths) == 6 and {path.text for path in found.paths} == {"yes is", "no is", "there is"}
    last = path_vote(["a", "b"], speaking(opening, after), decode, paths=3, read="last word")
    assert last.answers == ("is",) and [path.certainty for path in last.paths] == pytest.approx([0.6] * 6)


def test_what_is_too_unlikely_is_not_followed():
    opening = {"a": scores(0.9985, 0.0005, 0.0005, 0.0005)}
    assert len(path_vote(["a"], speaking(opening, scores(1, 1, 1, 1)), decode).paths) == 1
    assert len(path_vote(["a"], speaking(opening, scores(1, 1, 1, 1)), decode, least=0).paths) == 4


def test_an_undecided_view_has_no_vote():
    opening = {"sure": scores(0.1, 0.9, 0, 0), "undecided": scores(0.5, 0.5, 0, 0)}
    found = path_vote(["undecided"] * 5 + ["sure"], speaking(opening, scores(1, 1, 1, 1)), decode, paths=2)
    assert found.answers[0] == "no" and found.scores[0] == pytest.approx(0.9 * 0.8)


def test_on_a_model_each_path_is_what_the_model_says_behind_its_first_token():
    case = told("bundled:lvlm", text="is there a boat in the picture ?")
    model = case.model
    pictures = picture_views(np.asarray(case.inputs.images[0][0]))[:2]
    looks = [model.prepare(image=picture, text="is there a boat in the picture ?") for picture in pictures]

    def go_on(prompt, first):
        return ma.generate(model, ma.continued(model, prompt, first) if first else prompt, max_new_tokens=3)

    found = path_vote(looks, go_on, case.asked.decode, paths=2, least=0)
    assert {path.said for path in found.paths} >= {"yes", "no"} and len(found.paths) == 4
    plain = ma.generate(model, looks[0], max_new_tokens=3)
    first = max((path for path in found.paths if path.view == 0), key=lambda path: path.probability)
    assert first.text == plain.text and first.probability == pytest.approx(plain.tokens[0].probability, abs=1e-5)


def test_without_views_or_words_it_is_said():
    with pytest.raises(ValueError, match="at least one view"):
        path_vote([], speaking({}, scores(1)), decode)
    with pytest.raises(ValueError, match="no path of 1 views said a word"):
        path_vote(["a"], speaking({"a": scores(1, 0, 0, 0)}, scores(1, 1, 1, 1)), lambda ids: "")
