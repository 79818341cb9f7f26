"""The tables of supported models say what was found, and go nowhere but between their markers."""

from __future__ import annotations

import pytest

from tests.sweep.families import EXCEPTIONS, TITLES, Row
from tests.sweep.records import ROOT, fresh, write
from tests.sweep.table import BEGIN, END, between, full, summary

ROWS = (
    Row("timm:vit_tiny_patch16_224", TITLES["timm"], "VisionTransformer", True, 2, ""),
    Row("timm:convnext_atto", TITLES["timm"], "ConvNeXt", False, 0, "it has no attention"),
    Row("hf:llava", TITLES["lvlm"], "LlavaForConditionalGeneration", True, 4, "a note"),
)


def test_text_goes_between_the_markers():
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert between(document, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(ValueError, match="once each"):
        between("no markers", "new")


@pytest.mark.parametrize("name", ["README.md", "docs/supported-models.md"])
def test_documents_hold_the_markers(name):
    document = (ROOT / name).read_text()
    assert between(document, "new") != document


def test_full_table_has_a_line_per_family():
    text = full(ROWS)
    assert "| vit_tiny_patch16_224 | VisionTransformer | works | 2 |  |" in text
    assert f"| convnext_atto | ConvNeXt | refused | 0 | {EXCEPTIONS['timm:convnext_atto'].reason}: “it has" in text
    assert "| llava | LlavaForConditionalGeneration | works | 4 | a note |" in text
    assert "| evolla | | not offered | | reads proteins" in text
    assert "1 of 2 families" in text


def test_summary_names_what_works_and_what_does_not():
    text = summary(ROWS)
    assert "| timm | 2 | **1**: vit_tiny_patch16_224 |" in text
    assert "image and text to text | 98 | **1**: llava |" in text
    assert all(refusal.reason in text for refusal in EXCEPTIONS.values())


def test_rows_are_read_back_while_the_code_is_as_it_was(tmp_path, monkeypatch):
    from tests.sweep import records

    monkeypatch.setattr(records, "FOLDER", tmp_path / "rows")
    assert fresh("hf:llava") is None
    write(ROWS[2])
    assert fresh("hf:llava") == ROWS[2]
    monkeypatch.setattr(records, "_changed", lambda: float("inf"))
    assert fresh("hf:llava") is None
