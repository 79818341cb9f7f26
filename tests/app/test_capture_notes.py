"""What a capture says of itself stands beside every picture made of it."""

from __future__ import annotations

from dataclasses import make_dataclass, replace
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

import model_adapters as ma
from tests.app.pages import opened, settled
from ui import capture_notes, pictures
from ui.opened_texts import plain
from ui.results import looking
from ui.viewer import from_capture
from ui.viewer.from_capture import view_of

NOTES = (
    "9 of 12 attention computations are seen; not seen: blocks.3.attn.",
    "The model changes these weights after the softmax.",
)


@pytest.fixture(scope="module")
def capture():
    model = ma.load("bundled:vit")
    return ma.capture(model, model.prepare(image=pictures.picture("scene:3").array))


def with_notes(capture):
    """The same capture with notes, whether or not its class knows them."""
    if hasattr(capture, "notes"):
        return replace(capture, notes=NOTES)
    named = make_dataclass("Noted", [("notes", tuple)], bases=(type(capture),), kw_only=True, frozen=True, eq=False)
    return named(**vars(capture), notes=NOTES)


def test_a_view_keeps_the_notes_of_its_capture(capture):
    image = pictures.picture("scene:3").image
    view = view_of(with_notes(capture), image)
    assert capture_notes.sentences(view, None) == NOTES
    assert capture_notes.sentences(looking.of_tower(view, "vision"), None) == NOTES
    assert capture_notes.sentences(view_of(capture, image), None) == tuple(getattr(capture, "notes", ()))


def test_the_report_speaks_where_the_capture_says_nothing():
    view, noted = SimpleNamespace(meta={}), SimpleNamespace(meta={"notes": list(NOTES)})
    report = SimpleNamespace(unseen=tuple(f"block{n} (LinearAttention): no weights" for n in range(5)))
    (told,) = capture_notes.sentences(view, report)
    assert told.startswith("Not all attention of this model is seen: block0 (LinearAttention)") and told.endswith("and 2 more.")
    assert capture_notes.sentences(noted, report) == NOTES
    assert capture_notes.sentences(view, SimpleNamespace(unseen=())) == ()


def _drawn(told, small):
    from ui import capture_notes

    capture_notes.show(tuple(told), small=small)


@pytest.mark.parametrize("small", [False, True])
def test_sentences_are_drawn_as_they_are_and_nothing_where_there_are_none(small):
    page = AppTest.from_function(_drawn, args=(NOTES, small)).run()
    (shown,) = page.caption if small else page.warning
    assert all(plain(note) in shown.value for note in NOTES)
    page = AppTest.from_function(_drawn, args=((), small)).run()
    assert not page.caption and not page.warning


def test_they_stand_below_the_viewer_and_each_map(monkeypatch):
    monkeypatch.setattr(from_capture, "view_of", lambda capture, *given, **more: view_of(with_notes(capture), *given, **more))
    page = settled(opened("look/attention", image="scene:11"), lambda page: page.expander)
    assert sum(plain(NOTES[0]) in each.value for each in page.warning) == 1
    maps = len(page.multiselect(key="maps").value)
    assert maps > 1 and sum(plain(NOTES[0]) in each.value for each in page.caption) == maps
