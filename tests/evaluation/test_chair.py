"""CHAIR over a folder: names, double words, and figures that can be counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.evaluation import CocoSet, chair, chair_figures, forms_of, mentioned, names_of, read_coco
from tests.evaluation.folders import CATEGORIES, document, saying, written
from world.hallucination import NAMES

SAID = {
    0: "A person and two dogs. The dog eats a hot dog.",
    1: "People with ties.",
    2: "Three knives.",
    3: "Nothing.",
    4: "Wine glasses beside a hot-dog and hot dogs.",
}


@pytest.fixture
def folder(tmp_path: Path) -> CocoSet:
    return read_coco(written(tmp_path))


def named(text: str, names: dict[str, str] | None = None) -> list[str]:
    return [word.name for word in mentioned(text, names or names_of(CATEGORIES))]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a hot dog", ["hot dog"]),
        ("Hot dogs and a dog", ["hot dog", "dog"]),
        ("the dog's hot-dog", ["dog", "hot dog"]),
        ("a wine glass, two wine glasses", ["wine glass", "wine glass"]),
        ("people, persons, a person", ["person"] * 3),
        ("a ski, skis and knives", ["skis", "skis", "knife"]),
        ("buses in the business of tying", ["bus"]),
        ("犬がいます", []),
        ("", []),
    ],
)
def test_double_words_plurals_and_what_only_looks_alike(text: str, found: list[str]) -> None:
    assert named(text) == found


@pytest.mark.parametrize(
    ("name", "more"),
    [("fireman", "firemen"), ("cherry", "cherries"), ("toy", "toys"), ("couch", "couches"), ("potato", "potatoes"),
     ("dining_table", "dining tables"), ("dress", "dresses"), ("sheep", "sheep"), ("zebra", "zebras")],
)  # fmt: skip
def test_plurals(name: str, more: str) -> None:
    assert more in forms_of(name)


def test_synonyms_from_files(tmp_path: Path) -> None:
    lines = tmp_path / "synonyms.txt"
    lines.write_text("person, girl, baby\ndog, puppy, baby dog\ncat, kitten\n\n")
    names = names_of(CATEGORIES, lines)
    assert named("girls with puppies and a baby dog", names) == ["person", "dog", "dog"]
    assert named("a kitten", names) == []  # cats are not annotated here, so nobody knows whether there is one
    listed = tmp_path / "synonyms.json"
    listed.write_text('{"person": ["girl"]}')
    for given in (listed, {"person": ["girl"]}):
        assert named("a girl", names_of(CATEGORIES, given)) == ["person"]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("none.txt", None, "is not there"),
        ("empty.txt", "\n", "holds no synonyms"),
        ("others.txt", "lorry, truck\n", "none of the 1 groups of synonyms holds a category"),
        ("bad.json", "{", "holds no JSON"),
        ("list.json", '["dog"]', "must hold synonyms as"),
    ],
)
def test_bad_synonyms_get_a_sentence(tmp_path: Path, name: str, text: str | None, sentence: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        names_of(CATEGORIES, path)


def test_figures_by_hand(folder: CocoSet) -> None:
    found = chair(folder, saying(lambda n, text: SAID[n]))
    # 0: person, dog, dog, hot dog (made up); 1: person, tie; 2: knife; 4: wine glass (made up), hot dog, hot dog.
    assert [[w.text for w in found.made_up(n)] for n in range(5)] == [["hot dog"], [], [], [], ["Wine glasses"]]
    values = {name: figure.value for name, figure in found.figures().items()}
    assert values == pytest.approx(
        {"CHAIR_i": 2 / 10, "CHAIR_s": 2 / 5, "recall": 6 / 12, "mentions": 2.0, "words": (11 + 3 + 2 + 1 + 9) / 5}
    )
    once = {name: figure.value for name, figure in found.figures(repeats=False).items()}
    assert (once["CHAIR_i"], once["mentions"], once["recall"]) == pytest.approx((2 / 8, 1.6, 6 / 12))


def test_captions_say_what_is_there_too(tmp_path: Path) -> None:
    content = document()
    content["captions"] = [{"image_id": 100, "caption": "A man feeds his dog hot dogs."}]
    found = chair(read_coco(written(tmp_path, content)), saying(lambda n, text: SAID[n]), synonyms={"person": ["man"]})
    assert found.there[0] == {"person", "dog", "hot dog"} and found.made_up(0) == ()


def test_repetition_does_not_flatter_where_each_thing_counts_once() -> None:
    texts = ["a boat and a star.", "a boat and a boat and a boat and a star."]
    once, often = (chair_figures([text], [{"boat"}], [mentioned(text, NAMES)], repeats=False) for text in texts)
    assert once["CHAIR_i"].value == often["CHAIR_i"].value == 0.5
    assert chair_figures([texts[1]], [{"boat"}], [mentioned(texts[1], NAMES)])["CHAIR_i"].value == 0.25


def test_every_print_says_what_it_depends_on(folder: CocoSet) -> None:
    found = str(chair(folder, saying(lambda n, text: SAID[n]), prompt="Say all.", longest=9, images=3, seed=5))
    for part in ("told", "instances_test", "3 images", "9 new tokens", "'Say all.'", "Greedy()", "seed 5", "names are known"):
        assert part in found, part


def test_no_mention_is_no_figure(folder: CocoSet) -> None:
    found = chair(folder, saying(lambda n, text: "")).figures()
    assert found["CHAIR_i"].value != found["CHAIR_i"].value
    assert (found["CHAIR_s"].value, found["recall"].value, found["words"].value) == (0, 0, 0)
    with pytest.raises(ValueError, match="1 descriptions for 2 images"):
        chair_figures(["a boat"], [{"boat"}, {"fish"}], [()])
