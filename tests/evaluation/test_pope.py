"""POPE over a folder: what is asked, and that every figure says what it depends on."""

from __future__ import annotations

from pathlib import Path

import pytest

import model_adapters as ma
from analysis.evaluation import CocoSet, pope, pope_questions, read_coco
from tests.evaluation.folders import THINGS, saying, written
from world.coco import export_coco
from world.datasets import TEST_UNBIASED


@pytest.fixture
def folder(tmp_path: Path) -> CocoSet:
    return read_coco(written(tmp_path))


@pytest.mark.parametrize("kind", ["random", "popular", "adversarial"])
def test_half_of_the_questions_are_true(folder: CocoSet, kind: str) -> None:
    asked, left_out = pope_questions(folder, kind, pairs=2)
    assert (len(asked), left_out) == (16, 1)
    for image in folder.images[:4]:
        own = [question for question in asked if question.image == image]
        assert [question.there for question in own] == [True, False] * 2
        assert all((question.thing in image.things) == question.there for question in own)
        assert len({question.thing for question in own}) == 4


def test_popular_and_adversarial_ask_for_what_is_expected(folder: CocoSet) -> None:
    popular, _ = pope_questions(folder, "popular", pairs=1)
    in_vain = {q.image.name: q.thing for q in popular if not q.there}
    # By images: person 4, dog 3, tie and knife 2, hot dog 1.
    assert in_vain == {"0.png": "tie", "1.png": "knife", "2.png": "dog", "3.png": "tie", "4.png": "person"}
    adversarial, _ = pope_questions(folder, "adversarial", pairs=3)
    for question, other in zip(adversarial[::2], adversarial[1::2], strict=True):
        seen = {name: sum({name, question.thing} <= set(row) for row in THINGS) for name in folder.categories}
        used = {q.thing for q in adversarial[: adversarial.index(other)] if q.image == other.image} | set(other.image.things)
        assert seen[other.thing] == max(seen[name] for name in folder.categories if name not in used)


def test_the_same_seed_asks_the_same(folder: CocoSet) -> None:
    one, again, other = (pope_questions(folder, "random", 2, images=3, seed=seed)[0] for seed in (1, 1, 2))
    assert one == again != other
    assert len({question.image.name for question in one}) == 3


def test_figures_are_those_of_the_answers(folder: CocoSet) -> None:
    found = pope(folder, saying(lambda n, text: "Yes." if "person" in text else "no"), kind="popular", pairs=1)
    truth = [(question.thing == "person") == question.there for question in found.questions]
    assert found.figures()["accuracy"].value == sum(truth) / len(truth)
    assert found.figures("strict")["unparsable"].value == 0
    assert {answer.prompt for answer in found.answers} == {question.text for question in found.questions}


def test_every_print_says_what_it_depends_on(folder: CocoSet) -> None:
    edits = (ma.edits.Gate(), ma.edits.Gate())
    found = str(pope(folder, saying(lambda n, text: "maybe", edits), pairs=2, longest=7, seed=3, template="{thing}, yes or no?"))
    for part in ("told", "instances_test", "4 images", "16 answers", "7 new tokens", "'{thing}, yes or no?'", "Greedy()", "Gate",
                 "seed 3", "unparsable 1.000", "official rule", "strict rule", "1 images with too few"):  # fmt: skip
        assert part in found, part


def test_pictures_that_fail_are_told_and_the_rest_goes_on(folder: CocoSet) -> None:
    folder.images[1].file.write_text("no picture")
    found = pope(folder, saying(lambda n, text: "yes"), pairs=1)
    assert len(found.skipped) == 2 and all(fault.startswith("1.png: ") for fault in found.skipped)
    assert (found.setting.images, found.setting.answers) == (4, 8)
    assert "2 questions failed" in str(found)


def test_progress_is_told_and_may_stop_it(folder: CocoSet) -> None:
    told: list[float] = []
    pope(folder, saying(lambda n, text: "yes"), pairs=1, progress=told.append)
    assert told == [(n + 1) / 10 for n in range(10)]

    def stop(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pope(folder, saying(lambda n, text: "yes"), pairs=1, progress=stop)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kind": "hard"}, "random, popular, adversarial"),
        ({"pairs": 4}, "none of the 5 images .* the fullest holds 3"),
        ({"pairs": 0}, "at least 1"),
        ({"images": 0}, "at least one image"),
        ({"template": "is it?"}, "must hold {thing}"),
        ({"template": "{it} {thing}"}, "no other braces"),
    ],
)
def test_bad_wishes_get_a_sentence(folder: CocoSet, options: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        pope(folder, saying(lambda n, text: "yes"), **options)


def test_nobody_who_answers_gets_a_sentence(folder: CocoSet) -> None:
    def silent(image: Path, text: str, *, max_new_tokens: int) -> ma.Generation:
        raise ma.AdapterError("too long.")

    with pytest.raises(ValueError, match="none of 10 questions was answered. The first: 0.png: too long"):
        pope(folder, silent, pairs=1)


def test_a_model_is_asked_as_it_would_be_one_by_one(tmp_path: Path) -> None:
    model = ma.load("bundled:lvlm")
    data = read_coco(export_coco(TEST_UNBIASED.take(4), tmp_path, size=96))
    found = pope(data, ma.speaker(model), kind="random", pairs=1, template="is there {a} {thing}?", longest=3)
    for question, answer in zip(found.questions, found.answers, strict=True):
        inputs = model.prepare(image=question.image.file, text=question.text)
        assert ma.generate(model, inputs, max_new_tokens=3).text == answer.text
    assert found.setting.model == "bundled:lvlm"


def test_a_model_without_answers_is_refused() -> None:
    with pytest.raises(ma.AdapterError, match="answers no questions"):
        ma.speaker(ma.load("bundled:vit"))


def test_in_batches_the_answers_are_the_same(tmp_path: Path) -> None:
    model = ma.load("bundled:lvlm")
    data = read_coco(export_coco(TEST_UNBIASED.take(5), tmp_path, size=96))
    data.images[2].file.write_text("no picture")
    options: dict = {"kind": "random", "pairs": 1, "template": "is there {a} {thing} in the picture?", "longest": 3}
    told: list[float] = []
    alone = pope(data, ma.speaker(model), **options)
    together = pope(data, ma.speaker(model), batch=4, progress=told.append, **options)
    assert (together.answers, together.skipped) == (alone.answers, alone.skipped) and len(alone.skipped) == 2
    assert told == [0.4, 0.8, 1.0]


def test_batches_that_cannot_be_get_a_sentence(tmp_path: Path, folder: CocoSet) -> None:
    with pytest.raises(ValueError, match="one question at a time"):
        pope(folder, saying(lambda n, text: "yes"), pairs=1, batch=2)
    with pytest.raises(ValueError, match="at least 1 question"):
        pope(folder, saying(lambda n, text: "yes"), pairs=1, batch=0)
    with pytest.raises(ma.AdapterError, match="edits work on one prompt at a time"):
        ma.speaker(ma.load("bundled:lvlm"), edits=()).many([])
