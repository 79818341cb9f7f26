"""The pictures of a report: what each is, and how it was made. Knows neither Streamlit nor a model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from ui.session_file_parts import About

MOST = 40
"""Pictures of one report."""
MOST_BYTES = 60 * 2**20
"""Of all its pictures together."""


@dataclass(frozen=True)
class ReportPicture:
    """One picture with its words, drawn once: as SVG for the page, as PNG for paper."""

    id: int
    about: About
    svg: bytes
    png: bytes
    sentence: str = ""
    """How faithful it is, where that was measured."""
    weights: str = ""
    """Which weights the model had, and the hash of them."""
    caption: str = ""
    notes: str = ""
    references: Mapping[str, str] = field(default_factory=dict)
    """Key -> BibTeX of what it cites."""

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.svg) + len(self.png)


@dataclass(frozen=True)
class Report:
    """Pictures in their order, and what stands above them."""

    title: str
    author: str
    day: str
    pictures: tuple[ReportPicture, ...]
    versions: Mapping[str, str]
    references: Mapping[str, str] = field(default_factory=dict)
    """Key -> BibTeX of all that the pictures cite."""

    @property
    def version_line(self) -> str:
        """The versions in one line."""
        return " · ".join(f"{name} {version}" for name, version in self.versions.items())


def picture_of(id: int, about: About, figure: Any, **more: Any) -> ReportPicture:
    """A picture of the report from a Plotly figure.

    Args:
        id: its number in this visit.
        about: what it is.
        figure: of `ui.figures`.
        more: sentence, weights, caption, notes.
    """
    from ui.take_away.still import still

    return ReportPicture(id, about, still(figure, "svg"), still(figure, "png"), **more)


def moved(pictures: Sequence[ReportPicture], id: int, by: int) -> tuple[ReportPicture, ...]:
    """The pictures with one of them further up or down; at an end it stays."""
    order = list(pictures)
    place = next(n for n, each in enumerate(order) if each.id == id)
    order.insert(max(0, place + by), order.pop(place))
    return tuple(order)


def seeds(about: About) -> list[str]:
    """The seeds that its Python and its link name."""
    said = re.findall(r"\bseed=(\d+)", about.snippet)
    said += [value for name, value in parse_qsl(about.link.partition("?")[2]) if name.endswith("seed")]
    return list(dict.fromkeys(said))


def made_lines(picture: ReportPicture) -> list[tuple[str, str]]:
    """How a picture was made, as name and text; what is unknown is left out."""
    about = picture.about
    told = [
        ("Model", about.model), ("Weights", picture.weights or about.weights), ("Picture", about.picture),
        ("Measured", picture.sentence), ("Seed", ", ".join(seeds(about))), ("State of the page", about.link),
        ("Sources", ", ".join(about.cites)),
    ]  # fmt: skip
    return [(name, text) for name, text in told if text]
