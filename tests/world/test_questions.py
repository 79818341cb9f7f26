"""Captions and questions say what is true, in words that the tokenizer knows."""

import numpy as np
import pytest

from model_adapters.words import KnownWords
from world.captions import caption
from world.datasets import TRAINING
from world.hallucination import mentioned
from world.questions import ASKING, NUMBERS, Question, ask
from world.scenes import Scene, SceneObject
from world.tokenizer import EOS, UNKNOWN, build_tokenizer, words

BOAT = SceneObject("boat", "red", "plain", 0.4, 0.25, 0.3)
FISH = SceneObject("fish", "orange", "plain", 0.2, 0.8, 0.75)
SECOND_FISH = SceneObject("fish", "blue", "plain", 0.18, 0.2, 0.8)
SEA = Scene("sea", (FISH, BOAT), 5)


def _asked(scene: Scene, kind: str, rounds: int = 60) -> list[Question]:
    rng = np.random.default_rng(0)
    return [question for _ in range(rounds) for question in ask(scene, [kind], rng)]


def test_caption_lists_objects_from_large_to_small() -> None:
    assert caption(SEA) == "a picture of the sea with a red boat and an orange fish."
    assert mentioned(caption(SEA)) == ("boat", "fish")


def test_existence_answers() -> None:
    answers = {(q.categories[0] in SEA.categories, q.answer) for q in _asked(SEA, "existence")}
    assert answers == {(True, "yes"), (False, "no")}


def test_place_colour_and_relation_answers() -> None:
    assert {(q.text, q.answer) for q in _asked(SEA, "place")} == {
        ("where is the boat?", "top left"),
        ("where is the fish?", "bottom right"),
    }
    assert {q.answer for q in _asked(SEA, "colour") if "boat" in q.text} == {"red"}
    truths = {q.text: q.answer for q in _asked(SEA, "relation")}
    assert truths["is the boat left of the fish?"] == "yes"
    assert truths["is the boat below the fish?"] == "no"


def test_count_answers() -> None:
    three = Scene("sea", (FISH, BOAT, SECOND_FISH), 5)
    truths = {q.text: q.answer for q in _asked(three, "count")}
    assert truths["how many fish are there?"] == "two"
    assert truths["how many boats are there?"] == "one"
    assert {a for t, a in truths.items() if "fish" not in t and "boats" not in t} == {"zero"}


def test_ambiguous_questions_are_not_asked() -> None:
    twins = Scene("sea", (FISH, SECOND_FISH), 5)
    assert not any(_asked(twins, kind) for kind in ("colour", "place", "relation"))


def test_attribute_answers() -> None:
    pairs = {(i.colour, i.category) for i in SEA.objects}
    for question in _asked(SEA, "attribute"):
        named = any(f"{colour} {category}" in question.text for colour, category in pairs)
        assert question.answer == ("yes" if named else "no")


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kinds of question"):
        ask(SEA, ["smell"], np.random.default_rng(0))


def test_the_tokenizer_knows_every_word_and_gives_it_back() -> None:
    tokenizer, rng = build_tokenizer(), np.random.default_rng(1)
    for scene in TRAINING.take(200):
        for question in ask(scene, list(ASKING), rng):
            ids = tokenizer(question.text + " " + question.answer).input_ids
            assert UNKNOWN not in ids
        said = caption(scene)
        assert tokenizer.decode(tokenizer(said).input_ids + [EOS], skip_special_tokens=True) == said


def test_words_are_unique_and_numbers_are_there() -> None:
    assert len(set(words())) == len(words())
    assert set(NUMBERS) <= set(words())


def test_a_word_outside_the_vocabulary_gets_a_sentence() -> None:
    known = KnownWords(None, build_tokenizer(), "The model")
    known.check("Is there a RED ball?")
    with pytest.raises(ValueError, match="'dog' is not among them.*boat, boats"):
        known.check("is there a dog?")
    with pytest.raises(ValueError, match="'sofa', 'boot' are not among them. Did you mean .*boat"):
        known.check("a sofa and a boot")


def test_chat_template_puts_the_picture_first() -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "where is the boat?"}, {"type": "image"}]}
    text = build_tokenizer().apply_chat_template([message], add_generation_prompt=True, tokenize=False)
    assert text == "<image>user: where is the boat? assistant:"
