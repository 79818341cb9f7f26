"""The start page: paints before the model is there, then shows its card, its check and where its tokens lie."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip


@pytest.fixture
def page(monkeypatch) -> AppTest:
    import streamlit as st

    monkeypatch.chdir(ROOT)
    st.cache_resource.clear()
    yield AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    st.cache_resource.clear()


def settled(page: AppTest, done) -> AppTest:
    """Run the page again, as its polling does in a browser, until `done`."""
    end = time.monotonic() + 120
    while not done(page.run()):
        assert time.monotonic() < end, "the page did not settle"
        assert not page.exception
        time.sleep(0.2)
    return page


def test_the_first_run_paints_without_waiting_for_the_model(page, monkeypatch):
    from ui import session

    ready = threading.Event()
    monkeypatch.setattr(session, "_load", lambda name, weights: ready.wait(60))
    page.run()
    assert not ready.is_set()
    assert page.title[0].value == "Headlight"
    assert page.status[0].label.startswith("Loading")
    assert not page.metric
    ready.set()


def test_the_model_its_check_and_its_picture_appear(page):
    page = settled(page, lambda page: page.get("image"))
    assert not page.exception
    headings = [heading.value for heading in page.subheader]
    assert headings[0] == "Self-check" and headings[-1] == "Where its tokens lie" and len(headings) == 3
    values = {metric.label: metric.value for metric in page.metric}
    assert int(values["Attention sites"]) >= 1
    assert values["Answer when looked at"] == "same bits"
    assert any("attention computations seen" in text.value for text in page.markdown)


def test_without_the_bundled_model_a_random_one_says_that_it_is_random(page, monkeypatch, tmp_path):
    from ui import session

    monkeypatch.setattr(session, "_BUNDLED", tmp_path / "none")
    page = settled(page, lambda page: page.metric)
    assert any("random weights" in caption.value.lower() for caption in page.caption)


def test_a_model_that_cannot_be_loaded_is_one_sentence(page, monkeypatch):
    from ui import session

    monkeypatch.setattr(session, "start_model", lambda: ("timm:vit_tiny_patch16_22", "random"))
    page = settled(page, lambda page: page.error)
    assert "Near names: vit_tiny_patch16_224" in page.error[0].value
    assert page.button[0].label == "Try again"
    assert not page.exception


@pytest.fixture
def server():
    """The app as `make app` starts it, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true", "--server.port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/_stcore/health", process)
        yield address
    finally:
        process.terminate()
        process.communicate(timeout=20)


def wait_for(address: str, process: subprocess.Popen) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.3)
    raise AssertionError(f"the app did not start at {address}")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; `make test` installs it")
def test_in_a_browser_it_paints_and_shows_the_check_without_an_error(server):
    from playwright.sync_api import expect, sync_playwright

    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: faults.append(request.url) if not local(request.url, server) else None)
        page.goto(server)
        expect(page.get_by_role("heading", name="Headlight")).to_be_visible(timeout=30_000)
        expect(page.get_by_text("attention computations seen")).to_be_visible(timeout=120_000)
        picture = page.locator("[data-testid=stImage] img, [data-testid=stImageContainer] img").first
        expect(picture).to_be_visible(timeout=120_000)
        assert picture.evaluate("image => image.complete && image.naturalWidth") > 100
        assert page.locator("[data-testid=stException]").count() == 0
        browser.close()
    assert faults == []


def local(address: str, server: str) -> bool:
    return address.startswith((server, server.replace("http", "ws"), "data:", "blob:"))
