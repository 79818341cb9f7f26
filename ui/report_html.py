"""A report as one HTML file that asks nobody for anything: pictures are inside it, and its own rule forbids fetching."""

from __future__ import annotations

import re
from html import escape

from ui.report_parts import Report, ReportPicture, made_lines

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #16242b; background: #fff; }
body { max-width: 46rem; margin: 3rem auto; padding: 0 1rem; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 0 0 .6rem; }
.quiet, figcaption, summary, dt { color: #56656c; }
section { margin: 2.6rem 0; break-inside: avoid; }
figure { margin: 0 0 .8rem; }
figure svg { max-width: 100%; height: auto; display: block; }
figcaption { font-size: .95rem; }
.notes { white-space: pre-wrap; }
dl { display: grid; grid-template-columns: 9rem 1fr; gap: .15rem .8rem; font-size: .88rem; margin: .6rem 0; }
dd { margin: 0; overflow-wrap: anywhere; }
pre { background: #f3f6f7; border-radius: 8px; padding: .8rem; font-size: .82rem; overflow-x: auto; white-space: pre-wrap; }
summary { cursor: pointer; font-size: .9rem; }
@media print { body { margin: 0 auto; } details > pre { font-size: .7rem; } }
"""
_RULE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def as_html(report: Report) -> str:
    """The whole report."""
    head = [
        "<!doctype html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_RULE}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(report.title)}</title>", f"<style>{_STYLE}</style>", "</head>", "<body>",
        f"<h1>{escape(report.title)}</h1>",
        f'<p class="quiet">{escape(" · ".join(filter(None, (report.author, report.day))))}</p>',
    ]  # fmt: skip
    body = [_section(number, picture) for number, picture in enumerate(report.pictures, 1)]
    return "\n".join([*head, *body, _end(report), "</body>", "</html>", ""])


def _section(number: int, picture: ReportPicture) -> str:
    caption = f"<strong>Figure {number}.</strong> {escape(picture.caption or picture.about.title)}"
    parts = [
        "<section>", f"<h2>{number}. {escape(picture.about.title)}</h2>",
        f"<figure>{inline_svg(picture.svg, f'p{number}-')}<figcaption>{caption}</figcaption></figure>",
    ]  # fmt: skip
    if picture.notes:
        parts.append(f'<p class="notes">{escape(picture.notes)}</p>')
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in made_lines(picture))
    parts.append(f"<dl>{rows}</dl>")
    if picture.about.snippet:
        parts.append(f"<details open><summary>Python</summary><pre><code>{escape(picture.about.snippet)}</code></pre></details>")
    return "\n".join([*parts, "</section>"])


def _end(report: Report) -> str:
    parts = ["<section>", "<h2>How it was made</h2>", f"<p>{escape(report.version_line)}</p>"]
    if report.references:
        text = "\n\n".join(report.references.values())
        parts += ["<h2>Sources (BibTeX)</h2>", f"<pre><code>{escape(text)}</code></pre>"]
    return "\n".join([*parts, "</section>"])


def inline_svg(svg: bytes, prefix: str) -> str:
    """An SVG file as part of a page: without prologue and metadata, and with names that no other picture has."""
    text = svg.decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]*)"', rf'id="{prefix}\1"', text)
    text = re.sub(r'href="#([^"]*)"', rf'href="#{prefix}\1"', text)
    return re.sub(r"url\(#([^)]*)\)", rf"url(#{prefix}\1)", text)


__all__ = ["as_html", "inline_svg"]
