"""Pictures of every page: `python -m tests.app.screens`, light and dark, wide and narrow, into .cache/screens.

With `--keep` one per page goes to docs/screens, small enough for the README.
"""

from __future__ import annotations

import argparse
import io
import logging
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.app.browser import CHROMIUM, FLAGS, ROOT, serving
from ui.frame_pages import SECTIONS

SIZES = {1440: 900, 1024: 768}
LARGEST = 150_000
_QUIET = """() => {
  const app = document.querySelector('[data-testid=stApp]');
  return app && app.dataset.testScriptState === 'notRunning' && !document.querySelector('[data-stale=true]')
    && !document.querySelector('[data-testid=stProgress]') && !document.querySelector('[data-testid=stSpinner]')
    && !document.body.innerText.includes('loading …');
}"""
log = logging.getLogger(__name__)


def settle(page: Page, seconds: float = 90) -> None:
    """Wait until nothing runs, three looks in a row."""
    quiet = 0
    for _ in range(int(seconds / 0.25)):
        quiet = quiet + 1 if page.evaluate(_QUIET) else 0
        if quiet >= 6:
            return
        page.wait_for_timeout(250)
    log.warning("%s did not come to rest in %.0f s", page.url, seconds)


def small(png: bytes) -> bytes:
    """The picture as a JPEG of at most 150 KB."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for quality in range(90, 20, -5):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= LARGEST:
            break
    return buffer.getvalue()


def main() -> None:
    """Start the app, visit every page, and take its picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help="such as heads-importance; all without")
    parser.add_argument("--out", type=Path, default=ROOT / ".cache" / "screens")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options.out.mkdir(parents=True, exist_ok=True)
    names = [path.replace("/", "-") for listed in SECTIONS.values() for path, *_ in listed]
    with serving("app.py") as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        for name in options.pages or names:
            for scheme in ("light", "dark"):
                for width, height in SIZES.items():
                    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                    page.goto(f"{address}/{'' if name == names[0] else name}")  # the first page is the root
                    page.wait_for_selector("h1", timeout=60_000)
                    settle(page)
                    shot = page.screenshot(path=options.out / f"{name}-{scheme}-{width}.png")
                    if options.keep and (scheme, width) == ("light", 1440):
                        kept = ROOT / "docs" / "screens" / f"{name}.jpg"
                        kept.parent.mkdir(exist_ok=True)
                        kept.write_bytes(small(shot))
                    page.close()
                    log.info("%s %s %d", name, scheme, width)
        browser.close()


if __name__ == "__main__":
    main()
