"""Notes, the bibliography, and the page that lists all methods."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from streamlit.testing.v1 import AppTest

import analysis
from tests.app.pages import settled
from ui import method_list, notes
from ui.references import BIBLIOGRAPHY, parsed, references

PAGE = str(Path(__file__).resolve().parents[2] / "pages" / "about" / "methods.py")


@pytest.mark.parametrize("method", analysis.methods(), ids=lambda m: m.name)
def test_every_citation_is_in_the_bibliography_and_complete(method):
    for key in method.cites:
        entry = references()[key]
        assert entry.authors and re.fullmatch(r"\d{4}", entry.year) and entry.title and (entry.venue or entry.link), key
        assert not set("{}\\") & set(entry.markdown)


def test_every_entry_of_the_file_is_read():
    text = BIBLIOGRAPHY.read_text(encoding="utf-8")
    assert list(references()) == re.findall(r"^@\w+\s*\{\s*([^,\s]+)", text, re.M)
    # A second way to count: as many titles as there are lines that begin one.
    assert len([e for e in references().values() if e.title != e.key]) == len(re.findall(r"^\s*title\s*=", text, re.M))


def test_bibtex_is_read_as_it_is_written():
    text = """@article{key2020,
      author = {Müller, A. and van der Berg, B and Ann Smith}, title = "A {Nested {Title}}",
      journal = {J.}, year = 2020, doi = {10.1/x}
    }
    @misc{other, title={T}, author={Only, O}, year={1999}, eprint={1234.5678}}"""
    first, second = parsed(text)
    assert first.authors == ("Müller", "van der Berg", "Smith") and first.short == "Müller et al. 2020"
    assert first.markdown == "Müller et al. 2020, [A Nested Title](https://doi.org/10.1/x), J."
    assert second.markdown == "Only 1999, [T](https://arxiv.org/abs/1234.5678), arXiv."
    with pytest.raises(ValueError, match="brace is open"):
        parsed("@misc{x, title={open")


@pytest.mark.parametrize("method", analysis.methods(), ids=lambda m: m.name)
def test_a_note_says_what_range_warning_source_and_measurement(method):
    text = notes.note(method)
    assert method.summary in text and "**Range**" in text and "**Where it misleads**" in text and "**Measured**" in text
    assert ("**Source**: after" in text) == bool(method.cites)


def written(path: Path, **changes) -> None:
    row = {
        "kind": "map", "method": "rollout", "title": "rollout", "model": "vit", "score": "pointing game", "value": 0.5,
        "low": 0.4, "high": 0.6, "chance": 0.1, "count": 80, "baseline": False, "against": "",
    }  # fmt: skip
    pyarrow.parquet.write_table(pa.Table.from_pylist([row, row | {"title": "rollout, max", "value": 0.3}, row | changes]), path)


def test_the_benchmark_is_told_in_one_line(tmp_path, monkeypatch):
    table = importlib.import_module("world.trust.table")
    written(tmp_path / "trust.parquet", score="energy", count=20)
    monkeypatch.setattr(table, "ASSETS", tmp_path)
    original = table.table
    monkeypatch.setattr(table, "table", lambda **given: original(**given, assets=tmp_path))
    assert notes.benchmark_line("rollout") == (
        "pointing game, bundled:vit: 0.30 to 0.50 over 2 variants, chance 0.10; "
        "energy, bundled:vit: 0.50 (0.40 to 0.60, chance 0.10). In the small world, over 20 to 80 images."
    )
    assert notes.benchmark_line("attention_flow") == notes.UNTRIED


def test_the_list_holds_every_method_once_and_is_searched_by_words():
    rows = method_list.rows()
    assert sorted(row.name for row in rows) == sorted(m.name for m in analysis.methods())
    found = method_list.matching(rows, "Rollout ABNAR")
    assert "rollout" in [row.name for row in found] and len(found) < len(rows)
    assert method_list.matching(rows, "no such word") == []
    assert list(method_list.kinds(rows))[0] == "map"


def test_what_a_method_needs_decides_for_which_models_it_is():
    methods = {m.name: method_list.supported(m) for m in analysis.methods()}
    assert methods["word_map"] == "models that write an answer" and "not windows" in methods["rollout"]
    assert methods["raw_attention"] == "all models" and "class token" in methods["evit"]


def test_the_page_lists_and_searches():
    page = settled(AppTest.from_file(PAGE, default_timeout=60), lambda page: page.expander)
    whole = "\n".join(element.value for element in page.markdown)
    assert all(f"##### {m.title}\n" in whole for m in analysis.methods())
    page.text_input(key="methods").input("rollout").run()
    assert len(page.expander) < 5 and "##### Attention rollout\n" in "\n".join(e.value for e in page.markdown)
    page.text_input(key="methods").input("xyzzy").run()
    assert "xyzzy" in page.info[0].value and not page.exception
