"""The app in a real browser: one selection for all pages, links, uploads, two visits at once, cancelling."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.app.browser import chromium, go_to, needs_chromium, serving, settle, watched_page

pytestmark = [pytest.mark.browser, needs_chromium]
LONG = 120_000


@pytest.fixture(scope="module")
def address():
    with serving("app.py") as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


def quiet(page) -> None:
    settle(page)
    page.wait_for_function("() => !document.querySelector('[data-testid=stProgress]')", timeout=LONG)
    page.wait_for_function("() => !document.body.innerText.includes('loading …')", timeout=LONG)
    settle(page)


def query(page) -> str:
    return page.evaluate("() => location.search")


def picture_file(seed: int) -> dict:
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return {"name": f"noise-{seed}.png", "mimeType": "image/png", "buffer": buffer.getvalue()}


def test_a_head_chosen_in_the_viewer_is_chosen_on_every_page_and_in_the_link(address, browser):
    with watched_page(browser, address) as page:
        page.goto(address)
        quiet(page)
        viewer = page.locator("[data-testid=stBidiComponentIsolated]").first
        viewer.locator("[role=application], [role=grid], canvas").last.focus()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowRight")
        page.wait_for_function("() => location.search.includes('layer=')", timeout=LONG)
        page.wait_for_function("() => location.search.includes('head=')", timeout=LONG)
        chosen = query(page)
        layer, head = (int(re.search(rf"{name}=(\d+)", chosen)[1]) for name in ("layer", "head"))
        go_to(page, "Heads", "Passport")
        page.get_by_text(re.compile(rf"layer {layer}, head {head}", re.IGNORECASE)).first.wait_for(timeout=LONG)
        link = f"{address}/{query(page)}"
    with watched_page(browser, address) as other:
        other.goto(link)
        quiet(other)
        other.get_by_text(re.compile(rf"layer {layer} · head {head}")).first.wait_for(timeout=LONG)


def test_good_and_hostile_uploads(address, browser):
    with watched_page(browser, address) as page:
        page.goto(address)
        quiet(page)
        page.get_by_role("button", name="Upload").first.click()
        page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files(
            [{"name": "evil.png", "mimeType": "image/png", "buffer": b"<svg onload=alert(1)>"}]
        )
        page.get_by_text("evil.png is not a picture that can be opened").first.wait_for(timeout=LONG)
        page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files([picture_file(1)])
        page.wait_for_function("() => location.search.includes('image=upload')", timeout=LONG)
        quiet(page)
        assert page.get_by_text("uploaded as noise-1.png").count()
        link = page.url
    with watched_page(browser, address) as other:
        other.goto(link)
        other.get_by_text("uploaded in another window").first.wait_for(timeout=LONG)


def test_two_visits_at_once_never_see_each_others_picture(address, browser):
    with watched_page(browser, address) as one, watched_page(browser, address) as two:
        for page, image in ((one, "scene:5"), (two, "scene:8"), (one, "scene:8"), (two, "scene:5")):
            page.goto(f"{address}/?image={image}")
        for page in (one, two):
            quiet(page)
        for page, number in ((one, 8), (two, 5)):
            assert page.get_by_text(f"Scene {number}").count()
            shown = page.locator("[data-testid=stBidiComponentIsolated]").first
            painted = shown.locator("canvas").first.evaluate("canvas => canvas.toDataURL()")
            page.goto(f"{address}/?image=scene:{number}")
            quiet(page)
            again = page.locator("[data-testid=stBidiComponentIsolated] canvas").first.evaluate("canvas => canvas.toDataURL()")
            assert painted == again


def test_a_long_job_is_cancelled_within_a_second_and_can_be_begun_again(address, browser):
    with watched_page(browser, address) as page:
        page.goto(f"{address}/trust-benchmark?trust=examples&method=patch_ablation&image=scene:7")
        cancel = page.get_by_role("button", name="Cancel")
        cancel.first.wait_for(timeout=LONG)
        cancel.first.click()
        page.get_by_text("cancelled").first.wait_for(timeout=3_000)
        assert page.get_by_role("button", name="Try again").count()


def test_the_dark_scheme_paints_on_a_dark_ground(address, browser):
    with watched_page(browser, address, color_scheme="dark") as page:
        page.goto(address)
        quiet(page)
        ground = page.evaluate("() => getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
        assert sum(map(int, re.findall(r"\d+", ground)[:3])) < 150
