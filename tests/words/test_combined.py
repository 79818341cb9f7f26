"""The combined score: it finds what was planted, is measured on unseen answers, and is plain data."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis.signals import CombinedScore, combined_score

NAMES = ("tells", "noise", "against")


def planted(answers: int = 200, per: int = 3, seed: int = 0):
    draw = np.random.default_rng(seed)
    made_up = draw.random(answers * per) < 0.4
    tells = made_up + draw.normal(0, 0.5, len(made_up))
    values = np.stack([10 + 3 * tells, draw.normal(size=len(made_up)), draw.normal(0, 1, len(made_up)) - made_up], 1)
    return values, made_up, np.repeat(np.arange(answers), per)


@pytest.fixture(scope="module")
def fitted():
    values, made_up, answers = planted()
    return combined_score(values, made_up, answers, NAMES, model="by hand")


def test_it_finds_what_tells(fitted):
    assert [name for name, _ in fitted.ranking()] == ["tells", "against", "noise"]
    weights = dict(fitted.ranking())
    assert weights["tells"] > 1 and weights["against"] < -0.3 and abs(weights["noise"]) < 0.3
    assert fitted.auroc > 0.9 and fitted.words == 600 and fitted.model == "by hand"


def test_it_scores_as_scikit_learn_does(fitted):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    values, made_up, _ = planted()
    scaler = StandardScaler().fit(values)
    expected = LogisticRegression(max_iter=1000).fit(scaler.transform(values), made_up)
    np.testing.assert_allclose(fitted(values), expected.predict_proba(scaler.transform(values))[:, 1], atol=1e-4)


def test_noise_alone_is_chance():
    draw = np.random.default_rng(1)
    values, made_up, answers = draw.normal(size=(600, 3)), draw.random(600) < 0.5, np.repeat(np.arange(200), 3)
    assert abs(combined_score(values, made_up, answers, NAMES).auroc - 0.5) < 0.08


def test_an_answers_own_mark_cannot_be_learnt():
    """A signal that names the answer tells nothing of answers that were left out."""
    draw = np.random.default_rng(2)
    answers = np.repeat(np.arange(40), 10)
    made_up = (draw.random(40) < 0.5)[answers]
    values = np.eye(40)[answers]
    assert combined_score(values, made_up, answers, [f"is {i}" for i in range(40)], strength=100).auroc < 0.6


def test_parts_add_up_to_the_odds(fitted):
    values = planted()[0][:5]
    for row in values:
        parts = fitted.explain(row)
        assert parts.values.sum() == pytest.approx(parts.total)
        assert 1 / (1 + np.exp(-parts.total)) == pytest.approx(fitted(row)[0])


def test_a_missing_value_adds_nothing(fitted):
    row = np.array([np.nan, 0.3, np.nan])
    parts = dict(zip((*NAMES, "bias"), fitted.explain(row).values, strict=True))
    assert parts["tells"] == 0 and parts["against"] == 0
    values, made_up, answers = planted()
    values[::7, 0] = np.nan
    assert combined_score(values, made_up, answers, NAMES).auroc > 0.85


def test_it_is_saved_as_plain_text(fitted, tmp_path):
    path = tmp_path / "score.json"
    fitted.save(path)
    assert json.loads(path.read_text())["names"] == list(NAMES)
    assert CombinedScore.load(path) == fitted


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("not json", "holds no JSON"),
        ("[1, 2]", "no combined score of the format"),
        ('{"format": "other"}', "no combined score of the format"),
        ('{"format": "headlight-signals-1", "names": []}', "not a whole combined score"),
    ],
)
def test_other_files_are_refused(text, sentence, tmp_path):
    path = tmp_path / "score.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        CombinedScore.load(path)


def test_a_file_that_lacks_weights_is_refused(fitted, tmp_path):
    path = tmp_path / "score.json"
    fitted.save(path)
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "weights": found["weights"][:-1]}))
    with pytest.raises(ValueError, match="2 weights for 3 signals"):
        CombinedScore.load(path)


def test_what_cannot_be_fitted_is_refused():
    values, made_up, answers = planted(answers=4)
    with pytest.raises(ValueError, match="5 folds need made-up words in at least 5 answers"):
        combined_score(values, made_up, answers, NAMES)
    with pytest.raises(ValueError, match=r"signals must be \[words, 3\]"):
        combined_score(values[:, :2], made_up, answers, NAMES)
    with pytest.raises(ValueError, match="one label and one answer per word"):
        combined_score(values, made_up[:-1], answers, NAMES)
