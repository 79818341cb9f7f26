"""A part of a name finds what it means, and an id stays what it is."""

from __future__ import annotations

import pytest

from tests.app.pages import opened, settled
from ui import pickers, picture_picker, pictures
from ui.closest import closest


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("cat", "photo:cat"), ("A CAT", "photo:cat"), ("scene:417", "scene:417"), ("Scene 5", "scene:5"), ("5", "scene:5"),
        ("nothing of the kind", "nothing of the kind"),
    ],
)  # fmt: skip
def test_a_part_of_a_picture_s_name(typed, expected, monkeypatch):
    monkeypatch.setattr(picture_picker, "_uploads", dict)
    assert picture_picker.meant(typed) == expected


def test_a_model_s_name_or_a_folder(tmp_path):
    assert pickers.meant("swin") == "bundled:swin" and pickers.meant("vit") == "bundled:vit"
    assert pickers.meant(str(tmp_path)) == f"path:{tmp_path}"
    assert pickers.meant("hf:some/where") == "hf:some/where" and pickers.meant("no such model") == "no such model"


def test_the_same_comes_before_a_beginning_a_word_and_a_part():
    assert closest("vit", ["a:devit", "a:my vit", "a:vit-small", "a:vit"]) == "a:vit"
    assert closest("vit", ["a:devit", "a:my vit", "vit-small"]) == "vit-small"
    assert closest("vit", ["a:devit", "a:my vit"]) == "a:my vit"
    assert closest("", ["a"]) is None and closest("x", ["a"]) is None


def test_typing_a_part_of_a_name_shows_that_picture():
    page = settled(opened("look/attention", image="cat"), lambda page: page.expander)
    assert page.selectbox(key="image").value == "photo:cat" and not page.error
    assert any(pictures.title("photo:cat") in each.value for each in page.caption)
