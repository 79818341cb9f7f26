"""Page and person both choose; the one who chose last is heard."""

from __future__ import annotations

from ui.viewer.memory import decided

START = {"layer": 5, "head": 0}


def test_what_the_person_chose_counts_while_the_page_repeats_itself():
    memory = {}
    assert decided(memory, {"layer": 5, "head": None}, START)["layer"] == 5
    assert decided(memory, {"layer": 5, "head": None}, {"layer": 7, "head": 2}) == {"layer": 7, "head": 2}


def test_a_new_value_of_the_page_counts_until_the_person_chooses_again():
    memory = {}
    decided(memory, {"layer": 5}, START)
    assert decided(memory, {"layer": 1}, START) == {"layer": 1, "head": 0}
    assert decided(memory, {"layer": 1}, START)["layer"] == 1
    assert decided(memory, {"layer": 1}, {"layer": 2, "head": 0})["layer"] == 2


def test_a_page_that_repeats_what_it_heard_does_not_hold_the_person_back():
    """The page stores what it got and passes it in the next run; by then the person is further."""
    memory, stored = {}, 5
    for chosen in (6, 7, 8, 9):
        stored = decided(memory, {"layer": stored}, {"layer": chosen, "head": 0})["layer"]
        assert stored == chosen


def test_the_browser_is_told_once_for_each_move():
    memory = {}
    decided(memory, {"layer": 5, "head": None}, START)
    assert "moved" not in memory
    decided(memory, {"layer": 1, "head": None}, START)
    decided(memory, {"layer": 1, "head": None}, START)
    assert memory["moved"] == {"layer": 1, "serial": 1}
    decided(memory, {"layer": 1, "head": 2}, START)
    assert memory["moved"] == {"head": 2, "serial": 2}
    decided(memory, {"layer": 1, "head": 2}, {"layer": 4, "head": 2})
    decided(memory, {"layer": 4, "head": 2}, {"layer": 3, "head": 2})
    assert memory["moved"]["serial"] == 2, "repeating what was heard moves nothing"


def test_a_page_that_leaves_the_choice_alone_never_moves_anything():
    memory = {}
    for chosen in (START, {"layer": 2, "head": 3}, START):
        assert decided(memory, {"layer": None, "head": None}, chosen) == chosen
