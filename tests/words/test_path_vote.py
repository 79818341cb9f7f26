"""Votes of views and decoding paths: by hand, with one path, planted, and on a model."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import model_adapters as ma
from analysis.signals import picture_views
from analysis.words.caption_views import caption_views
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
    found = path_vote(["a", "b"], speaking(opening, after), decode, paths=3, read="first word")
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


def by_the_release(openings, says, count, least):
    """Yes and no as MVP's script counts them, from probabilities: {view: [V]}, and what each opening goes on with."""
    total = {"yes": 0.0, "no": 0.0}
    for view, shares in openings.items():
        for token in sorted(range(len(shares)), key=lambda t: -shares[t])[:count]:
            if WORDS[token] in total:
                total[WORDS[token]] += shares[token]
            elif shares[token] >= least:
                answer = [(t, p) for t, p in says[view][token] if WORDS[t] in total]
                if answer:
                    first, second = sorted(answer[0][1])[:-3:-1]
                    total[WORDS[answer[0][0]]] += shares[token] * (first - second)
                else:
                    total["yes"] += shares[token]
    return total


def test_captions_vote_as_in_the_release():
    rng = np.random.default_rng(0)
    for _ in range(30):
        openings = {view: rng.dirichlet(np.ones(4)) for view in ("bottom-up", "regular", "top-down")}
        says = {
            view: {t: [(int(rng.choice([0, 1, 2, 3])), rng.dirichlet(np.ones(4))) for _ in range(2)] for t in range(4)}
            for view in openings
        }

        def go_on(view, first, openings=openings, says=says):
            start = first[0] if first else int(openings[view].argmax())
            begin = () if first else (token(start, np.log(openings[view])),)
            return SimpleNamespace(tokens=(*begin, *(token(t, np.log(p)) for t, p in says[view][start])))

        found = path_vote(list(openings), go_on, decode, paths=4, least=0.01)
        expected = by_the_release(openings, says, 4, 0.01)
        assert dict(zip(found.answers, found.scores, strict=True)) == pytest.approx({k: v for k, v in expected.items() if v})


def test_a_caption_stands_before_the_question():
    asked = []

    def describe(text):
        asked.append(text)
        return f" caption {len(asked)} {{question}} "

    views = caption_views(describe, lambda text: text, "Is there a Boat?")
    assert [view.perspective for view in views] == ["bottom-up", "regular", "top-down"] and len(set(asked)) == 3
    assert [view.caption for view in views] == [f"caption {n} {{question}}" for n in (1, 2, 3)]
    for view in views:
        assert view.caption in view.prompt and view.prompt.endswith("is there a boat?") and "{caption}" not in view.prompt
    with pytest.raises(ValueError, match="at least one perspective"):
        caption_views(describe, str, "?", perspectives={})
    with pytest.raises(ValueError, match="needs {caption} and {question}"):
        caption_views(describe, str, "?", frame="{question}")


def test_captions_of_a_model_vote():
    case = told("bundled:lvlm", text="is there a boat in the picture ?")
    model, picture = case.model, np.asarray(case.inputs.images[0][0])

    def prepare(text):
        return model.prepare(image=picture, text=text)

    wanted = {"plain": "describe the picture.", "things": "what is in the picture ?"}
    views = caption_views(
        lambda text: ma.generate(model, prepare(text), max_new_tokens=12).text, prepare, "Is there a boat in the picture ?",
        perspectives=wanted, frame="{caption} {question}",
    )  # fmt: skip
    assert all(view.caption for view in views)
    found = path_vote(
        [view.prompt for view in views],
        lambda prompt, first: ma.generate(model, ma.continued(model, prompt, first) if first else prompt, max_new_tokens=3),
        case.asked.decode, paths=2, least=0,
    )  # fmt: skip
    assert set(found.answers) <= {"yes", "no"} and len(found.paths) == 4 and sum(found.scores) > 0


def test_what_is_too_unlikely_is_not_followed():
    opening = {"a": scores(0.9985, 0.0005, 0.0005, 0.0005)}
    assert len(path_vote(["a"], speaking(opening, scores(1, 1, 1, 1)), decode, read="first word").paths) == 1
    assert len(path_vote(["a"], speaking(opening, scores(1, 1, 1, 1)), decode).paths) == 2, "yes and no always count"
    assert len(path_vote(["a"], speaking(opening, scores(1, 1, 1, 1)), decode, least=0).paths) == 4


def test_an_undecided_view_has_no_vote():
    opening = {"sure": scores(0.1, 0.9, 0, 0), "undecided": scores(0.5, 0.5, 0, 0)}
    found = path_vote(["undecided"] * 5 + ["sure"], speaking(opening, scores(1, 1, 1, 1)), decode, paths=2, read="first word")
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
