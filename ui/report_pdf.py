"""A report as PDF, with the typefaces that matplotlib brings."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib
from fpdf import FPDF
from fpdf.enums import WrapMode
from matplotlib.ft2font import FT2Font

from ui.report_parts import Report, ReportPicture, made_lines

_INK, _QUIET, _GROUND = (22, 36, 43), (86, 101, 108), (243, 246, 247)
_WIDTH = 170.0
"""Millimetres between the margins."""
_TALLEST = 150.0


def _font(name: str) -> Path:
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"


@lru_cache(maxsize=1)
def _letters() -> frozenset[int]:
    """What the typefaces of text and code both have."""
    fonts = [FT2Font(str(_font(name))) for name in ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono")]
    return frozenset.intersection(*(frozenset(font.get_charmap()) for font in fonts))


class _Paper(FPDF):
    """A4 with page numbers."""

    def __init__(self) -> None:
        super().__init__(format="A4")
        self.lacking: frozenset[str] = frozenset()
        """Letters that are drawn as boxes."""
        self.add_font("text", "", _font("DejaVuSans"))
        self.add_font("text", "B", _font("DejaVuSans-Bold"))
        self.add_font("code", "", _font("DejaVuSansMono"))
        self.set_margins(20, 18)
        self.set_auto_page_break(True, 18)

    def footer(self) -> None:
        """The number of the page."""
        self.set_y(-13)
        self.set_font("text", "", 8)
        self.set_text_color(*_QUIET)
        self.cell(0, 6, str(self.page_no()), align="R")

    def _drawable(self, text: str) -> str:
        return "".join("□" if letter in self.lacking else letter for letter in text)

    def write_text(self, text: str, size: float, *, bold: bool = False, quiet: bool = False, after: float = 2) -> None:
        """A paragraph."""
        self.set_font("text", "B" if bold else "", size)
        self.set_text_color(*(_QUIET if quiet else _INK))
        self.multi_cell(0, size * 0.5, self._drawable(text), align="L", new_x="LMARGIN", new_y="NEXT")
        self.ln(after)

    def write_code(self, text: str) -> None:
        """Python or BibTeX, on a ground of its own."""
        self.set_font("code", "", 7)
        self.set_text_color(*_INK)
        self.set_fill_color(*_GROUND)
        look: dict[str, Any] = {"align": "L", "fill": True, "wrapmode": WrapMode.CHAR, "padding": 2}
        self.multi_cell(0, 3.6, self._drawable(text), new_x="LMARGIN", new_y="NEXT", **look)
        self.ln(3)


def as_pdf(report: Report) -> bytes:
    """The whole report. Letters that the typeface lacks are drawn as boxes, and said."""
    paper = _Paper()
    paper.lacking = frozenset(missing(report))
    paper.set_title(report.title)
    paper.set_creator("Headlight")
    paper.add_page()
    paper.write_text(report.title, 18, bold=True, after=1)
    paper.write_text(" · ".join(filter(None, (report.author, report.day))), 9, quiet=True, after=5)
    for number, picture in enumerate(report.pictures, 1):
        _section(paper, number, picture)
    paper.write_text("How it was made", 13, bold=True)
    paper.write_text(report.version_line, 9)
    if report.references:
        paper.write_text("Sources (BibTeX)", 13, bold=True)
        paper.write_code("\n\n".join(report.references.values()))
    if count := len(paper.lacking):
        paper.write_text(f"{count} letters are not in the typeface of this PDF and stand as □; the HTML report has them.", 8)
    written = bytes(paper.output())
    for font in paper.fonts.values():
        font.close()  # type: ignore[union-attr]
    return written


def missing(report: Report) -> str:
    """The letters of a report that the typeface of the PDF lacks."""
    texts = [report.title, report.author, *report.references.values()]
    for picture in report.pictures:
        texts += [picture.about.title, picture.caption, picture.notes, picture.about.snippet]
        texts += [text for _, text in made_lines(picture)]
    return "".join(sorted({letter for letter in "".join(texts) if letter not in "\n\r\t" and ord(letter) not in _letters()}))


def _section(paper: _Paper, number: int, picture: ReportPicture) -> None:
    from PIL import Image

    with Image.open(io.BytesIO(picture.png)) as read:
        width, height = read.size
    across = min(_WIDTH, _TALLEST * width / height)
    down = across * height / width
    if paper.will_page_break(down + 24):
        paper.add_page()
    paper.write_text(f"{number}. {picture.about.title}", 13, bold=True)
    paper.image(io.BytesIO(picture.png), w=across, h=down)
    paper.ln(2)
    paper.write_text(f"Figure {number}. {picture.caption or picture.about.title}", 9, quiet=True)
    if picture.notes:
        paper.write_text(picture.notes, 10)
    for name, text in made_lines(picture):
        paper.write_text(f"{name}: {text}", 8, quiet=True, after=0)
    paper.ln(2)
    if picture.about.snippet:
        paper.write_code(picture.about.snippet)
    paper.ln(3)
