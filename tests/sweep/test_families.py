"""Every family passes the check that a model passes when it is loaded, and writes what it writes alone."""

from __future__ import annotations

import pytest

from tests.sweep.families import EXCEPTIONS, IMAGE_TEXT_TO_TEXT, MOST_USED, check, keys
from tests.sweep.records import write
from tests.zoo import hf

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
"""Raised inside processors of transformers, which make arrays of tokenizer output."""

AT_LEAST = 80


def marked(chosen):
    """The families that every run checks, and the others with the marker of the sweep."""
    return [pytest.param(key, marks=() if key in MOST_USED else pytest.mark.sweep) for key in chosen]


@pytest.mark.parametrize("key", marked(key for key in keys() if key not in EXCEPTIONS))
def test_family_passes(key):
    row = check(key)
    write(row)
    assert row.passed, row.note
    assert row.sites > 0
    assert row.unchanged, "looking changed the answer in its last bits"
    assert row.same_tokens, "other tokens were generated, or a token has no rows"


@pytest.mark.sweep
@pytest.mark.parametrize("key", [key for key in keys() if key in EXCEPTIONS])
def test_exception_still_holds(key):
    row = check(key)
    write(row)
    assert not row.passed
    assert EXCEPTIONS[key].sentence in row.note


def test_exceptions_without_a_model_are_still_named_by_the_library():
    unbuilt = {key.removeprefix("hf:") for key in EXCEPTIONS if key not in keys()}
    assert unbuilt == set(IMAGE_TEXT_TO_TEXT) - set(hf.families("lvlm"))


def test_most_used_are_families():
    assert len(MOST_USED) == 25
    assert MOST_USED <= set(keys()) - set(EXCEPTIONS)


def test_enough_image_text_families_are_supported():
    """Each of them is checked one by one above; here only their number is held."""
    assert len(IMAGE_TEXT_TO_TEXT) == 97
    supported = [name for name in IMAGE_TEXT_TO_TEXT if f"hf:{name}" in keys() and f"hf:{name}" not in EXCEPTIONS]
    assert len(supported) >= AT_LEAST
