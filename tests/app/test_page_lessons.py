"""Lessons: the pages, the way through a tour, and every link of the teacher."""

from __future__ import annotations

import pytest

from tests.app.pages import opened, settled
from ui.lessons.all_tours import TOURS
from ui.lessons.teaching import MATERIAL
from ui.lessons.tour import Tour


def test_a_tour_goes_on_back_and_ends():
    test = opened("lessons/tours", tour="sinks", step="2").run()
    press = lambda key: next(b for b in test.button if b.key == key).click().run()  # noqa: E731
    assert "2 of 6" in " ".join(c.value for c in test.caption)
    press("tour-next")
    assert test.query_params["step"] == "3" and test.query_params["tour"] == "sinks"
    press("tour-back")
    assert "2 of 6" in " ".join(c.value for c in test.caption)
    press("tour-end")
    assert "tour" not in test.query_params and not any(b.key == "tour-check" for b in test.button)


@pytest.mark.parametrize("link", [{"tour": "nowhere"}, {"tour": "heads", "step": "99"}, {"tour": "heads", "step": "x"}])
def test_a_link_that_makes_no_sense_harms_nothing(link):
    test = opened("lessons/tours", **link).run()
    assert not test.exception and len([b for b in test.button if b.key.startswith("start-")]) == 5


def test_tours_are_long_enough_and_lead_to_pages_that_exist():
    from tests.app.pages import ROOT

    assert list(TOURS) == ["heads", "matter", "sinks", "words", "believe"]
    for tour in TOURS.values():
        for step in tour.steps:
            assert (ROOT / "pages" / f"{step.page}.py").is_file() and step.hint and step.task.endswith((".", "?"))
    with pytest.raises(ValueError, match="5 to 8"):
        Tour("short", "Short", "?", 5, TOURS["heads"].steps[:2])


@pytest.mark.parametrize("shown", MATERIAL, ids=lambda each: each.title)
def test_every_link_of_the_teacher_opens(shown):
    test = opened(shown.page, **shown.settings)
    last = {"trust/benchmark": lambda t: any("has no claim" in c.value for c in t.caption)}
    settled(test, last.get(shown.page, lambda t: any("How to read" in e.label for e in t.expander)))
    assert not test.error, [e.value for e in test.error]
    for name, value in shown.settings.items():
        if name in test.session_state:
            assert str(test.session_state[name]) == {"yes": "True"}.get(value, value)


def test_the_teachers_page_holds_these_links():
    test = opened("lessons/teacher").run()
    text = " ".join(m.value for m in test.markdown)
    assert all(each.title in text for each in MATERIAL) and all(tour.title in text for tour in TOURS.values())
    assert "model=bundled%3Alvlm" in text and "tour=believe" in text and not test.exception
