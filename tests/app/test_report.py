"""Reports: one file that asks nobody, hostile words stay words, snippets run, and paper is paper."""

from __future__ import annotations

import html
import io
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.app import results_by_hand
from tests.app.browser import chromium, needs_chromium
from ui import figures
from ui.report_html import as_html
from ui.report_made import bibtex, cited_in, model_hash, versions
from ui.report_parts import Report, moved, picture_of, seeds
from ui.report_pdf import as_pdf
from ui.session_file_parts import About
from ui.snippets import Shown, snippet_for

HOSTILE = (
    "<script>alert(1)</script>\"'><img src=http://evil.example/x onerror=alert(1)></code></pre>"
    "<style>*{display:none}</style>&amp;"
)
SNIPPET = snippet_for(Shown("bundled:vit", "scene:3", target=4), "raw_attention")


def pictures(names=("head matrix", "map"), **words):
    made = results_by_hand.by_hand()
    for number, name in enumerate(names):
        about = About(
            words.get("title", name), words.get("snippet", SNIPPET), ("abnar2020",), "look-attention?layer=2", "bundled:vit"
        )
        more = {key: words[key] for key in ("caption", "notes", "sentence") if key in words}
        yield picture_of(number, about, figures.draw(made[name]), weights="pretrained, sha256:abc", **more)


def report(**words) -> Report:
    found = tuple(pictures(**words))
    title, author = words.get("title", "A report"), words.get("author", "me")
    return Report(title, author, "2026-01-02", found, versions(), bibtex(["abnar2020"]))


class Reader(HTMLParser):
    """All tags with their attributes, the ids, and the text of every `code`."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.code: list[str] = []
        self.text = ""
        self._in_code = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "code":
            self._in_code = True
            self.code.append("")

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag):
        self._in_code = self._in_code and tag != "code"

    def handle_data(self, data):
        self.text += data
        if self._in_code:
            self.code[-1] += data


def assert_asks_nobody(read: Reader, text: str) -> None:
    assert {tag for tag, _ in read.tags}.isdisjoint({"script", "link", "iframe", "object", "embed", "base", "form", "img"})
    for tag, attributes in read.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name.endswith(("href", "src", "srcset", "action", "data")):
                assert value.startswith(("#", "data:image/png;base64,")), (tag, name, value[:60])
            if "url(" in (value or ""):
                assert "url(#" in value
    for style in re.findall(r"<style.*?</style>", text, re.DOTALL):
        assert "@import" not in style and "url(" not in style.replace("url(#", "")


@pytest.mark.parametrize("words", [{}, dict.fromkeys(("title", "author", "caption", "notes", "snippet", "sentence"), HOSTILE)])
def test_a_page_asks_nobody_and_keeps_words_as_words(words):
    text = as_html(report(**words))
    read = Reader(text)
    assert_asks_nobody(read, text)
    assert any(a.get("http-equiv") == "Content-Security-Policy" and "default-src 'none'" in a["content"] for _, a in read.tags)
    assert len([tag for tag, _ in read.tags if tag == "style"]) == 1 + text.count('<style type="text/css">')
    for written in words.values():
        assert written in read.text and html.escape(written) in text


def test_names_inside_pictures_are_met_once_and_every_reference_leads_somewhere():
    text = as_html(report())
    read = Reader(text)
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids)) > 10
    named = re.findall(r'(?:href="#|url\(#)([^")]+)', text)
    assert named and set(named) <= set(ids)
    assert [tag for tag, _ in read.tags].count("svg") == 2


def test_everything_that_makes_a_picture_again_is_said():
    read = Reader(as_html(report(caption="A caption", notes="First.\nSecond.", sentence="deletion 0.31")))
    said = ("A caption", "First.\nSecond.", "deletion 0.31", "sha256:abc", "bundled:vit", "look-attention?layer=2", "abnar2020")
    for text in (*said, *(f"{name} {version}" for name, version in versions().items())):
        assert text in read.text, text
    assert read.code[0] == SNIPPET and read.code[-1] == bibtex(["abnar2020"])["abnar2020"]


def test_the_python_in_it_runs_and_gives_the_picture():
    import analysis
    import model_adapters as ma
    from ui.pictures import picture

    code = Reader(as_html(report())).code[0]
    space: dict = {}
    exec(code, space)
    subject = ma.subject(ma.load("bundled:vit"), picture("scene:3").array)
    assert np.allclose(space["shown"].values, analysis.explain(subject, "raw_attention", target=4).values, atol=1e-6)


@needs_chromium
def test_a_browser_shows_every_picture_and_sends_no_request(tmp_path):
    file = tmp_path / "report.html"
    file.write_text(as_html(report(caption=HOSTILE)), encoding="utf-8")
    with chromium() as browser:
        page = browser.new_page()
        asked, faults = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.goto(file.as_uri())
        boxes = [svg.bounding_box() for svg in page.locator("svg").all()]
        words = page.locator("figcaption").first.inner_text()
    assert len(boxes) == 2 and all(box["width"] > 300 and box["height"] > 100 for box in boxes)
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()] and not faults
    assert "<script>alert(1)</script>" in words


def pages_of(pdf: bytes) -> int:
    """The number of pages by the tree of pages, read as the format says."""
    assert pdf.startswith(b"%PDF-1.") and pdf.rstrip().endswith(b"%%EOF")
    start = int(re.search(rb"startxref\s+(\d+)\s+%%EOF\s*$", pdf)[1])
    assert pdf[start : start + 4] == b"xref"
    (counted,) = {int(count) for count in re.findall(rb"/Count (\d+)", pdf)}
    assert counted == len(re.findall(rb"/Type /Page\b(?!s)", pdf))
    return counted


def drawn_images(pdf: bytes) -> list[tuple[int, int]]:
    found = [each for each in re.findall(rb"\d+ 0 obj\n(.*?)stream\r?\n", pdf, re.DOTALL) if b"/Subtype /Image" in each]
    return [tuple(int(re.search(rb"/%s (\d+)" % side, each)[1]) for side in (b"Width", b"Height")) for each in found]


def test_paper_has_its_pictures_and_pages_and_no_address():
    whole = report(notes="Ein Wörtchen – 模型 \U0001f600 $x_1$ \\alpha")
    pdf = as_pdf(whole)
    sizes = [Image.open(io.BytesIO(each.png)).size for each in whole.pictures]
    assert set(sizes) <= set(drawn_images(pdf))
    assert b"/URI" not in pdf and b"/JavaScript" not in pdf
    longer = replace(whole, pictures=whole.pictures * 4)
    assert pages_of(as_pdf(longer)) > pages_of(pdf) >= 1
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    assert any(b"BT" in unpacked(each) for each in streams)  # text, not only pictures


def test_letters_that_the_typeface_lacks_are_named_and_no_warning_is_needed(caplog):
    from ui.report_pdf import missing

    whole = report(notes="模型 and 型", title="Größe – ≤ ✓")
    as_pdf(whole)
    assert missing(whole) == "型模" and not caplog.records
    assert missing(report()) == ""


def unpacked(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""


@pytest.mark.parametrize("written", ["$", "$x$", "50$ and $\\frac", "<b>&", "\\"])
def test_titles_are_drawn_as_they_are_written(written):
    from ui.take_away.still import still

    drawn = figures.draw(results_by_hand.by_hand()["head matrix"])
    assert html.escape(written, quote=False) in still(drawn, "svg", written).decode()
    assert Image.open(io.BytesIO(still(drawn, "png", written))).width == 1280


def test_seeds_are_those_of_the_python_and_of_the_link():
    about = About("x", "model = ma.load(name, weights='random', seed=7)", (), "words-ask?seed=3&model=a&xseedy=5")
    assert seeds(about) == ["7", "3"] and seeds(About("x")) == []


@given(st.lists(st.integers(0, 99), min_size=1, max_size=6, unique=True), st.integers(-9, 9), st.data())
def test_moving_keeps_all_pictures_and_the_order_of_the_others(ids, by, data):
    class One:
        def __init__(self, id):
            self.id = id

    chosen = data.draw(st.sampled_from(ids))
    found = [each.id for each in moved([One(id) for id in ids], chosen, by)]
    assert sorted(found) == sorted(ids) and [i for i in found if i != chosen] == [i for i in ids if i != chosen]
    assert found.index(chosen) == min(max(ids.index(chosen) + by, 0), len(ids) - 1)


def test_a_hash_names_the_weights(tiny_vit):
    import copy
    import hashlib
    from types import SimpleNamespace

    import torch

    def named(module):
        return model_hash(SimpleNamespace(module=module))

    other = copy.deepcopy(tiny_vit)
    assert named(tiny_vit) == named(other)
    slow = hashlib.sha256()
    for name, tensor in sorted(tiny_vit.state_dict().items()):
        slow.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode() + tensor.numpy().tobytes())
    assert named(tiny_vit) == f"sha256:{slow.hexdigest()}"
    changed = copy.deepcopy(tiny_vit)
    with torch.no_grad():
        changed.head.bias[0] += 1e-3
    assert named(changed) != named(tiny_vit)


def test_sources_are_those_of_the_methods_that_are_named_and_exist():
    assert cited_in('analysis.explain(subject, "rollout")') == ("abnar2020",)
    assert cited_in("") == () and cited_in("x = 1") == ()
    assert bibtex(["abnar2020", "abnar2020"])["abnar2020"].startswith("@inproceedings{abnar2020,")
    with pytest.raises(ValueError, match="no entry 'nobody1900'"):
        bibtex(["nobody1900"])
