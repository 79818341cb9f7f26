"""The bibliography as sentences. Reads the plain BibTeX of `assets/references.bib`: braces or quotes, no macros."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

BIBLIOGRAPHY = Path(__file__).resolve().parents[1] / "assets" / "references.bib"
_VENUES = ("booktitle", "journal", "publisher", "howpublished", "institution", "school")


@dataclass(frozen=True)
class Reference:
    """One entry."""

    key: str
    authors: tuple[str, ...]
    """Family names."""
    title: str
    venue: str
    year: str
    link: str

    @property
    def short(self) -> str:
        """Abnar & Zuidema 2020."""
        names = self.authors
        who = f"{names[0]} et al." if len(names) > 2 else " & ".join(names)
        return f"{who} {self.year}".strip()

    @property
    def markdown(self) -> str:
        """The whole entry as one line, with its link."""
        title = f"[{self.title}]({self.link})" if self.link else self.title
        return f"{self.short}, {title}" + (f", {self.venue.rstrip('.')}." if self.venue else ".")


@lru_cache(maxsize=1)
def references() -> dict[str, Reference]:
    """All entries by key."""
    return {entry.key: entry for entry in parsed(BIBLIOGRAPHY.read_text(encoding="utf-8"))}


def parsed(text: str) -> list[Reference]:
    """The entries of a BibTeX file.

    Raises:
        ValueError: where an entry does not end.
    """
    found = []
    for head in re.finditer(r"@(\w+)\s*\{\s*([^,\s]+)\s*,", text):
        fields, end = {}, head.end()
        while (name := re.compile(r"[\s,]*(\w+)\s*=\s*").match(text, end)) is not None:
            fields[name[1].lower()], end = _value(text, name.end())
        found.append(_entry(head[2], fields))
    return found


def _value(text: str, start: int) -> tuple[str, int]:
    """A field's text and where it ends: in braces that may nest, in quotes, or a bare number."""
    if text[start] == '"':
        end = text.index('"', start + 1)
        return text[start + 1 : end], end + 1
    if text[start] != "{":
        bare = re.compile(r"[\w.-]+").match(text, start)
        if bare is None:
            raise ValueError(f"a field has no value at {text[start : start + 40]!r}.")
        return bare[0], bare.end()
    depth = 0
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[start + 1 : place], place + 1
    raise ValueError(f"a brace is open at {text[start : start + 40]!r}.")


def _entry(key: str, fields: dict[str, str]) -> Reference:
    venue = next((fields[name] for name in _VENUES if name in fields), "arXiv" if "eprint" in fields else "")
    link = fields.get("url", "") or (f"https://doi.org/{fields['doi']}" if "doi" in fields else "")
    if not link and "eprint" in fields:
        link = f"https://arxiv.org/abs/{fields['eprint']}"
    authors = tuple(_family(name) for name in re.split(r"\s+and\s+", fields.get("author", "")) if name.strip())
    return Reference(key, authors, _plain(fields.get("title", key)), _plain(venue), fields.get("year", ""), link)


def _family(name: str) -> str:
    name = _plain(name)
    return name.split(",")[0].strip() if "," in name else name.split()[-1]


def _plain(text: str) -> str:
    text = re.sub(r"\$\\(\w+)\$", lambda name: unicodedata.lookup(f"GREEK SMALL LETTER {name[1].upper()}"), text)
    return " ".join(text.replace("{", "").replace("}", "").replace("--", "–").split())
