"""Session files and reports: how large, how fast."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

import analysis
import model_adapters as ma
from benchmarks.cases import Row

if TYPE_CHECKING:
    from ui.results.answering import Answered

WORDS, SCENE = 32, "scene:3"
LARGEST, OPENED, WRITTEN = 15 * 2**20, 2.0, 10.0
PICTURES = 10
SEEN = 576
"""Image tokens of a LLaVA-1.5: 24 x 24."""
BEHIND = 64
"""Tokens of its prompt that are no image."""
LAYERS, HEADS = 32, 32


def answer_session() -> Iterator[Row]:
    """A session of one answer: of the bundled model, and of 32 words in the shape of LLaVA-1.5-7B with drawn attention."""
    yield from _session("bundled:lvlm", _bundled())
    yield from _session("LLaVA-1.5-7B's shape, drawn attention", _large())


def report() -> Iterator[Row]:
    """Ten pictures: drawn and written as HTML, and as PDF."""
    from ui.figures import draw
    from ui.pictures import picture
    from ui.report_html import as_html
    from ui.report_made import bibtex, cited_in, versions
    from ui.report_parts import Report, picture_of
    from ui.report_pdf import as_pdf
    from ui.session_file_parts import About
    from ui.snippets import Shown, snippet_for

    shown = picture(SCENE)
    subject = ma.subject(ma.load("bundled:vit"), shown.array)
    names = ("raw_attention", "rollout", "gradient_attention_relevance", "integrated_gradients", "gradient_attention")
    maps = [(name, analysis.explain(subject, name)) for name in names] * (PICTURES // len(names))
    start = time.perf_counter()
    pictures = []
    for number, (name, found) in enumerate(maps):
        about = About(analysis.find(name).title, snippet_for(Shown("bundled:vit", SCENE), name) or "", analysis.find(name).cites)
        pictures.append(picture_of(number, about, draw(found, image=shown.array)))
    drawn = time.perf_counter() - start
    keys = [key for each in pictures for key in cited_in(each.about.snippet)]
    whole = Report("Ten pictures", "", "2026-01-01", tuple(pictures), versions(), bibtex(keys))
    for ending, write in (("HTML", lambda: as_html(whole).encode()), ("PDF", lambda: as_pdf(whole))):
        start = time.perf_counter()
        size = len(write())
        seconds = drawn + time.perf_counter() - start
        text = f"{seconds:.1f} s ({drawn:.1f} s of it to draw them), {size / 2**20:.1f} MB"
        yield Row(f"Report of {PICTURES} maps over their picture, {ending}", text, f"<= {WRITTEN:.0f} s", seconds <= WRITTEN)


def _session(what: str, found: Answered) -> Iterator[Row]:
    from ui.pictures import picture
    from ui.session_file import read_session, session_bytes
    from ui.session_file_made import Chosen, session_of
    from ui.session_file_parts import About

    start = time.perf_counter()
    chosen = Chosen(answers=[(About(f"Answer of {what}"), found, ())])
    data = session_bytes(session_of(what, chosen, lambda id: picture(id).image))
    written = time.perf_counter() - start
    start = time.perf_counter()
    session = read_session(io.BytesIO(data))
    view = session.views[session.answers[0].view or 0]
    view.weights(len(view.layers) - 1)
    opened = time.perf_counter() - start
    count = sum(word.probability is not None for word in session.answers[0].words)
    title = f"Session of an answer of {count} words, {what}"
    size = f"{len(data) / 2**20:.1f} MB (written in {written:.1f} s)"
    yield Row(title, size, f"<= {LARGEST // 2**20} MB", len(data) <= LARGEST)
    yield Row(f"{title}: opened, with the rows of a layer", f"{opened:.2f} s", f"<= {OPENED:.0f} s", opened <= OPENED)


def _bundled() -> Answered:
    """What the bundled model says of a scene."""
    from model_adapters.decoding import Greedy
    from ui.pictures import picture
    from ui.results.answering import answered

    model = ma.load("bundled:lvlm")
    return answered(model, [picture(SCENE)], "what is in the picture?", longest=WORDS, decoding=Greedy())


def _large() -> Answered:
    """An answer of 32 words over 640 tokens, in 32 layers of 32 heads: peaked rows such as trained models have."""
    from analysis.words import Answer

    rng = np.random.default_rng(0)
    length = SEEN + BEHIND
    roles = np.array(["system"] * 32 + ["image"] * SEEN + ["question"] * 32, object)
    boxes = np.full((length, 4), np.nan, np.float32)
    y, x = np.divmod(np.arange(SEEN), 24)
    boxes[32 : 32 + SEEN] = np.stack([x, y, x + 1, y + 1], 1) * 16
    nothing = np.where(roles == "image", 0, -1)
    prompt = ma.Rows(roles, boxes, nothing, nothing, nothing)
    sites = tuple(ma.Site(f"layers.{n}.self_attn", tower="decoder", layer=n, heads=HEADS) for n in range(LAYERS))
    rows = tuple(tuple(_attention(rng, length + step) for _ in sites) for step in range(WORDS))
    words = [f"word{n}" for n in range(WORDS)]
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    spans = np.stack([ends - [len(word) for word in words], ends], 1)
    logits = rng.standard_normal((WORDS, 1000)).astype(np.float32)
    answer = Answer(
        " ".join(words), np.arange(WORDS), spans, logits, sites, rows, prompt, ((384, 384),),
        lambda ids: " ".join(words[id % WORDS] for id in ids),
    )  # fmt: skip
    return replace(_bundled(), answer=answer)


def _attention(rng: np.random.Generator, length: int) -> np.ndarray:
    scores = 3.0 * rng.standard_normal((HEADS, length), np.float32)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


CASES = (answer_session, report)
