"""A report as PDF, with the typefaces that matplotlib brings."""

from __future__ import annotations

import io
from pathlib import Path

from fpdf import FPDF
from fpdf.enums import WrapMode

from ui.report_parts import Report, ReportPicture, made_lines

_INK, _QUIET, _GROUND = (22, 36, 43), (86, 101, 108), (243, 246, 247)
_WIDTH = 170.0
"""Millimetres between the margins."""
_TALLEST = 150.0


class _Paper(FPDF):
    """A4 with page numbers."""

    def __init__(self) -> None:
        super().__init__(format="A4")
        import matplotlib

        fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        self.add_font("text", "", fonts / "DejaVuSans.ttf")
        self.add_font("text", "B", fonts / "DejaVuSans-Bold.ttf")
        self.add_font("code", "", fonts / "DejaVuSansMono.ttf")
        self.set_margins(20, 18)
        self.set_auto_page_break(True, 18)

    def footer(self) -> None:
        """The number of the page."""
        self.set_y(-13)
        self.set_font("text", "", 8)
        self.set_text_color(*_QUIET)
        self.cell(0, 6, str(self.page_no()), align="R")

    def write_text(self, text: str, size: float, *, bold: bool = False, quiet: bool = False, after: float = 2) -> None:
        """A paragraph."""
        self.set_font("text", "B" if bold else "", size)
        self.set_text_color(*(_QUIET if quiet else _INK))
        self.multi_cell(0, size * 0.5, text, align="L", new_x="LMARGIN", new_y="NEXT")
        self.ln(after)

    def write_code(self, text: str) -> None:
        """Python or BibTeX, on a ground of its own."""
        self.set_font("code", "", 7)
        self.set_text_color(*_INK)
        self.set_fill_color(*_GROUND)
        self.multi_cell(0, 3.6, text, align="L", fill=True, wrapmode=WrapMode.CHAR, new_x="LMARGIN", new_y="NEXT", padding=2)
        self.ln(3)


def as_pdf(report: Report) -> bytes:
    """The whole report."""
    paper = _Paper()
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
    return bytes(paper.output())


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
