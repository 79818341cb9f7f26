"""Open a page as a visit does, and run it until its background work is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

ROOT = Path(__file__).resolve().parents[2]


def opened(page: str | None = None, **query: str) -> AppTest:
    """The app at a page such as "heads/importance", with what a link says."""
    test = AppTest.from_file(str(ROOT / "ui" / "frame.py"), default_timeout=60)
    for name, value in query.items():
        test.query_params[name] = value
    if page is not None:
        # As a browser does with a deep link: pages are known by the hash of their path before any of them ran.
        test._page_hash = calc_hash(page.replace("/", "-"))
    return test


def settled(test: AppTest, done: Callable[[AppTest], object], seconds: float = 120) -> AppTest:
    """Run it again, as polling does in a browser, until `done`."""
    end = time.monotonic() + seconds
    while not done(test.run()):
        assert not test.exception, test.exception
        assert time.monotonic() < end, f"the page did not settle: {[e.value for e in test.error]}"
        time.sleep(0.2)
    assert not test.exception, test.exception
    return test


def texts(page: AppTest) -> str:
    """All that a page says in words."""
    kinds = ("subheader", "markdown", "caption", "info", "warning", "error")
    return "\n".join(str(each.value) for kind in kinds for each in page.get(kind))


def explained(page: AppTest) -> bool:
    """Whether a page has come to its last lines, and waits for nothing."""
    return any(each.label == "How to read this" for each in page.expander) and not page.get("progress")
