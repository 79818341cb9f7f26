"""What is asked of a scene, and what a text names."""

import numpy as np
import pytest

from world.datasets import TEST_UNBIASED
from world.hallucination import mentioned, pope_questions
from world.scenes import Scene, SceneObject
from world.vocabulary import background_of


def test_mentions_know_plurals() -> None:
    assert mentioned("boxes, crosses and FISH") == ("box", "cross", "fish")


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
