"""Rules that every registered method keeps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import analysis
from analysis.registry import METHODS, NEEDS, find, method, methods

BIBLIOGRAPHY = Path(__file__).parents[2] / "assets" / "references.bib"
NOBODYS = {
    "outvoted": "a vote of our own: four corners of the picture",
    "even_tokens": "a baseline: every n-th token",
    "random_tokens": "a baseline: tokens by lot",
    "hidden_embedding": "hidden states, projected",
    "nearest": "nearest neighbours by distance",
    "sampled": "a control: tokens drawn with a temperature",
    "random_heads_silenced": "a control: heads chosen by lot",
    "random_visual": "a baseline: visual tokens by lot",
    "uniform_visual": "a baseline: visual tokens as far from each other as can be",
}
"""Methods that no paper introduced, with what they are."""
ENTRY = re.compile(r"^@\w+\{([\w:-]+),(.*?)^\}", re.M | re.S)


def entries() -> dict[str, str]:
    return dict(ENTRY.findall(BIBLIOGRAPHY.read_text()))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_says_all_that_a_page_needs(name):
    made = METHODS[name]
    assert len(made.summary) > 20 and made.summary[0].isupper() and made.summary[-1] in ".:?", made.summary
    assert made.title and made.kind and made.range, name
    assert made.misleads.count(" ") > 4 and made.misleads.endswith("."), made.misleads
    assert made.needs <= set(NEEDS)
    assert made.result not in (object, type(None)), f"{name} does not say what it returns"
    assert bool(made.cites) != (name in NOBODYS), f"{name} cites nothing, or cites and is listed as nobody's"
    missing = set(made.cites) - set(entries())
    assert not missing, f"{name} cites {sorted(missing)}, which are not in {BIBLIOGRAPHY.name}"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_defaults_lie_inside_their_controls(name):
    for option in METHODS[name].options:
        if option.range is not None:
            assert option.range.low < option.range.high
            assert option.range.low <= option.default <= option.range.high, option
        if option.kind == "choice":
            assert option.default in option.choices, option


def test_titles_tell_methods_apart():
    titles = [m.title for m in METHODS.values()]
    assert len(titles) == len(set(titles)), sorted(t for t in titles if titles.count(t) > 1)


def test_the_bibliography_is_whole_and_has_no_doubles():
    text = BIBLIOGRAPHY.read_text()
    keys = re.findall(r"^@\w+\{([^,]+),", text, re.M)
    assert len(keys) == len(set(keys)), sorted(k for k in keys if keys.count(k) > 1)
    assert set(keys) == set(entries()), "an entry does not close, or its key has odd characters"
    for key, body in entries().items():
        assert body.count("{") == body.count("}"), key
        assert all(re.search(rf"\b{field}\s*=", body) for field in ("author", "title", "year")), key


def test_every_module_that_registers_is_imported_by_the_package():
    folder = Path(analysis.__file__).parent
    registering = {p.stem for p in folder.glob("*.py") if "\n@method(" in p.read_text()}
    assert registering <= {m.function.__module__.split(".")[-1] for m in METHODS.values()}
    assert "rollout" in registering


def test_methods_are_chosen_by_kind_and_by_what_is_offered():
    assert find("rollout") in methods("map") and find("rollout") not in methods("head")
    assert find("rollout") not in methods("map", offered={"weights", "grid"})
    assert find("rollout").why_not({"weights", "grid"}).startswith("Attention rollout needs square attention")
    with pytest.raises(ValueError, match="no method is named 'roll'"):
        find("roll")


def test_a_name_is_registered_once_and_needs_are_known():
    with pytest.raises(ValueError, match="named 'rollout' is registered"):

        @method(title="x", kind="map", range="x", misleads="x")
        def rollout() -> int:
            return 0

    with pytest.raises(ValueError, match="Got \\['magic'\\]"):
        method(title="x", kind="map", needs={"magic"}, range="x", misleads="x")
