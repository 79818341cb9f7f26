"""Lessons: every task of every tour, with a wrong answer and with a right one that was found in another way."""

from __future__ import annotations

import numpy as np
import pytest

import model_adapters as ma
from tests.app.lesson_answers import answers, model
from tests.app.pages import opened, settled
from ui import pictures, session
from ui.lessons.all_tours import TOURS


def checked(tour, step, page, link):
    """The panel after a click on Check."""
    test = settled(opened(page, tour=tour, step=str(step), **link), lambda t: any(b.key == "tour-check" for b in t.button))
    next(b for b in test.button if b.key == "tour-check").click()
    return settled(test, lambda t: told(t) is not None)


def told(test):
    """(whether it was passed, what was said); None before that."""
    for passed, kind in ((True, test.success), (False, test.warning)):
        for element in kind:
            if element.icon in (":material/check_circle:", ":material/replay:"):
                return passed, element.value
    return None


def page_of(tour, step):
    wanted = TOURS[tour].steps[step - 1].page
    return wanted if wanted.startswith("compare") else "lessons/tours"


@pytest.mark.parametrize("tour, step", [(t, n + 1) for t in TOURS if t != "words" for n in range(len(TOURS[t].steps))])
def test_a_wrong_answer_gets_the_hint_and_a_right_one_passes(tour, step):
    wrong, right = answers()[tour, step]
    hint = TOURS[tour].steps[step - 1].hint
    passed, said = told(checked(tour, step, page_of(tour, step), wrong))
    assert not passed and hint in said, said
    test = checked(tour, step, page_of(tour, step), right)
    assert told(test)[0], told(test)[1]
    assert any(b.label in ("Next", "Finish") for b in settled(test, lambda t: True).button)


def test_nothing_chosen_passes_nothing():
    for tour, step in (("heads", 1), ("sinks", 1), ("matter", 5), ("matter", 4), ("believe", 1), ("believe", 4), ("believe", 5)):
        assert not told(checked(tour, step, "lessons/tours", {}))[0], (tour, step)


def asked(tour_step, page="words/ask", **link):
    """The panel beside a page about words, checked once the answer is there."""
    query = {"model": "bundled:lvlm", "image": "scene:5", "tour": "words", "step": str(tour_step), **link}
    test = opened(page, **query)
    settled(test, lambda t: answer_there(t) and any(b.key == "tour-check" for b in t.button))
    next(b for b in test.button if b.key == "tour-check").click()
    return told(settled(test, lambda t: told(t) is not None))


def answer_there(test):
    question = test.session_state["asked before"] if "asked before" in test.session_state else None
    job = session.jobs().find(("answer", question))
    return job is not None and job.future.done()


def spoken(name="lvlm"):
    """The words of the answer by their number, and how likely each was, from the generation itself."""
    from analysis.words import answer_of

    found = model(name)
    inputs = found.prepare(image=pictures.picture("scene:5").array, text="what is in the picture?")
    return answer_of(ma.generate(found, inputs, max_new_tokens=32), ma.asked(found, inputs))


def test_words_are_told_true_from_made_up():
    there = set(pictures.picture("scene:5").scene.categories)
    words = {w.text: w.index for w in spoken().words}
    assert "boat" in words and "boat" not in there and "box" in there
    assert asked(1, word=str(words["box"])) [0]
    wrong = asked(2, word=str(words["box"]))
    assert not wrong[0] and TOURS["words"].steps[1].hint in wrong[1]
    assert asked(2, word=str(words["boat"]))[0]
    assert not asked(1, word=str(words["a"]))[0] and not asked(1)[0]


def test_the_least_sure_word_and_the_one_that_looked_least():
    answer = spoken()
    things = [w for w in answer.words if w.text in ("box", "boat", "cone")]
    probability = {w.index: np.prod([np.exp(answer.log_probabilities[s]) for s in w.steps]) for w in things}
    image = answer.image
    share = {w.index: np.mean([row[:, : len(image)][:, image].sum(-1).mean() for row in answer.rows[w.steps[0]]]) for w in things}
    for step, measured in ((3, probability), (4, share)):
        order = sorted(measured, key=measured.get)
        assert asked(step, word=str(order[0]))[0]
        assert not asked(step, word=str(order[-1]))[0]


def test_the_tuned_model_makes_nothing_up_here():
    assert not asked(5)[0]
    assert asked(5, model="bundled:lvlm-tuned")[0]


def test_both_models_held_together():
    link = {"model": "bundled:lvlm", "image": "scene:5", "differs": "model"}
    assert told(checked("words", 6, "compare/compare", {**link, "other-model": "bundled:lvlm-tuned"}))[0]
    assert not told(checked("words", 6, "compare/compare", {**link, "image": "scene:3", "other-model": "bundled:lvlm-tuned"}))[0]
