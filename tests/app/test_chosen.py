"""What is chosen survives its link, whatever it is; a link with a head opens that head."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import pytest

from tests.app.pages import opened, settled
from ui import state
from ui.state import Chosen


@pytest.mark.parametrize("made", [
    Chosen(layer=layer, head=head, fuse=fuse, weighing=weighing, smooth=smooth, order=order)
    for layer, head, fuse, weighing, smooth, order in product(
        (-1, 3), (0, 2), state.FUSES, state.MODES, (False, True), ("", "-share to class")
    )
])  # fmt: skip
def test_what_is_chosen_survives_its_link(made):
    assert Chosen.from_query(made.as_query()) == made


def test_a_link_with_a_head_opens_that_head_and_one_without_opens_their_mean():
    assert Chosen.from_query({"layer": "3", "head": "1"}).fuse == "single"
    assert Chosen.from_query({"layer": "3"}).fuse == "mean"
    assert Chosen.from_query({"head": "1", "fuse": "max"}).fuse == "max"
    assert Chosen.from_query({"fuse": "none", "weighing": "x", "smooth": "1"}) == Chosen()
    assert Chosen(head=2, fuse="single").as_query() == {"head": "2"}


def test_who_chooses_a_head_sees_that_head(monkeypatch):
    monkeypatch.setattr(state, "st", SimpleNamespace(session_state={state._KEY: Chosen()}, query_params={}))
    state.choose(layer=2, head=1)
    assert state.chosen().fuse == "single"
    state.choose(layer=2, head=1, fuse="mean")
    state.choose(query="40")
    assert state.chosen().fuse == "mean"


@pytest.mark.parametrize(
    ("query", "told", "headline"),
    [
        ({"layer": "3", "head": "1"}, "head 1", "layer 3 · head 1"),
        ({"layer": "3"}, "mean of 4 heads", "layer 3 · mean of its heads"),
        ({"layer": "3", "head": "1", "fuse": "max"}, "maximum of 4 heads", "layer 3 · maximum of its heads"),
    ],
)
def test_viewer_and_head_line_agree_on_what_a_link_opens(query, told, headline):
    page = settled(opened("look/attention", **query), lambda page: page.expander)
    captions = [each.value for each in page.caption]
    assert any(told in each for each in captions) and any(headline in each for each in captions)
