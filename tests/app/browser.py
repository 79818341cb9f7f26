"""Chromium for the tests of pages: an app on a free port, and a page that fails on any error or foreign request."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; `make test` installs it")


@contextmanager
def serving(script: str, **options: str) -> Iterator[str]:
    """The address of an app while it runs; `script` is relative to the root of the repository."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", script, "--server.headless", "true", "--server.port", str(port)]
    command += [part for name, value in options.items() for part in (f"--{name.replace('_', '.')}", value)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/_stcore/health", process)
        yield address
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _wait_for(address: str, process: subprocess.Popen) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    error = process.stderr.read().decode()[-2000:] if process.poll() is not None else ""
    raise AssertionError(f"the app did not start at {address}: {error}")


@contextmanager
def chromium():
    """A browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def local(address: str, server: str) -> bool:
    return address.startswith((server, server.replace("http", "ws", 1), "data:", "blob:"))


@contextmanager
def watched_page(browser, server: str, **options):
    """A page of that server. On leaving, any page error, console error or request to another host fails the test."""
    faults: list[str] = []
    context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(f"page error: {error}"))
    page.on("console", lambda message: faults.append(f"console: {message.text}") if message.type == "error" else None)
    page.on("request", lambda request: None if local(request.url, server) else faults.append(f"asked {request.url}"))
    try:
        yield page
    finally:
        context.close()
    if faults:
        raise AssertionError("\n".join(faults))


def settle(page) -> None:
    """Wait until no run of the script is going on and nothing on the page is stale."""
    page.wait_for_selector(
        "[data-testid=stApp][data-test-connection-state=CONNECTED][data-test-script-state=notRunning]", timeout=60_000
    )
    page.wait_for_function("() => !document.querySelector('[data-stale=true]')", timeout=60_000)


def press(page, act, seen: str, tries: int = 4) -> None:
    """Act until something is so, as people do: a click on what is just being drawn anew gets lost."""
    from playwright.sync_api import TimeoutError as Late

    for left in reversed(range(tries)):
        act()
        try:
            page.wait_for_function(seen, timeout=15_000)
            return
        except Late:
            if not left:
                raise


def go_to(page, section: str, title: str) -> None:
    """Choose a page in the navigation, as people do."""
    link_to(page, section, title).click()


def link_to(page, section: str, title: str):
    """The link of a page, in the open menu of its section."""
    page.get_by_test_id("stTopNavSection").get_by_text(section, exact=True).click()
    link = page.get_by_test_id("stTopNavDropdownLink").filter(has_text=title)
    link.wait_for()
    return link
