"""The app in a real Chromium: `python -m benchmarks.app [case ...]`, written to docs/benchmarks-app.md."""

from __future__ import annotations

import io
import logging
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psutil
from PIL import Image

from benchmarks.asking_page import asking
from benchmarks.cases import Row
from benchmarks.page import write
from benchmarks.session_files import CASES as SESSION_CASES
from benchmarks.viewer_page import viewing
from tests.app.browser import chromium, link_to, serving
from ui.frame_pages import SECTIONS

ROUNDS = 5
CHANGES, AFTER, SPAN = 200, 50, 40
PICTURED = ("Look", "Heads", "Tokens", "Change")
_PAINTED = """() => {
  const roots = [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')].map(e => e.shadowRoot || e);
  return roots.some(root => [...root.querySelectorAll('canvas')].some(canvas => {
    if (!canvas.width) return false;
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const seen = new Set();
    for (let i = 0; i < data.length && seen.size < COLOURS; i += 404) if (data[i + 3]) seen.add(data.slice(i, i + 3).join());
    return seen.size >= COLOURS;
  }));
}"""
_AT_REST = """() => {
  const app = document.querySelector('[data-testid=stApp]');
  return app && app.dataset.testScriptState === 'notRunning' && !document.querySelector('[data-stale=true]')
    && !document.querySelector('[data-testid=stProgress]');
}"""
_NOTE_CLICKS = "() => { addEventListener('click', () => { window.clickedAt = performance.now(); }, { capture: true }); }"
_ARRIVED = """(name) => {
  const title = document.querySelector('h1')?.innerText;
  const running = document.querySelector('[data-testid=stApp]').dataset.testScriptState !== 'notRunning';
  return title === name && !running ? performance.now() - window.clickedAt : false;
}"""
log = logging.getLogger("benchmarks")


def start() -> Iterator[Row]:
    """From the command to the frame, the first attention picture, and the live model."""
    frame, picture, live = [], [], []
    for _ in range(3):
        began = time.perf_counter()
        with serving("app.py") as address, chromium() as browser:
            page = browser.new_page()
            opened = time.perf_counter()
            page.goto(address)
            page.wait_for_selector("[data-testid=stTopNav]", timeout=60_000)
            frame.append(time.perf_counter() - began)
            page.wait_for_function(_painted(), timeout=60_000)
            picture.append(time.perf_counter() - began)
            page.wait_for_function("() => !document.body.innerText.includes('recorded ·')", timeout=120_000)
            live.append(time.perf_counter() - began)
            log.info("server up %.1f s, frame %.1f, picture %.1f, live %.1f", opened - began, frame[-1], picture[-1], live[-1])
    yield _seconds("Server start to frame painted", frame, 3)
    yield _seconds("Server start to first attention picture (recorded)", picture, 5)
    yield _seconds("Server start to live model", live, 20)


def switching() -> Iterator[Row]:
    """To each page with pictures, with its results there, from the click itself (before it the driver looks for the link)."""
    pages = [(section, title) for section in PICTURED for _, title, _ in SECTIONS[section]]
    times: dict[str, list[float]] = {title: [] for _, title in pages}
    with _visit("") as page:
        page.evaluate(_NOTE_CLICKS)
        for section, title in pages * (ROUNDS + 1):
            link_to(page, section, title).click()
            times[title].append(page.wait_for_function(_ARRIVED, arg=title, timeout=60_000).json_value())
            page.wait_for_function(_AT_REST, timeout=120_000)
    each = {title: statistics.median(found[1:]) for title, found in times.items()}
    log.info("page switches: %s", ", ".join(f"{title} {found:.0f} ms" for title, found in each.items()))
    middle, slowest = statistics.median(each.values()), max(each, key=lambda title: each[title])
    measured = f"{middle:.0f} ms ({slowest}, the slowest: {each[slowest]:.0f} ms)"
    yield Row(f"Page switch with results that are there, median of {len(pages)} pages", measured, "<= 300 ms", middle <= 300)


def new_picture() -> Iterator[Row]:
    """A new picture on ViT-B/16, beyond one plain forward pass."""
    plain = _plain_forward()
    with _visit("", "model=timm:vit_base_patch16_224&weights=random&maps=none") as page:
        times, seen = [], set(_views(page))
        page.get_by_role("button", name="Upload").first.click()
        for number in range(ROUNDS):
            file = {"name": f"{number}.png", "mimeType": "image/png", "buffer": _noise(number)}
            began = time.perf_counter()
            # The viewer asks for the small maps of a view that is new to it.
            with page.expect_response(lambda response: _is_new(response.url, seen), timeout=60_000) as answer:
                page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files(file)
            seen.add(_view_in(answer.value.url))
            page.wait_for_function(_painted(), timeout=60_000)
            times.append(time.perf_counter() - began - plain)
            log.info("new picture: %.2f s beyond a pass of %.2f s", times[-1], plain)
            page.wait_for_function(_AT_REST, timeout=120_000)
    yield _seconds("New picture on ViT-B/16, upload to viewer painted, beyond a plain pass", times[1:], 0.7)


def projecting() -> Iterator[Row]:
    """10,000 points: principal components, and a page with their map from nothing."""
    from analysis.projections import project

    vectors, times = np.random.default_rng(0).normal(size=(10_201, 64)).astype(np.float32), []
    with serving("tests/app/point_map_page.py") as address, chromium() as browser:
        for _ in range(ROUNDS + 1):
            page = browser.new_page()
            began = time.perf_counter()
            project(vectors)
            page.goto(address)
            page.wait_for_function(_painted(2), timeout=60_000)
            times.append(time.perf_counter() - began)
            page.close()
    yield _seconds("10,000 points projected by PCA and painted, page included", times[1:], 1)


def memory() -> Iterator[Row]:
    """The server's memory while somebody goes through many pictures."""
    with serving("app.py") as address, chromium() as browser:
        page, seen = browser.new_page(), []
        (process,) = [p for p in psutil.Process().children(recursive=True) if "streamlit" in " ".join(p.cmdline())][:1]
        page.goto(f"{address}/?maps=none")
        page.wait_for_function(_AT_REST, timeout=120_000)
        for number in range(CHANGES):
            picker = page.get_by_role("combobox", name="Picture").first
            picker.fill(f"scene:{100 + number}")
            picker.press("Enter")
            page.wait_for_function(f"() => location.search.includes('image=scene%3A{100 + number}')", timeout=60_000)
            page.wait_for_function(_AT_REST, timeout=120_000)
            page.wait_for_function(_painted(), timeout=60_000)
            seen.append(process.memory_info().rss)
    # Memory is given back now and then; what is compared is how much is left right after.
    growth = min(seen[-SPAN:]) / min(seen[AFTER - SPAN : AFTER]) - 1
    log.info("memory: %s MB", [size >> 20 for size in seen[9::10]])
    yield Row(f"Memory of the server after {CHANGES} pictures against {AFTER}", f"{growth:+.1%}", "<= +10 %", growth <= 0.10)


CASES: tuple[Callable[[], Iterator[Row]], ...] = (
    start, viewing, asking, switching, new_picture, projecting, memory, *SESSION_CASES
)  # fmt: skip


def _painted(colours: int = 8) -> str:
    """Whether a canvas shows something."""
    return _PAINTED.replace("COLOURS", str(colours))


@contextmanager
def _visit(where: str, query: str = "") -> Iterator[Any]:
    with serving("app.py") as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{address}/{where}?{query}")
        page.wait_for_selector("h1", timeout=60_000)
        page.wait_for_function("() => !document.body.innerText.includes('loading …')", timeout=180_000)
        page.wait_for_timeout(1000)
        page.wait_for_function(_AT_REST, timeout=180_000)
        yield page


def _views(page: Any) -> list[str]:
    """The views whose small maps the browser has asked for."""
    asked = page.evaluate("() => performance.getEntriesByType('resource').map(each => each.name)")
    return [_view_in(url) for url in asked if "/thumbs" in url]


def _view_in(url: str) -> str:
    return url.split("/thumbs")[0].rsplit("/", 1)[-1]


def _is_new(url: str, seen: set[str]) -> bool:
    return "/thumbs" in url and _view_in(url) not in seen


def _plain_forward() -> float:
    import torch

    import model_adapters as ma

    torch.set_num_threads(1)  # as the server that is measured
    model = ma.load("timm:vit_base_patch16_224", weights="random")
    inputs = model.prepare(image=Image.open(io.BytesIO(_noise(99))))
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        ma.run(model, inputs)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _noise(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (14, 14, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((500, 500)).save(buffer, "PNG")
    return buffer.getvalue()


def _seconds(what: str, times: list[float], reach: float) -> Row:
    found = statistics.median(times)
    return Row(what, f"{found:.1f} s", f"<= {reach} s", found <= reach)


def main(names: list[str]) -> None:
    """Run the cases named; all of them write the page."""
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    rows = [row for case in CASES if not names or case.__name__ in names for row in case()]
    for row in rows:
        log.info("%s: %s (reach %s)%s", row.what, row.measured, row.reach, "" if row.met else "  NOT MET")
    if not names:
        write("benchmarks-app.md", "Benchmarks of the app", "make bench-app", rows, "Times are medians.")


if __name__ == "__main__":
    main(sys.argv[1:])
