"""POPE and CHAIR on answers whose score can be counted by hand."""

import numpy as np
import pytest

from world.datasets import TEST_UNBIASED
from world.hallucination import chair_score, mentioned, parse_official, parse_strict, pope_questions, pope_score
from world.scenes import Scene, SceneObject
from world.vocabulary import background_of


@pytest.mark.parametrize(
    ("answer", "official", "strict"),
    [
        ("yes", True, True),
        ("no", False, False),
        ("No, there is no boat.", False, False),
        ("There is not a boat. Yes.", False, None),
        ("a red boat", True, None),
        ("", True, None),
        ("nothing", True, None),
    ],
)
def test_parsing(answer: str, official: bool, strict: bool | None) -> None:
    assert parse_official(answer) is official
    assert parse_strict(answer) is strict


def test_pope_by_hand() -> None:
    score = pope_score(["yes", "yes", "no", "no", "yes"], [True, False, True, False, True])
    assert (score.accuracy, score.yes_share) == (0.6, 0.6)
    assert score.precision == pytest.approx(2 / 3)
    assert score.recall == pytest.approx(2 / 3)
    assert score.false_positive_rate == 0.5


def test_an_answer_that_is_neither_is_wrong_under_the_strict_rule() -> None:
    assert pope_score(["perhaps", "perhaps"], [True, False]).accuracy == 0.5
    strict = pope_score(["perhaps", "perhaps"], [True, False], strict=True)
    assert (strict.accuracy, strict.unparsed) == (0.0, 2)


def test_chair_by_hand() -> None:
    score = chair_score(["a boat, two boats and a star.", "a tree."], [{"boat", "fish"}, {"tree"}])
    assert score.instances == pytest.approx(1 / 3)
    assert score.sentences == 0.5
    assert score.recall == pytest.approx(2 / 3)
    assert score.length == 1.5


def test_repetition_does_not_flatter() -> None:
    once = chair_score(["a boat and a star."], [{"boat"}])
    often = chair_score(["a boat and a boat and a boat and a star."], [{"boat"}])
    assert once.instances == often.instances == 0.5


def test_mentions_know_plurals() -> None:
    assert mentioned("boxes, crosses and FISH") == ("box", "cross", "fish")


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="1 answers for 2 questions"):
        pope_score(["yes"], [True, False])
    with pytest.raises(ValueError, match="1 captions for 2 pictures"):
        chair_score(["a boat"], [{"boat"}, {"fish"}])


@pytest.mark.parametrize("kind", ["random", "popular", "adversarial"])
def test_pope_questions_are_true(kind: str) -> None:
    rng = np.random.default_rng(0)
    for scene in TEST_UNBIASED.take(100):
        for question in pope_questions(scene, kind, rng):
            assert (question.categories[0] in scene.categories) == (question.answer == "yes")
            assert question.categories[0] in question.text


def test_adversarial_questions_ask_for_what_is_expected() -> None:
    scene = Scene("sea", (SceneObject("boat", "red", "plain", 0.3, 0.5, 0.5),), 1)
    rng = np.random.default_rng(0)
    asked = [q for _ in range(20) for q in pope_questions(scene, "adversarial", rng) if q.answer == "no"]
    assert {q.categories for q in asked} == {("fish",)}
    popular = [q for _ in range(20) for q in pope_questions(scene, "popular", rng) if q.answer == "no"]
    assert {background_of(q.categories[0]) for q in popular} == {"sea"}


def test_unknown_kind_of_pope_is_refused() -> None:
    with pytest.raises(ValueError, match="random, popular, adversarial"):
        pope_questions(TEST_UNBIASED[0], "hard", np.random.default_rng(0))
